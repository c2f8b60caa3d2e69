-- SQLite cannot drop a column's UNIQUE, so the table is built anew.
CREATE TABLE users_with_deleted (
    id         BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),
    name       TEXT NOT NULL,
    -- Kept in lower case: two spellings are one address.
    email      TEXT NOT NULL,
    -- RFC 3339, UTC.
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    -- Set once, when the user is deleted: nobody finds the row from then on.
    deleted_at TEXT
) STRICT;

INSERT INTO users_with_deleted SELECT id, name, email, created_at, updated_at, NULL FROM users;
DROP TABLE users;
ALTER TABLE users_with_deleted RENAME TO users;

-- Unique among those who live: whoever was deleted can come back under the same address.
CREATE UNIQUE INDEX users_email ON users (email) WHERE deleted_at IS NULL;
