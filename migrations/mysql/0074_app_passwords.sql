CREATE TABLE IF NOT EXISTS app_passwords (
    id BIGINT AUTO_INCREMENT PRIMARY KEY,
    user_id INT NOT NULL,
    name VARCHAR(100) NOT NULL,
    digest VARCHAR(64) NOT NULL,
    scopes VARCHAR(100) NOT NULL,
    made_at BIGINT NOT NULL,
    ends_at BIGINT,
    used_at BIGINT,
    used_from VARCHAR(64),
    UNIQUE KEY app_passwords_digest (digest),
    UNIQUE KEY app_passwords_name (user_id, name),
    FOREIGN KEY (user_id) REFERENCES virtual_users(id) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin
