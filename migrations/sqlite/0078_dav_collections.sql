CREATE TABLE dav_collections (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account TEXT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    components TEXT NOT NULL,
    token INTEGER NOT NULL,
    forgotten INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (account, kind, name)
);
