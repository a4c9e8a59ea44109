CREATE TABLE queue_recipients (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    entry TEXT NOT NULL REFERENCES queue_entries (id) ON DELETE CASCADE,
    address TEXT NOT NULL,
    recipient TEXT NOT NULL,
    destination TEXT NOT NULL,
    state INTEGER NOT NULL DEFAULT 0,
    due_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    warn_at INTEGER,
    attempts INTEGER NOT NULL DEFAULT 0,
    last_at INTEGER,
    last_reply TEXT,
    report TEXT,
    owner TEXT,
    sending_since INTEGER
);
CREATE INDEX queue_recipients_entry ON queue_recipients (entry);
CREATE INDEX queue_recipients_due ON queue_recipients (state, due_at);
CREATE INDEX queue_recipients_destination ON queue_recipients (destination, state, due_at);
CREATE INDEX queue_recipients_owner ON queue_recipients (owner) WHERE owner IS NOT NULL;
CREATE INDEX queue_recipients_report ON queue_recipients (entry) WHERE report IS NOT NULL;
