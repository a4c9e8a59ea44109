CREATE TABLE browser_logins (
    digest TEXT PRIMARY KEY,
    page TEXT NOT NULL,
    account TEXT NOT NULL,
    id TEXT NOT NULL,
    password TEXT NOT NULL,
    two_factor_since INTEGER,
    begun_at INTEGER NOT NULL,
    used_at INTEGER NOT NULL,
    client TEXT NOT NULL,
    browser TEXT NOT NULL
);
CREATE INDEX browser_logins_account ON browser_logins (page, account);
CREATE INDEX browser_logins_used ON browser_logins (page, used_at);
