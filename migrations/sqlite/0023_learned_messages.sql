CREATE TABLE learned_messages (
    owner TEXT NOT NULL,
    digest TEXT NOT NULL,
    class TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (owner, digest)
);
CREATE INDEX learned_messages_at ON learned_messages (at);
