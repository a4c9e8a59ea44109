CREATE TABLE held_letters (
    account TEXT NOT NULL,
    wish TEXT NOT NULL,
    content TEXT NOT NULL,
    due_at INTEGER NOT NULL,
    PRIMARY KEY (account, wish)
);
CREATE INDEX held_letters_due ON held_letters (due_at);
