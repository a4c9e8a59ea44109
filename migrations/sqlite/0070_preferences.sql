CREATE TABLE preferences (
    account TEXT NOT NULL,
    preferences TEXT NOT NULL,
    changed_at INTEGER NOT NULL,
    PRIMARY KEY (account)
);
