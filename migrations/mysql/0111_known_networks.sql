CREATE TABLE IF NOT EXISTS known_networks (
    account VARCHAR(255) NOT NULL,
    network VARCHAR(64) NOT NULL,
    ends_at BIGINT NOT NULL,
    noted_at BIGINT NOT NULL,
    PRIMARY KEY (account, network),
    KEY known_networks_noted_at (noted_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin
