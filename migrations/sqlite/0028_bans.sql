CREATE TABLE bans (
    network TEXT NOT NULL,
    ends_at INTEGER,
    reason TEXT NOT NULL,
    origin TEXT NOT NULL,
    bans INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    PRIMARY KEY (network)
);
CREATE INDEX bans_changed_at ON bans (changed_at);
