CREATE TABLE IF NOT EXISTS domain_state (
    domain_id INT PRIMARY KEY,
    enabled BIGINT NOT NULL DEFAULT 1,
    owner VARCHAR(16) NOT NULL DEFAULT 'admin',
    archived_at BIGINT,
    FOREIGN KEY (domain_id) REFERENCES virtual_domains(id) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin
