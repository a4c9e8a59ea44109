CREATE TABLE clock_seen (
    id INTEGER PRIMARY KEY,
    seen INTEGER NOT NULL,
    pause_until INTEGER NOT NULL
);
