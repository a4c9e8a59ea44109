CREATE TABLE alias_state (
    alias_id INTEGER PRIMARY KEY REFERENCES virtual_aliases (id) ON DELETE CASCADE,
    owner TEXT NOT NULL DEFAULT 'admin',
    enabled INTEGER NOT NULL DEFAULT 1
);
