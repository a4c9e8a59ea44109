CREATE TABLE correspondents (
    account TEXT NOT NULL,
    address TEXT NOT NULL,
    name TEXT NOT NULL,
    times BIGINT NOT NULL,
    written_at BIGINT NOT NULL,
    PRIMARY KEY (account, address)
);
CREATE INDEX correspondents_written_at ON correspondents (account, written_at);
