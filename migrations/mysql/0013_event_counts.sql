CREATE TABLE IF NOT EXISTS event_counts (
    bucket BIGINT NOT NULL,
    kind VARCHAR(32) NOT NULL,
    outcome VARCHAR(120) NOT NULL,
    n BIGINT NOT NULL,
    PRIMARY KEY (bucket, kind, outcome)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin
