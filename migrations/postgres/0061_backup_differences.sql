CREATE TABLE backup_differences (
    what TEXT NOT NULL,
    at BIGINT NOT NULL,
    differences BIGINT NOT NULL,
    PRIMARY KEY (what)
);
