CREATE TABLE IF NOT EXISTS bans (
    network VARCHAR(64) NOT NULL,
    ends_at BIGINT,
    reason VARCHAR(255) NOT NULL,
    origin VARCHAR(16) NOT NULL,
    bans BIGINT NOT NULL,
    changed_at BIGINT NOT NULL,
    PRIMARY KEY (network),
    KEY bans_changed_at (changed_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin
