CREATE TABLE dav_removed (
    collection INTEGER NOT NULL REFERENCES dav_collections (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    changed INTEGER NOT NULL,
    PRIMARY KEY (collection, name)
);
CREATE INDEX dav_removed_changed ON dav_removed (collection, changed);
