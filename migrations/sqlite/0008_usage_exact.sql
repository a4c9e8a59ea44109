CREATE TABLE mailbox_usage_exact (
    user_id INTEGER PRIMARY KEY REFERENCES virtual_users (id) ON DELETE CASCADE,
    bytes INTEGER NOT NULL,
    messages INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
);
