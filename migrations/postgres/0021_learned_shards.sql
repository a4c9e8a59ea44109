CREATE TABLE learned_shards (
    owner TEXT NOT NULL,
    shard BIGINT NOT NULL,
    tokens BYTEA NOT NULL,
    PRIMARY KEY (owner, shard)
);
