-- The life of alerts: their history, and the incidents they belong to.

-- Every change of an alert takes the next number, whether it leaves a line of history or only makes it grow: one row.
CREATE TABLE alert_sequence (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    number INTEGER NOT NULL
) STRICT;
INSERT INTO alert_sequence (id, number) VALUES (1, 0);

-- What happened to alerts, and what people did with them.
CREATE TABLE alert_history (
    number INTEGER PRIMARY KEY,
    alert  TEXT NOT NULL,
    at     INTEGER NOT NULL,
    author TEXT,                         -- null: Watchfire itself
    what   TEXT NOT NULL,                -- opened, acknowledged, resolved …
    body   TEXT NOT NULL                 -- JSON: from, to, note, other
) STRICT;
CREATE INDEX alert_history_alert ON alert_history (alert, number);

ALTER TABLE alert ADD COLUMN changed INTEGER NOT NULL DEFAULT 0; -- the number of its last change
ALTER TABLE alert ADD COLUMN incident TEXT;
CREATE INDEX alert_changed ON alert (changed);
CREATE INDEX alert_merged ON alert (merged_into) WHERE merged_into IS NOT NULL;
CREATE INDEX alert_incident ON alert (incident) WHERE incident IS NOT NULL;

ALTER TABLE triage ADD COLUMN duplicate_of TEXT;
ALTER TABLE triage ADD COLUMN findings INTEGER NOT NULL DEFAULT 0; -- the alert's when it came to this state
ALTER TABLE triage ADD COLUMN ended_at INTEGER NOT NULL DEFAULT 0; -- its last finding's event time then

-- Alerts that were there before.
UPDATE alert SET changed = numbered.number FROM
    (SELECT id AS of_alert, row_number() OVER (ORDER BY created_at, position, id) AS number FROM alert) AS numbered
    WHERE numbered.of_alert = alert.id;
INSERT INTO alert_history (number, alert, at, what, body) SELECT changed, id, created_at, 'opened', '{}' FROM alert;
UPDATE alert_sequence SET number = (SELECT count(*) FROM alert);

-- Alerts about one author or entity that came one after the other. What else is shown of it is its alerts'.
CREATE TABLE incident (
    id          TEXT NOT NULL PRIMARY KEY,
    about       TEXT NOT NULL,           -- what its alerts have in common
    first_at    INTEGER NOT NULL,        -- event time
    last_at     INTEGER NOT NULL,        -- event time
    created_at  INTEGER NOT NULL,
    merged_into TEXT                     -- where its alerts went, if all of them went up in another's
) STRICT;
CREATE INDEX incident_about ON incident (about, last_at);
CREATE INDEX incident_last ON incident (last_at, id);

-- What the configuration says of alerts, for whoever changes one: the command line does so beside the daemon.
CREATE TABLE alert_terms (
    id           INTEGER PRIMARY KEY CHECK (id = 1),
    incident_gap INTEGER NOT NULL
) STRICT;
INSERT INTO alert_terms (id, incident_gap) VALUES (1, 86400000);
CREATE TABLE action_wants (
    action   TEXT NOT NULL,
    occasion TEXT NOT NULL,
    PRIMARY KEY (action, occasion)
) STRICT, WITHOUT ROWID;
