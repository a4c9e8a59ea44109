CREATE TABLE backup_differences (
    what TEXT NOT NULL,
    at INTEGER NOT NULL,
    differences INTEGER NOT NULL,
    PRIMARY KEY (what)
);
