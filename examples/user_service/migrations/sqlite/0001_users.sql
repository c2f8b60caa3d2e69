-- Ids are UUIDs of version 7, so their order is the order of creation.
CREATE TABLE users (
    id         BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),
    name       TEXT NOT NULL,
    -- Kept in lower case: two spellings are one address.
    email      TEXT NOT NULL UNIQUE,
    -- RFC 3339, UTC.
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
) STRICT;
