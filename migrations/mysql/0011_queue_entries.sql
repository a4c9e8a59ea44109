CREATE TABLE IF NOT EXISTS queue_entries (
    id CHAR(16) PRIMARY KEY,
    mail CHAR(16) NOT NULL,
    session CHAR(16),
    received_at BIGINT NOT NULL,
    sender VARCHAR(320) NOT NULL,
    message_id VARCHAR(1000),
    login VARCHAR(320),
    size BIGINT NOT NULL,
    envelope TEXT NOT NULL,
    hold_reason TEXT
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin
