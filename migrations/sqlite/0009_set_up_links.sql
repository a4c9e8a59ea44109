CREATE TABLE set_up_links (
    user_id INTEGER PRIMARY KEY REFERENCES virtual_users (id) ON DELETE CASCADE,
    digest TEXT NOT NULL UNIQUE,
    made_at INTEGER NOT NULL,
    ends_at INTEGER NOT NULL
);
