CREATE TABLE remembered_browsers (
    digest TEXT PRIMARY KEY,
    user_id BIGINT NOT NULL REFERENCES virtual_users (id) ON DELETE CASCADE,
    id TEXT NOT NULL,
    password TEXT NOT NULL,
    two_factor_since BIGINT NOT NULL,
    made_at BIGINT NOT NULL,
    used_at BIGINT NOT NULL,
    client TEXT NOT NULL,
    browser TEXT NOT NULL
);
CREATE INDEX remembered_browsers_user ON remembered_browsers (user_id);
