-- May be lost without losing a record that was sealed.

CREATE TABLE channel (              -- an outlet's factor as a small number
    id     INTEGER PRIMARY KEY,
    outlet TEXT NOT NULL,
    factor TEXT NOT NULL,
    UNIQUE (outlet, factor)
) STRICT;

CREATE TABLE tick (                 -- all samples of one slot, packed (samples.py)
    time INTEGER PRIMARY KEY,       -- UTC ms
    data BLOB NOT NULL
) STRICT;

CREATE TABLE link (                 -- last packets in and out, for the technician
    id       INTEGER PRIMARY KEY,
    at       INTEGER NOT NULL,
    platform TEXT NOT NULL,
    outlet   TEXT,
    incoming INTEGER NOT NULL,
    data     BLOB NOT NULL,
    verdict  TEXT NOT NULL          -- a code of the catalogue; '' where there is nothing to say
) STRICT;
