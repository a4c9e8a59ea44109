CREATE TABLE preferences (
    account TEXT NOT NULL,
    preferences TEXT NOT NULL,
    changed_at BIGINT NOT NULL,
    PRIMARY KEY (account)
);
