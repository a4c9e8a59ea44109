CREATE TABLE virtual_domains (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);
CREATE UNIQUE INDEX virtual_domains_name ON virtual_domains (lower(name));
