CREATE TABLE IF NOT EXISTS learned_changes (
    id BIGINT AUTO_INCREMENT PRIMARY KEY,
    owner VARCHAR(320) NOT NULL,
    tokens LONGBLOB NOT NULL,
    KEY learned_changes_owner (owner, id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin
