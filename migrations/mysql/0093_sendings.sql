CREATE TABLE IF NOT EXISTS sendings (
    account VARCHAR(320) NOT NULL,
    wish CHAR(64) NOT NULL,
    process VARCHAR(64) NOT NULL,
    begun_at BIGINT NOT NULL,
    sent_at BIGINT,
    PRIMARY KEY (account, wish),
    KEY sendings_begun_at (begun_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin
