CREATE TABLE alias_state (
    alias_id BIGINT PRIMARY KEY REFERENCES virtual_aliases (id) ON DELETE CASCADE,
    owner TEXT NOT NULL DEFAULT 'admin',
    enabled BIGINT NOT NULL DEFAULT 1
);
