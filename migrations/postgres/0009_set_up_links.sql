CREATE TABLE set_up_links (
    user_id BIGINT PRIMARY KEY REFERENCES virtual_users (id) ON DELETE CASCADE,
    digest TEXT NOT NULL UNIQUE,
    made_at BIGINT NOT NULL,
    ends_at BIGINT NOT NULL
);
