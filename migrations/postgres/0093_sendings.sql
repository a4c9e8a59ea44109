CREATE TABLE sendings (
    account TEXT NOT NULL,
    wish TEXT NOT NULL,
    process TEXT NOT NULL,
    begun_at BIGINT NOT NULL,
    sent_at BIGINT,
    PRIMARY KEY (account, wish)
);
CREATE INDEX sendings_begun_at ON sendings (begun_at);
