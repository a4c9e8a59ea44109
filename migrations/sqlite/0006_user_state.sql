CREATE TABLE user_state (
    user_id INTEGER PRIMARY KEY REFERENCES virtual_users (id) ON DELETE CASCADE,
    owner TEXT NOT NULL DEFAULT 'admin',
    display_name TEXT,
    archived_at INTEGER,
    password_owner TEXT,
    password_changed_at INTEGER,
    declared_password TEXT
);
