CREATE TABLE IF NOT EXISTS backup_differences (
    what VARCHAR(64) NOT NULL,
    at BIGINT NOT NULL,
    differences BIGINT NOT NULL,
    PRIMARY KEY (what)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin
