CREATE TABLE IF NOT EXISTS events (
    id BIGINT AUTO_INCREMENT PRIMARY KEY,
    at BIGINT NOT NULL,
    kind VARCHAR(32) NOT NULL,
    session CHAR(16),
    mail CHAR(16),
    queue CHAR(16),
    subject VARCHAR(320),
    subject_key VARCHAR(320),
    message_id VARCHAR(320),
    details MEDIUMTEXT NOT NULL,
    KEY events_at (at),
    KEY events_session (session),
    KEY events_mail (mail),
    KEY events_queue (queue),
    KEY events_subject (subject_key),
    KEY events_message_id (message_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin
