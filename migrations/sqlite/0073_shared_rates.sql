CREATE TABLE shared_rates (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    process TEXT NOT NULL,
    at INTEGER NOT NULL,
    rate TEXT NOT NULL,
    micros INTEGER NOT NULL
);
CREATE INDEX shared_rates_at ON shared_rates (at);
