CREATE TABLE mailbox_usage_exact (
    user_id BIGINT PRIMARY KEY REFERENCES virtual_users (id) ON DELETE CASCADE,
    bytes BIGINT NOT NULL,
    messages BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
