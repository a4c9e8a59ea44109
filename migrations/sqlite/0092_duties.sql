CREATE TABLE duties (
    duty TEXT NOT NULL PRIMARY KEY,
    node TEXT NOT NULL,
    lease_end INTEGER NOT NULL
);
