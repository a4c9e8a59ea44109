CREATE TABLE cluster_nodes (
    node TEXT NOT NULL PRIMARY KEY,
    address TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    lease_end BIGINT NOT NULL,
    joined_at BIGINT NOT NULL,
    state TEXT NOT NULL
);
