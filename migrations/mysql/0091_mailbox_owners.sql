CREATE TABLE IF NOT EXISTS mailbox_owners (
    home VARCHAR(320) NOT NULL PRIMARY KEY,
    node VARCHAR(64) NOT NULL,
    epoch BIGINT NOT NULL,
    since BIGINT NOT NULL,
    wanted VARCHAR(64) NULL,
    KEY mailbox_owners_node (node, epoch)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin
