-- Who may use the API. The secret itself is not kept.
CREATE TABLE token (
    id           TEXT NOT NULL PRIMARY KEY, -- the public part of the token, in hex
    name         TEXT NOT NULL,
    role         INTEGER NOT NULL,          -- 0 viewer to 3 admin
    salt         BLOB NOT NULL,
    hash         BLOB NOT NULL,             -- argon2id of the secret part
    memory       INTEGER NOT NULL,          -- KiB, its cost
    passes       INTEGER NOT NULL,          -- its cost
    created_at   INTEGER NOT NULL,
    created_by   TEXT NOT NULL,
    expires_at   INTEGER,
    last_used_at INTEGER,
    revoked_at   INTEGER
) STRICT;
-- Of those that are not revoked, a name means one.
CREATE UNIQUE INDEX token_name ON token (name) WHERE revoked_at IS NULL;

-- What somebody changed. Each row's hash is BLAKE3 over the hash before it and the row: `audit.rs` has the form.
CREATE TABLE audit (
    number  INTEGER PRIMARY KEY,            -- 1, 2, 3, none left out
    at      INTEGER NOT NULL,
    author  TEXT NOT NULL,
    address TEXT NOT NULL,
    what    TEXT NOT NULL,
    request TEXT NOT NULL,
    outcome TEXT NOT NULL,
    hash    BLOB NOT NULL
) STRICT;
CREATE INDEX audit_author ON audit (author, number);
-- These keep mistakes away; the chain finds what is done on purpose.
CREATE TRIGGER audit_stays BEFORE UPDATE ON audit BEGIN
    SELECT raise(ABORT, 'the audit log is only added to');
END;
CREATE TRIGGER audit_is_kept BEFORE DELETE ON audit BEGIN
    SELECT raise(ABORT, 'the audit log is only added to');
END;

-- Where the chain stands, so that rows missing at its end are noticed: one row.
CREATE TABLE audit_head (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    number INTEGER NOT NULL,
    hash   BLOB NOT NULL
) STRICT;
INSERT INTO audit_head (id, number, hash) VALUES (1, 0, zeroblob(32));

-- Deliveries and alerts are listed page by page.
CREATE INDEX outbox_created ON outbox (created_at, id);
