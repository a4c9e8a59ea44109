CREATE TABLE report_claims (
    kind TEXT NOT NULL,
    day INTEGER NOT NULL,
    domain TEXT NOT NULL,
    claimed_at INTEGER NOT NULL,
    sent_at INTEGER,
    PRIMARY KEY (kind, day, domain)
);
CREATE INDEX report_claims_day ON report_claims (day);
