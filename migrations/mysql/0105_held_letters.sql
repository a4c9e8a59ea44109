CREATE TABLE IF NOT EXISTS held_letters (
    account VARCHAR(320) NOT NULL,
    wish CHAR(64) NOT NULL,
    content MEDIUMTEXT NOT NULL,
    due_at BIGINT NOT NULL,
    PRIMARY KEY (account, wish),
    KEY held_letters_due (due_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin
