-- What is filed with the authority from the command line, and the samples that samplers have kept.

CREATE TABLE filed (                -- append-only: of the entries that have begun, that of the latest day holds
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    at        INTEGER NOT NULL,     -- UTC ms: when it was entered
    owner     TEXT NOT NULL,        -- an instrument, or an outlet for a constant of the site file
    outlet    TEXT NOT NULL,
    factor    TEXT NOT NULL,        -- '' where it is of no single pollutant
    parameter TEXT NOT NULL,        -- InfoId (Table B.10), or the constant's key
    value     TEXT NOT NULL,
    tolerance REAL NOT NULL,
    unit      TEXT,
    since     INTEGER NOT NULL,     -- UTC ms: the day from which it holds
    filed_no  TEXT NOT NULL,
    filed_by  TEXT NOT NULL
) STRICT;
CREATE TRIGGER filed_no_update BEFORE UPDATE ON filed BEGIN SELECT RAISE(ABORT, 'filings are append-only'); END;
CREATE TRIGGER filed_no_delete BEFORE DELETE ON filed BEGIN SELECT RAISE(ABORT, 'filings are append-only'); END;

CREATE TABLE kept_sample (          -- the keep log of the samplers
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    at         INTEGER NOT NULL,    -- UTC ms
    instrument TEXT NOT NULL,
    outlet     TEXT NOT NULL,
    bottle     INTEGER,             -- null: it was not named; 0: all bottles were taken out
    volume     REAL,                -- mL
    cause      TEXT NOT NULL,       -- platform, alarm, operator, timed; emptied
    who        TEXT NOT NULL,       -- the platform, the alarm's factor, the person
    reason     TEXT NOT NULL
) STRICT;
CREATE INDEX kept_sample_of ON kept_sample (instrument, id);
CREATE TRIGGER kept_sample_no_update BEFORE UPDATE ON kept_sample
BEGIN SELECT RAISE(ABORT, 'the keep log is append-only'); END;
CREATE TRIGGER kept_sample_no_delete BEFORE DELETE ON kept_sample
BEGIN SELECT RAISE(ABORT, 'the keep log is append-only'); END;
