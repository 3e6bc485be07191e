-- The accounts that the tokens of responses belong to: Watchfire itself.
CREATE TABLE own_account (
    action    TEXT NOT NULL PRIMARY KEY,    -- whose token told it
    forge     TEXT NOT NULL,
    id        TEXT NOT NULL,                -- as in author_id
    name      TEXT NOT NULL,
    by_name   INTEGER NOT NULL,             -- whether events may have nothing but the name
    learnt_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Whether responses to an alert only rehearse, by what its rule said when it was committed.
ALTER TABLE scene ADD COLUMN rehearses INTEGER NOT NULL DEFAULT 0;

-- What an incident is called that is about a limit of responses; null: as its gravest alert.
ALTER TABLE incident ADD COLUMN title TEXT;
