CREATE TABLE reports_received (
    kind TEXT NOT NULL,
    digest TEXT NOT NULL,
    domain TEXT NOT NULL,
    organization TEXT NOT NULL,
    report_id TEXT NOT NULL,
    sender TEXT NOT NULL,
    begins_at BIGINT NOT NULL,
    ends_at BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    passed BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    content TEXT NOT NULL,
    PRIMARY KEY (kind, digest)
);
CREATE INDEX reports_received_begins ON reports_received (kind, begins_at);
CREATE INDEX reports_received_at ON reports_received (received_at);
