CREATE TABLE learned_shards (
    owner TEXT NOT NULL,
    shard INTEGER NOT NULL,
    tokens BLOB NOT NULL,
    PRIMARY KEY (owner, shard)
);
