CREATE TABLE IF NOT EXISTS mailbox_usage_exact (
    user_id INT PRIMARY KEY,
    bytes BIGINT NOT NULL,
    messages BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    FOREIGN KEY (user_id) REFERENCES virtual_users(id) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin
