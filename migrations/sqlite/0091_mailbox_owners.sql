CREATE TABLE mailbox_owners (
    home TEXT NOT NULL PRIMARY KEY,
    node TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    since INTEGER NOT NULL,
    wanted TEXT NULL
);
CREATE INDEX mailbox_owners_node ON mailbox_owners (node, epoch);
