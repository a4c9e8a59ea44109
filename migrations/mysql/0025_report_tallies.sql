CREATE TABLE IF NOT EXISTS report_tallies (
    kind VARCHAR(16) NOT NULL,
    day BIGINT NOT NULL,
    domain VARCHAR(255) NOT NULL,
    digest CHAR(64) NOT NULL,
    policy TEXT NOT NULL,
    detail TEXT NOT NULL,
    good BIGINT NOT NULL,
    bad BIGINT NOT NULL,
    PRIMARY KEY (kind, day, domain, digest)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin
