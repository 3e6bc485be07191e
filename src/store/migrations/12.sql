-- What is decided about alerts is found by indexes, however many there are, and goes when they go.

ALTER TABLE alert ADD COLUMN resolved INTEGER NOT NULL DEFAULT 0; -- whether `triage` says so
ALTER TABLE alert ADD COLUMN told INTEGER NOT NULL DEFAULT 0;     -- whether nothing held it back
UPDATE alert SET resolved = 1 WHERE id IN (SELECT alert FROM triage WHERE state = 'resolved');
UPDATE alert SET told = 1 WHERE id IN (SELECT alert FROM scene WHERE held IS NULL);
-- Those that may hold others back, and those that keep an incident open.
CREATE INDEX alert_told ON alert (updated_at, rule, level, told, resolved, merged_into)
    WHERE told = 1 AND resolved = 0 AND merged_into IS NULL;
CREATE INDEX alert_unresolved ON alert (incident) WHERE resolved = 0 AND merged_into IS NULL;

-- The alerts of each group, in the order in which they joined it.
CREATE TABLE group_alert (
    number  INTEGER PRIMARY KEY,
    grouped TEXT NOT NULL,               -- the group
    alert   TEXT NOT NULL,
    state   TEXT NOT NULL,               -- as `triage` says
    UNIQUE (alert, grouped)
) STRICT;
CREATE INDEX group_alert_state ON group_alert (grouped, state, number);
INSERT OR IGNORE INTO group_alert (grouped, alert, state)
    SELECT d.grouped, d.alert, coalesce(t.state, 'open') FROM delivery_alert AS d
    JOIN alert AS a ON a.id = d.alert LEFT JOIN triage AS t ON t.alert = d.alert
    WHERE a.merged_into IS NULL ORDER BY a.created_at, a.position;
DROP INDEX delivery_alert_group;

-- The group that a delivery tells of.
ALTER TABLE outbox ADD COLUMN grouped TEXT;
UPDATE outbox SET grouped = (SELECT d.grouped FROM delivery_alert AS d WHERE d.delivery = outbox.id LIMIT 1)
    WHERE id IN (SELECT delivery FROM delivery_alert);
CREATE INDEX outbox_pending_group ON outbox (grouped) WHERE state = 0 AND grouped IS NOT NULL;

-- Whoever changes where an alert stands cannot forget those.
CREATE TRIGGER triage_added AFTER INSERT ON triage BEGIN
    UPDATE alert SET resolved = (new.state = 'resolved') WHERE id = new.alert;
    UPDATE group_alert SET state = new.state WHERE alert = new.alert;
END;
CREATE TRIGGER triage_changed AFTER UPDATE OF state ON triage WHEN new.state <> old.state BEGIN
    UPDATE alert SET resolved = (new.state = 'resolved') WHERE id = new.alert;
    UPDATE group_alert SET state = new.state WHERE alert = new.alert;
END;
CREATE TRIGGER alert_went_up AFTER UPDATE OF merged_into ON alert
    WHEN new.merged_into IS NOT NULL AND old.merged_into IS NULL BEGIN
    DELETE FROM group_alert WHERE alert = new.id;
END;

-- By these the old is found that goes.
CREATE INDEX alert_group_rests ON alert_group (last_due) WHERE open IS NULL;
CREATE INDEX incident_merged ON incident (merged_into) WHERE merged_into IS NOT NULL;
CREATE INDEX silence_over ON silence (coalesce(ended_at, ends_at));
