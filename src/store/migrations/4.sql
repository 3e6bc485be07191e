-- Legal holds: what their queries find is not deleted. None is ever removed.
CREATE TABLE hold (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    query      TEXT NOT NULL,
    reason     TEXT NOT NULL,
    owner      TEXT NOT NULL,
    until      INTEGER,                  -- it ends by itself then
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    ended_at   INTEGER,
    ended_by   TEXT,
    end_reason TEXT
) STRICT;
