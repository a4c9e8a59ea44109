CREATE TABLE IF NOT EXISTS sender_reputation (
    owner VARCHAR(320) NOT NULL,
    party VARCHAR(320) NOT NULL,
    told_wanted DOUBLE NOT NULL DEFAULT 0,
    told_unwanted DOUBLE NOT NULL DEFAULT 0,
    seen_wanted DOUBLE NOT NULL DEFAULT 0,
    seen_unwanted DOUBLE NOT NULL DEFAULT 0,
    touched BIGINT NOT NULL,
    PRIMARY KEY (owner, party),
    KEY sender_reputation_touched (touched)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin
