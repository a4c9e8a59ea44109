CREATE TABLE dav_properties (
    collection INTEGER NOT NULL REFERENCES dav_collections (id) ON DELETE CASCADE,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (collection, namespace, name)
);
