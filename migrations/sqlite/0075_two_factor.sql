CREATE TABLE two_factor (
    user_id INTEGER PRIMARY KEY REFERENCES virtual_users (id) ON DELETE CASCADE,
    secret TEXT NOT NULL,
    made_at INTEGER NOT NULL,
    confirmed_at INTEGER,
    last_step INTEGER NOT NULL DEFAULT 0,
    tries INTEGER NOT NULL DEFAULT 0,
    tried_at INTEGER NOT NULL DEFAULT 0
);
