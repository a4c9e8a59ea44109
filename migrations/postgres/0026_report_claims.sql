CREATE TABLE report_claims (
    kind TEXT NOT NULL,
    day BIGINT NOT NULL,
    domain TEXT NOT NULL,
    claimed_at BIGINT NOT NULL,
    sent_at BIGINT,
    PRIMARY KEY (kind, day, domain)
);
CREATE INDEX report_claims_day ON report_claims (day);
