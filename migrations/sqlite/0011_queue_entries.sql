CREATE TABLE queue_entries (
    id TEXT PRIMARY KEY,
    mail TEXT NOT NULL,
    session TEXT,
    received_at INTEGER NOT NULL,
    sender TEXT NOT NULL,
    message_id TEXT,
    login TEXT,
    size INTEGER NOT NULL,
    envelope TEXT NOT NULL,
    hold_reason TEXT
) WITHOUT ROWID;
