CREATE TABLE queue_samples (
    at BIGINT PRIMARY KEY,
    entries BIGINT NOT NULL,
    waiting BIGINT NOT NULL,
    held BIGINT NOT NULL,
    oldest BIGINT
);
