CREATE TABLE greylist (
    triplet TEXT NOT NULL,
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    passed INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (triplet)
);
CREATE INDEX greylist_last_seen ON greylist (last_seen);
