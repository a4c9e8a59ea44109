CREATE TABLE bans (
    network TEXT NOT NULL,
    ends_at BIGINT,
    reason TEXT NOT NULL,
    origin TEXT NOT NULL,
    bans BIGINT NOT NULL,
    changed_at BIGINT NOT NULL,
    PRIMARY KEY (network)
);
CREATE INDEX bans_changed_at ON bans (changed_at);
