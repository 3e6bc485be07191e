-- Stretches of time in which a source could not be heard, or that somebody asked to be fetched again.
CREATE TABLE gap (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    source     TEXT NOT NULL,
    begins     INTEGER NOT NULL,
    ends       INTEGER NOT NULL,
    asked      INTEGER NOT NULL,         -- 0 a stop of the daemon, 1 somebody asked
    state      INTEGER NOT NULL,         -- 0 open, 1 filled, 2 partly, 3 blind
    filled     INTEGER NOT NULL,         -- events that were fetched and stored
    why        TEXT,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX gap_open ON gap (source) WHERE state = 0;
