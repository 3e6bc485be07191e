-- What belongs to a notice or to a report goes with it.
CREATE INDEX notice_created ON notice (created_at);
DELETE FROM report_mail WHERE id NOT IN (SELECT id FROM outbox);

-- The alerts of an incident, the gravest first: a message tells of them, however many there are.
CREATE INDEX alert_gravest ON alert (incident, level DESC, last_at DESC, id, rule, merged_into)
    WHERE incident IS NOT NULL AND merged_into IS NULL;

-- An incident that has alerts of its own went up in none.
UPDATE incident SET merged_into = NULL WHERE merged_into IS NOT NULL AND EXISTS
    (SELECT 1 FROM alert WHERE alert.incident = incident.id AND alert.merged_into IS NULL);
