CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    session TEXT,
    mail TEXT,
    queue TEXT,
    subject TEXT,
    subject_key TEXT,
    message_id TEXT,
    details TEXT NOT NULL
);
CREATE INDEX events_at ON events (at);
CREATE INDEX events_session ON events (session) WHERE session IS NOT NULL;
CREATE INDEX events_mail ON events (mail) WHERE mail IS NOT NULL;
CREATE INDEX events_queue ON events (queue) WHERE queue IS NOT NULL;
CREATE INDEX events_subject ON events (subject_key) WHERE subject_key IS NOT NULL;
CREATE INDEX events_message_id ON events (message_id) WHERE message_id IS NOT NULL;
