CREATE TABLE IF NOT EXISTS dav_collections (
    id BIGINT AUTO_INCREMENT PRIMARY KEY,
    account VARCHAR(320) NOT NULL,
    kind VARCHAR(32) NOT NULL,
    name VARCHAR(255) NOT NULL,
    components VARCHAR(255) NOT NULL,
    token BIGINT NOT NULL,
    forgotten BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE KEY dav_collections_name (account, kind, name)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin
