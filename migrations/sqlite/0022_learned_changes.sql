CREATE TABLE learned_changes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    owner TEXT NOT NULL,
    tokens BLOB NOT NULL
);
CREATE INDEX learned_changes_owner ON learned_changes (owner, id);
