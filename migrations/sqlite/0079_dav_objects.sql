CREATE TABLE dav_objects (
    collection INTEGER NOT NULL REFERENCES dav_collections (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    uid TEXT NOT NULL,
    component TEXT NOT NULL,
    etag TEXT NOT NULL,
    size INTEGER NOT NULL,
    content BLOB NOT NULL,
    begins_at INTEGER,
    ends_at INTEGER,
    changed INTEGER NOT NULL,
    modified_at INTEGER NOT NULL,
    PRIMARY KEY (collection, name),
    UNIQUE (collection, uid)
);
CREATE INDEX dav_objects_changed ON dav_objects (collection, changed);
