-- Responses: what was done to whom, who approved, and how it is undone.
CREATE TABLE response (
    id         TEXT NOT NULL PRIMARY KEY, -- the delivery's
    alert      TEXT,                      -- none: a person asked for it without one
    rule       TEXT,
    action     TEXT NOT NULL,
    status     TEXT NOT NULL,             -- the words of `ResponseStatus`
    dry_run    INTEGER NOT NULL,
    identity   TEXT,                      -- forge and id of whom it hits, as a tuple
    counted_at INTEGER,                   -- since when it counts for the limits; none: it does not
    acted_at   INTEGER,
    expires_at INTEGER,                   -- of an approval that is waited for
    undo       TEXT NOT NULL,             -- the words of `UndoStatus`
    undoing    TEXT NOT NULL UNIQUE,      -- the id of the delivery that would undo it
    created_at INTEGER NOT NULL,
    body       TEXT NOT NULL              -- all of it, as JSON
) STRICT;
CREATE INDEX response_created ON response (created_at, id);
CREATE INDEX response_counted ON response (counted_at) WHERE counted_at IS NOT NULL;
CREATE INDEX response_identity ON response (identity, action) WHERE identity IS NOT NULL;
CREATE INDEX response_waiting ON response (expires_at) WHERE status = 'waiting';
CREATE INDEX response_alert ON response (alert) WHERE alert IS NOT NULL;
CREATE INDEX response_rule ON response (rule, created_at) WHERE rule IS NOT NULL;

-- Each change of a response. The audit log has a row for each, too; these are told as events.
CREATE TABLE response_step (
    number   INTEGER PRIMARY KEY AUTOINCREMENT,
    response TEXT NOT NULL,
    at       INTEGER NOT NULL,
    status   TEXT NOT NULL,
    author   TEXT NOT NULL,
    summary  TEXT NOT NULL
) STRICT;
CREATE INDEX response_step_of ON response_step (response, number);

-- Links that were used: each decides once.
CREATE TABLE response_link (
    hash    TEXT NOT NULL PRIMARY KEY,
    used_at INTEGER NOT NULL
) STRICT;

-- Since when which limit has told people that it was reached.
CREATE TABLE response_limit (
    name      TEXT NOT NULL PRIMARY KEY,
    noticed_at INTEGER NOT NULL
) STRICT;

-- Whether all responses are stopped: a row for each time they were.
CREATE TABLE response_stop (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    stopped_at INTEGER NOT NULL,
    stopped_by TEXT NOT NULL,
    reason     TEXT NOT NULL,
    resumed_at INTEGER,
    resumed_by TEXT
) STRICT;
