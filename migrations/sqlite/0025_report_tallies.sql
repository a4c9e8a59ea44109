CREATE TABLE report_tallies (
    kind TEXT NOT NULL,
    day INTEGER NOT NULL,
    domain TEXT NOT NULL,
    digest TEXT NOT NULL,
    policy TEXT NOT NULL,
    detail TEXT NOT NULL,
    good INTEGER NOT NULL,
    bad INTEGER NOT NULL,
    PRIMARY KEY (kind, day, domain, digest)
);
