CREATE TABLE user_state (
    user_id BIGINT PRIMARY KEY REFERENCES virtual_users (id) ON DELETE CASCADE,
    owner TEXT NOT NULL DEFAULT 'admin',
    display_name TEXT,
    archived_at BIGINT,
    password_owner TEXT,
    password_changed_at BIGINT,
    declared_password TEXT
);
