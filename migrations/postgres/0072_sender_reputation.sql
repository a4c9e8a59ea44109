CREATE TABLE sender_reputation (
    owner TEXT NOT NULL,
    party TEXT NOT NULL,
    told_wanted DOUBLE PRECISION NOT NULL DEFAULT 0,
    told_unwanted DOUBLE PRECISION NOT NULL DEFAULT 0,
    seen_wanted DOUBLE PRECISION NOT NULL DEFAULT 0,
    seen_unwanted DOUBLE PRECISION NOT NULL DEFAULT 0,
    touched BIGINT NOT NULL,
    PRIMARY KEY (owner, party)
);
CREATE INDEX sender_reputation_touched ON sender_reputation (touched);
