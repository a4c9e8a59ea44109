CREATE TABLE quarantine_letters (
    account TEXT NOT NULL PRIMARY KEY,
    claimed_at BIGINT NOT NULL
);
