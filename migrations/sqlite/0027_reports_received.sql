CREATE TABLE reports_received (
    kind TEXT NOT NULL,
    digest TEXT NOT NULL,
    domain TEXT NOT NULL,
    organization TEXT NOT NULL,
    report_id TEXT NOT NULL,
    sender TEXT NOT NULL,
    begins_at INTEGER NOT NULL,
    ends_at INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    passed INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    content TEXT NOT NULL,
    PRIMARY KEY (kind, digest)
);
CREATE INDEX reports_received_begins ON reports_received (kind, begins_at);
CREATE INDEX reports_received_at ON reports_received (received_at);
