CREATE TABLE queue_nodes (
    node TEXT NOT NULL PRIMARY KEY,
    mark TEXT NOT NULL,
    lease_end BIGINT NOT NULL
);
