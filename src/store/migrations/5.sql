-- Mails of reports that are not delivered yet. The rows of the outbox are of kind 2.
CREATE TABLE report_mail (
    id     TEXT NOT NULL UNIQUE,         -- the delivery's
    length INTEGER NOT NULL,             -- before compression
    bytes  BLOB NOT NULL                 -- zstd, JSON
) STRICT;
