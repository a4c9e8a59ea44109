CREATE TABLE IF NOT EXISTS backup_runs (
    what VARCHAR(64) NOT NULL,
    at BIGINT NOT NULL,
    succeeded_at BIGINT,
    milliseconds BIGINT NOT NULL,
    recovery_milliseconds BIGINT,
    problem TEXT,
    PRIMARY KEY (what)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin
