CREATE TABLE clock_seen (
    id BIGINT PRIMARY KEY,
    seen BIGINT NOT NULL,
    pause_until BIGINT NOT NULL
);
