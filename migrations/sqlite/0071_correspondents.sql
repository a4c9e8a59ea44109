CREATE TABLE correspondents (
    account TEXT NOT NULL,
    address TEXT NOT NULL,
    name TEXT NOT NULL,
    times INTEGER NOT NULL,
    written_at INTEGER NOT NULL,
    PRIMARY KEY (account, address)
);
CREATE INDEX correspondents_written_at ON correspondents (account, written_at);
