CREATE TABLE queue_samples (
    at INTEGER PRIMARY KEY,
    entries INTEGER NOT NULL,
    waiting INTEGER NOT NULL,
    held INTEGER NOT NULL,
    oldest INTEGER
);
