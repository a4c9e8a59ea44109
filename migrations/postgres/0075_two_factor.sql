CREATE TABLE two_factor (
    user_id BIGINT PRIMARY KEY REFERENCES virtual_users (id) ON DELETE CASCADE,
    secret TEXT NOT NULL,
    made_at BIGINT NOT NULL,
    confirmed_at BIGINT,
    last_step BIGINT NOT NULL DEFAULT 0,
    tries BIGINT NOT NULL DEFAULT 0,
    tried_at BIGINT NOT NULL DEFAULT 0
);
