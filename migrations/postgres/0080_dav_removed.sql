CREATE TABLE dav_removed (
    collection BIGINT NOT NULL REFERENCES dav_collections (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    changed BIGINT NOT NULL,
    PRIMARY KEY (collection, name)
);
CREATE INDEX dav_removed_changed ON dav_removed (collection, changed);
