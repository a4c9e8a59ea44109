CREATE TABLE recovery_codes (
    user_id INTEGER NOT NULL REFERENCES virtual_users (id) ON DELETE CASCADE,
    digest TEXT NOT NULL,
    PRIMARY KEY (user_id, digest)
);
