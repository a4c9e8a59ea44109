CREATE TABLE learned_owners (
    owner TEXT NOT NULL,
    ham BIGINT NOT NULL DEFAULT 0,
    spam BIGINT NOT NULL DEFAULT 0,
    generation BIGINT NOT NULL DEFAULT 0,
    touched BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (owner)
);
