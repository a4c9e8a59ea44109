CREATE TABLE IF NOT EXISTS report_claims (
    kind VARCHAR(16) NOT NULL,
    day BIGINT NOT NULL,
    domain VARCHAR(255) NOT NULL,
    claimed_at BIGINT NOT NULL,
    sent_at BIGINT,
    PRIMARY KEY (kind, day, domain),
    KEY report_claims_day (day)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin
