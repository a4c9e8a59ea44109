CREATE TABLE IF NOT EXISTS learned_shards (
    owner VARCHAR(320) NOT NULL,
    shard BIGINT NOT NULL,
    tokens LONGBLOB NOT NULL,
    PRIMARY KEY (owner, shard)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin
