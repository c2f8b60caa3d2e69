CREATE TABLE users (
    -- UUIDs of version 7, so their order is the order of creation.
    id         UUID PRIMARY KEY,
    name       TEXT NOT NULL,
    -- Kept in lower case: two spellings are one address.
    email      TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    -- Set once, when the user is deleted: nobody finds the row from then on.
    deleted_at TIMESTAMPTZ
);

-- Unique among those who live: whoever was deleted can come back under the same address.
CREATE UNIQUE INDEX users_email ON users (email) WHERE deleted_at IS NULL;
