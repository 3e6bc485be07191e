-- Times are milliseconds since 1970, UTC. JSON bodies are what the structs of `row.rs` serialise to.

-- How far detection came: one row.
CREATE TABLE progress (
    id                INTEGER PRIMARY KEY CHECK (id = 1),
    position          INTEGER NOT NULL,
    snapshot_position INTEGER,           -- the newest snapshot's
    at                INTEGER NOT NULL
) STRICT;
INSERT INTO progress (id, position, at) VALUES (1, 0, 0);

-- The detection state at a position; the newest two are kept.
CREATE TABLE snapshot (
    position INTEGER PRIMARY KEY,
    length   INTEGER NOT NULL,           -- before compression
    bytes    BLOB NOT NULL               -- zstd with a checksum
) STRICT;

CREATE TABLE alert (
    id          TEXT NOT NULL PRIMARY KEY,
    rule        TEXT NOT NULL,
    level       INTEGER NOT NULL,        -- 0 informational to 4 critical
    position    INTEGER NOT NULL,
    started_at  INTEGER NOT NULL,        -- event time
    last_at     INTEGER NOT NULL,        -- event time
    key         TEXT NOT NULL,
    findings    INTEGER NOT NULL,
    merged_into TEXT,
    body        TEXT NOT NULL,
    created_at  INTEGER NOT NULL,        -- when it was committed
    updated_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX alert_last ON alert (last_at, position);
CREATE INDEX alert_rule ON alert (rule, last_at, position);
CREATE INDEX alert_findings ON alert (findings) WHERE merged_into IS NULL;

CREATE TABLE outbox (
    id         TEXT NOT NULL PRIMARY KEY,
    alert      TEXT NOT NULL,
    action     TEXT NOT NULL,
    kind       INTEGER NOT NULL,         -- 0 respond, 1 notify
    created_at INTEGER NOT NULL,
    due_at     INTEGER NOT NULL,
    attempts   INTEGER NOT NULL,
    state      INTEGER NOT NULL,         -- 0 pending, 1 done, 2 dead
    last_error TEXT,
    outcome    TEXT,
    changed    INTEGER NOT NULL,         -- whether the outcome changed the world
    settled_at INTEGER
) STRICT;
CREATE INDEX outbox_alert ON outbox (alert, kind, state);
CREATE INDEX outbox_pending ON outbox (due_at) WHERE state = 0;
CREATE INDEX outbox_pending_action ON outbox (action, due_at) WHERE state = 0;
CREATE INDEX outbox_state ON outbox (state);
CREATE INDEX outbox_changed ON outbox (action, settled_at) WHERE changed = 1 AND kind = 0;

-- What could not be judged, summed by rule and reason.
CREATE TABLE ledger (
    rule   TEXT NOT NULL,
    reason TEXT NOT NULL,
    count  INTEGER NOT NULL,
    first  INTEGER NOT NULL,
    last   INTEGER NOT NULL,
    detail TEXT,
    PRIMARY KEY (rule, reason)
) STRICT, WITHOUT ROWID;

-- Where other readers of the log and of files stand, in their own formats.
CREATE TABLE checkpoint (
    name  TEXT NOT NULL PRIMARY KEY,
    bytes BLOB NOT NULL
) STRICT;

-- Bodies that could not be decoded.
CREATE TABLE rejected (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    source      TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    reason      TEXT NOT NULL,
    type_hint   TEXT,
    size        INTEGER NOT NULL,
    replayed_at INTEGER,
    body        BLOB NOT NULL
) STRICT;
CREATE INDEX rejected_replayed ON rejected (id) WHERE replayed_at IS NOT NULL;
CREATE INDEX rejected_waiting ON rejected (id) WHERE replayed_at IS NULL;

-- Kept by triggers: adding up would read the whole table at every rejection.
CREATE TABLE rejected_total (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    count INTEGER NOT NULL,
    bytes INTEGER NOT NULL
) STRICT;
INSERT INTO rejected_total (id, count, bytes) VALUES (1, 0, 0);
CREATE TRIGGER rejected_added AFTER INSERT ON rejected BEGIN
    UPDATE rejected_total SET count = count + 1, bytes = bytes + new.size;
END;
CREATE TRIGGER rejected_removed AFTER DELETE ON rejected BEGIN
    UPDATE rejected_total SET count = count - 1, bytes = bytes - old.size;
END;
