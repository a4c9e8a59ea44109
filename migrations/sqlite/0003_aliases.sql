CREATE TABLE virtual_aliases (
    id INTEGER PRIMARY KEY,
    domain_id INTEGER NOT NULL REFERENCES virtual_domains (id) ON DELETE CASCADE,
    source TEXT NOT NULL,
    destination TEXT NOT NULL,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX virtual_aliases_source ON virtual_aliases (lower(source));
CREATE INDEX virtual_aliases_domain ON virtual_aliases (domain_id);
