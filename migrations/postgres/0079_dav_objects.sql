CREATE TABLE dav_objects (
    collection BIGINT NOT NULL REFERENCES dav_collections (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    uid TEXT NOT NULL,
    component TEXT NOT NULL,
    etag TEXT NOT NULL,
    size BIGINT NOT NULL,
    content BYTEA NOT NULL,
    begins_at BIGINT,
    ends_at BIGINT,
    changed BIGINT NOT NULL,
    modified_at BIGINT NOT NULL,
    PRIMARY KEY (collection, name),
    UNIQUE (collection, uid)
);
CREATE INDEX dav_objects_changed ON dav_objects (collection, changed);
