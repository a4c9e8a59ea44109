CREATE TABLE cluster_nodes (
    node TEXT NOT NULL PRIMARY KEY,
    address TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    lease_end INTEGER NOT NULL,
    joined_at INTEGER NOT NULL,
    state TEXT NOT NULL
);
