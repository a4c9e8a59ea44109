CREATE TABLE IF NOT EXISTS dav_properties (
    collection BIGINT NOT NULL,
    namespace VARCHAR(255) NOT NULL,
    name VARCHAR(255) NOT NULL,
    value MEDIUMTEXT NOT NULL,
    PRIMARY KEY (collection, namespace, name),
    FOREIGN KEY (collection) REFERENCES dav_collections (id) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin
