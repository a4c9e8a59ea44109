CREATE TABLE dav_addresses (
    collection INTEGER NOT NULL REFERENCES dav_collections (id) ON DELETE CASCADE,
    object TEXT NOT NULL,
    address TEXT NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (collection, object, address)
);
CREATE INDEX dav_addresses_address ON dav_addresses (collection, address);
