CREATE TABLE event_counts (
    bucket BIGINT NOT NULL,
    kind TEXT NOT NULL,
    outcome TEXT NOT NULL,
    n BIGINT NOT NULL,
    PRIMARY KEY (bucket, kind, outcome)
);
