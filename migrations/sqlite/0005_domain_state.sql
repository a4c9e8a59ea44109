CREATE TABLE domain_state (
    domain_id INTEGER PRIMARY KEY REFERENCES virtual_domains (id) ON DELETE CASCADE,
    enabled INTEGER NOT NULL DEFAULT 1,
    owner TEXT NOT NULL DEFAULT 'admin',
    archived_at INTEGER
);
