CREATE TABLE IF NOT EXISTS recovery_codes (
    user_id INT NOT NULL,
    digest VARCHAR(64) NOT NULL,
    PRIMARY KEY (user_id, digest),
    FOREIGN KEY (user_id) REFERENCES virtual_users(id) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin
