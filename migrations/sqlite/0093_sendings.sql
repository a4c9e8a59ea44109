CREATE TABLE sendings (
    account TEXT NOT NULL,
    wish TEXT NOT NULL,
    process TEXT NOT NULL,
    begun_at INTEGER NOT NULL,
    sent_at INTEGER,
    PRIMARY KEY (account, wish)
);
CREATE INDEX sendings_begun_at ON sendings (begun_at);
