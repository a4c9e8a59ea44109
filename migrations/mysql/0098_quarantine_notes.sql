CREATE TABLE IF NOT EXISTS quarantine_notes (
    account VARCHAR(320) NOT NULL,
    mail VARCHAR(64) NOT NULL,
    noted_at BIGINT NOT NULL,
    entry VARCHAR(64),
    author VARCHAR(255) NOT NULL,
    subject VARCHAR(255) NOT NULL,
    sent VARCHAR(64) NOT NULL,
    score DOUBLE NOT NULL,
    because VARCHAR(600) NOT NULL,
    PRIMARY KEY (account, mail),
    KEY quarantine_notes_time (noted_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin
