CREATE TABLE sender_reputation (
    owner TEXT NOT NULL,
    party TEXT NOT NULL,
    told_wanted REAL NOT NULL DEFAULT 0,
    told_unwanted REAL NOT NULL DEFAULT 0,
    seen_wanted REAL NOT NULL DEFAULT 0,
    seen_unwanted REAL NOT NULL DEFAULT 0,
    touched INTEGER NOT NULL,
    PRIMARY KEY (owner, party)
);
CREATE INDEX sender_reputation_touched ON sender_reputation (touched);
