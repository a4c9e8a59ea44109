CREATE TABLE mta_sts_policies (
    domain TEXT NOT NULL,
    policy_id TEXT NOT NULL,
    policy TEXT NOT NULL,
    valid_until BIGINT NOT NULL,
    PRIMARY KEY (domain)
);
CREATE INDEX mta_sts_policies_until ON mta_sts_policies (valid_until);
