-- Why an action is told of an alert: `opened`, `reminder`, `resolved` …
ALTER TABLE outbox ADD COLUMN occasion TEXT NOT NULL DEFAULT 'opened';

-- What people make of an alert; one that nobody has touched has no row.
CREATE TABLE triage (
    alert      TEXT NOT NULL PRIMARY KEY,
    state      TEXT NOT NULL,            -- open, acknowledged, resolved
    assignee   TEXT,
    verdict    TEXT,
    note       TEXT,
    changed_at INTEGER NOT NULL,
    changed_by TEXT NOT NULL
) STRICT;
CREATE INDEX triage_state ON triage (state);

-- Messages that are no alerts. A delivery of one has `notice/` and its id in place of an alert.
CREATE TABLE notice (
    id         TEXT NOT NULL PRIMARY KEY,
    body       TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
