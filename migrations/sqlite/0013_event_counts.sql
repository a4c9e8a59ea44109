CREATE TABLE event_counts (
    bucket INTEGER NOT NULL,
    kind TEXT NOT NULL,
    outcome TEXT NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (bucket, kind, outcome)
) WITHOUT ROWID;
