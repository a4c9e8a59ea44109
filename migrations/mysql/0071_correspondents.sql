CREATE TABLE IF NOT EXISTS correspondents (
    account VARCHAR(320) NOT NULL,
    address VARCHAR(320) NOT NULL,
    name VARCHAR(255) NOT NULL,
    times BIGINT NOT NULL,
    written_at BIGINT NOT NULL,
    PRIMARY KEY (account, address),
    KEY correspondents_written_at (account, written_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin
