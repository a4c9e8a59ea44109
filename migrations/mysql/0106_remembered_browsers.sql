CREATE TABLE IF NOT EXISTS remembered_browsers (
    digest CHAR(64) PRIMARY KEY,
    user_id INT NOT NULL,
    id VARCHAR(32) NOT NULL,
    password CHAR(64) NOT NULL,
    two_factor_since BIGINT NOT NULL,
    made_at BIGINT NOT NULL,
    used_at BIGINT NOT NULL,
    client VARCHAR(64) NOT NULL,
    browser VARCHAR(255) NOT NULL,
    KEY remembered_browsers_user (user_id),
    FOREIGN KEY (user_id) REFERENCES virtual_users(id) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin
