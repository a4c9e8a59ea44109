CREATE TABLE IF NOT EXISTS mta_sts_policies (
    domain VARCHAR(255) NOT NULL,
    policy_id VARCHAR(64) NOT NULL,
    policy TEXT NOT NULL,
    valid_until BIGINT NOT NULL,
    PRIMARY KEY (domain),
    KEY mta_sts_policies_until (valid_until)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin
