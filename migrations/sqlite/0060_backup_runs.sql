CREATE TABLE backup_runs (
    what TEXT NOT NULL,
    at INTEGER NOT NULL,
    succeeded_at INTEGER,
    milliseconds INTEGER NOT NULL,
    recovery_milliseconds INTEGER,
    problem TEXT,
    PRIMARY KEY (what)
);
