CREATE TABLE IF NOT EXISTS reports_received (
    kind VARCHAR(16) NOT NULL,
    digest CHAR(64) NOT NULL,
    domain VARCHAR(255) NOT NULL,
    organization VARCHAR(255) NOT NULL,
    report_id VARCHAR(255) NOT NULL,
    sender VARCHAR(255) NOT NULL,
    begins_at BIGINT NOT NULL,
    ends_at BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    passed BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    content MEDIUMTEXT NOT NULL,
    PRIMARY KEY (kind, digest),
    KEY reports_received_begins (kind, begins_at),
    KEY reports_received_at (received_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin
