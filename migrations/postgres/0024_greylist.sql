CREATE TABLE greylist (
    triplet TEXT NOT NULL,
    first_seen BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    passed BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (triplet)
);
CREATE INDEX greylist_last_seen ON greylist (last_seen);
