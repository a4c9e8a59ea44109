CREATE TABLE IF NOT EXISTS greylist (
    triplet CHAR(64) NOT NULL,
    first_seen BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    passed BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (triplet),
    KEY greylist_last_seen (last_seen)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin
