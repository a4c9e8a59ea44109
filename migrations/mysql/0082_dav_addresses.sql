CREATE TABLE IF NOT EXISTS dav_addresses (
    collection BIGINT NOT NULL,
    object VARCHAR(255) NOT NULL,
    address VARCHAR(320) NOT NULL,
    name VARCHAR(255) NOT NULL,
    PRIMARY KEY (collection, object, address),
    KEY dav_addresses_address (collection, address),
    FOREIGN KEY (collection) REFERENCES dav_collections (id) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin
