CREATE TABLE backup_runs (
    what TEXT NOT NULL,
    at BIGINT NOT NULL,
    succeeded_at BIGINT,
    milliseconds BIGINT NOT NULL,
    recovery_milliseconds BIGINT,
    problem TEXT,
    PRIMARY KEY (what)
);
