CREATE TABLE quarantine_notes (
    account TEXT NOT NULL,
    mail TEXT NOT NULL,
    noted_at INTEGER NOT NULL,
    entry TEXT,
    author TEXT NOT NULL,
    subject TEXT NOT NULL,
    sent TEXT NOT NULL,
    score REAL NOT NULL,
    because TEXT NOT NULL,
    PRIMARY KEY (account, mail)
);
CREATE INDEX quarantine_notes_time ON quarantine_notes (noted_at);
