CREATE TABLE IF NOT EXISTS set_up_links (
    user_id INT PRIMARY KEY,
    digest VARCHAR(64) NOT NULL,
    made_at BIGINT NOT NULL,
    ends_at BIGINT NOT NULL,
    UNIQUE KEY set_up_links_digest (digest),
    FOREIGN KEY (user_id) REFERENCES virtual_users(id) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin
