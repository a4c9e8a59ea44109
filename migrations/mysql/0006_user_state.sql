CREATE TABLE IF NOT EXISTS user_state (
    user_id INT PRIMARY KEY,
    owner VARCHAR(16) NOT NULL DEFAULT 'admin',
    display_name TEXT,
    archived_at BIGINT,
    password_owner VARCHAR(16),
    password_changed_at BIGINT,
    declared_password VARCHAR(255),
    FOREIGN KEY (user_id) REFERENCES virtual_users(id) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin
