CREATE TABLE IF NOT EXISTS learned_messages (
    owner VARCHAR(320) NOT NULL,
    digest CHAR(64) NOT NULL,
    class VARCHAR(8) NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (owner, digest),
    KEY learned_messages_at (at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin
