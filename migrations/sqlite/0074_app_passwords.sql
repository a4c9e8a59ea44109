CREATE TABLE app_passwords (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id INTEGER NOT NULL REFERENCES virtual_users (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    digest TEXT NOT NULL UNIQUE,
    scopes TEXT NOT NULL,
    made_at INTEGER NOT NULL,
    ends_at INTEGER,
    used_at INTEGER,
    used_from TEXT,
    UNIQUE (user_id, name)
);
