CREATE TABLE IF NOT EXISTS preferences (
    account VARCHAR(320) NOT NULL,
    preferences MEDIUMTEXT NOT NULL,
    changed_at BIGINT NOT NULL,
    PRIMARY KEY (account)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin
