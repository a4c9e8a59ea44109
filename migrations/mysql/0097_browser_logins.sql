CREATE TABLE IF NOT EXISTS browser_logins (
    digest CHAR(64) PRIMARY KEY,
    page VARCHAR(16) NOT NULL,
    account VARCHAR(320) NOT NULL,
    id VARCHAR(32) NOT NULL,
    password CHAR(64) NOT NULL,
    two_factor_since BIGINT,
    begun_at BIGINT NOT NULL,
    used_at BIGINT NOT NULL,
    client VARCHAR(64) NOT NULL,
    browser VARCHAR(255) NOT NULL,
    KEY browser_logins_account (page, account),
    KEY browser_logins_used (page, used_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin
