CREATE TABLE IF NOT EXISTS dav_objects (
    collection BIGINT NOT NULL,
    name VARCHAR(255) NOT NULL,
    uid VARCHAR(255) NOT NULL,
    component VARCHAR(32) NOT NULL,
    etag VARCHAR(64) NOT NULL,
    size BIGINT NOT NULL,
    content LONGBLOB NOT NULL,
    begins_at BIGINT,
    ends_at BIGINT,
    changed BIGINT NOT NULL,
    modified_at BIGINT NOT NULL,
    PRIMARY KEY (collection, name),
    UNIQUE KEY dav_objects_uid (collection, uid),
    KEY dav_objects_changed (collection, changed),
    FOREIGN KEY (collection) REFERENCES dav_collections (id) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin
