-- What is held back, and what is told together.

-- Where the events of each alert happened, and what held it back first, if anything did.
CREATE TABLE scene (
    alert   TEXT NOT NULL PRIMARY KEY,
    rule    TEXT NOT NULL,
    source  TEXT NOT NULL,               -- of the event that completed it; empty where it was the clock
    at      INTEGER NOT NULL,            -- when the alert was committed
    held    TEXT,                        -- silence, maintenance, inhibition, storm
    counted INTEGER NOT NULL,            -- whether the storm guard counts it
    body    TEXT NOT NULL
) STRICT;
CREATE INDEX scene_rule ON scene (rule, source, counted, at);
CREATE INDEX scene_at ON scene (at);
CREATE INDEX alert_updated ON alert (updated_at);

-- Which action was not set off for an alert, or not yet, and why. An empty action: none was due.
CREATE TABLE held (
    alert  TEXT NOT NULL,
    action TEXT NOT NULL,
    by     TEXT NOT NULL,                -- silence, maintenance, inhibition, storm, group
    which  TEXT NOT NULL,
    why    TEXT NOT NULL,
    at     INTEGER NOT NULL,
    PRIMARY KEY (alert, action, by, which)
) STRICT, WITHOUT ROWID;
CREATE TABLE held_total (
    by    TEXT NOT NULL PRIMARY KEY,
    count INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE silence (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    matchers   TEXT NOT NULL,            -- a JSON list of texts
    reason     TEXT NOT NULL,
    owner      TEXT NOT NULL,
    starts_at  INTEGER NOT NULL,
    ends_at    INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    ended_at   INTEGER,
    ended_by   TEXT,
    end_reason TEXT
) STRICT;
CREATE INDEX silence_ends ON silence (ends_at) WHERE ended_at IS NULL;

-- Alerts that one action tells together.
CREATE TABLE alert_group (
    id       TEXT NOT NULL PRIMARY KEY,
    action   TEXT NOT NULL,
    key      TEXT NOT NULL,
    open     TEXT,                       -- the delivery that nobody has tried yet
    size     INTEGER NOT NULL,           -- alerts in it
    last_due INTEGER NOT NULL            -- of the newest delivery
) STRICT;
CREATE INDEX alert_group_open ON alert_group (open) WHERE open IS NOT NULL;
CREATE TABLE delivery_alert (
    delivery TEXT NOT NULL,
    number   INTEGER NOT NULL,
    alert    TEXT NOT NULL,
    grouped  TEXT NOT NULL,              -- the group
    PRIMARY KEY (delivery, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX delivery_alert_alert ON delivery_alert (alert);
CREATE INDEX delivery_alert_group ON delivery_alert (grouped);

-- What is to be told later, if it is still so then.
CREATE TABLE followup (
    id     TEXT NOT NULL PRIMARY KEY,
    kind   TEXT NOT NULL,                -- reminder, escalation, group, group_open, storm, silence
    about  TEXT NOT NULL,                -- an alert, a group, a storm, a silence
    action TEXT NOT NULL,
    step   INTEGER NOT NULL,             -- how often it was told
    span   INTEGER NOT NULL,             -- how long after the time before; 0: once
    due_at INTEGER NOT NULL
) STRICT;
CREATE INDEX followup_due ON followup (due_at);
CREATE INDEX followup_about ON followup (about);

-- Rules and sources that raise more alerts than are told one by one.
CREATE TABLE storm (
    rule      TEXT NOT NULL,
    source    TEXT NOT NULL,
    began_at  INTEGER NOT NULL,
    held      INTEGER NOT NULL,          -- alerts since the last summary
    total     INTEGER NOT NULL,          -- alerts since it began
    responses INTEGER NOT NULL,          -- responses that were held back since it began
    level     TEXT NOT NULL,
    actions   TEXT NOT NULL,             -- a JSON list
    PRIMARY KEY (rule, source)
) STRICT, WITHOUT ROWID;
