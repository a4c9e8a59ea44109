CREATE TABLE known_networks (
    account TEXT NOT NULL,
    network TEXT NOT NULL,
    ends_at BIGINT NOT NULL,
    noted_at BIGINT NOT NULL,
    PRIMARY KEY (account, network)
);
CREATE INDEX known_networks_noted_at ON known_networks (noted_at);
