CREATE TABLE IF NOT EXISTS dav_removed (
    collection BIGINT NOT NULL,
    name VARCHAR(255) NOT NULL,
    changed BIGINT NOT NULL,
    PRIMARY KEY (collection, name),
    KEY dav_removed_changed (collection, changed),
    FOREIGN KEY (collection) REFERENCES dav_collections (id) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin
