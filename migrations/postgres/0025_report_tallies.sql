CREATE TABLE report_tallies (
    kind TEXT NOT NULL,
    day BIGINT NOT NULL,
    domain TEXT NOT NULL,
    digest TEXT NOT NULL,
    policy TEXT NOT NULL,
    detail TEXT NOT NULL,
    good BIGINT NOT NULL,
    bad BIGINT NOT NULL,
    PRIMARY KEY (kind, day, domain, digest)
);
