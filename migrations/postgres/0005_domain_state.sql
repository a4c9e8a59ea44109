CREATE TABLE domain_state (
    domain_id BIGINT PRIMARY KEY REFERENCES virtual_domains (id) ON DELETE CASCADE,
    enabled BIGINT NOT NULL DEFAULT 1,
    owner TEXT NOT NULL DEFAULT 'admin',
    archived_at BIGINT
);
