-- How many responses stand where is asked each time the metrics are read, and which are in force when they are undone.
CREATE INDEX response_standing ON response (status, undo, dry_run);
