CREATE TABLE virtual_users (
    id INTEGER PRIMARY KEY,
    domain_id INTEGER NOT NULL REFERENCES virtual_domains (id) ON DELETE CASCADE,
    email TEXT NOT NULL UNIQUE,
    password TEXT NOT NULL,
    quota_mb INTEGER DEFAULT 1024,
    enabled INTEGER DEFAULT 1,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);
CREATE UNIQUE INDEX virtual_users_email ON virtual_users (lower(email));
CREATE INDEX virtual_users_domain ON virtual_users (domain_id);
