-- Keys start with time: rows of one tick stand together, which spares flash.

CREATE TABLE name (                 -- outlets, factors, platforms: a small number instead of a text in every row
    id   INTEGER PRIMARY KEY,
    text TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE meta (                 -- single values: last QN, how far retention has come
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE record (
    start    INTEGER NOT NULL,      -- UTC ms
    kind     INTEGER NOT NULL,      -- 1 minute, 2 hour, 3 day
    outlet   INTEGER NOT NULL,
    factor   INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    min REAL, avg REAL, max REAL,
    zs_min REAL, zs_avg REAL, zs_max REAL,
    cou REAL,
    count INTEGER NOT NULL,
    mark  TEXT NOT NULL,
    PRIMARY KEY (start, kind, outlet, factor, revision)
) STRICT, WITHOUT ROWID;

CREATE TABLE sealed (               -- the newest sealed label, without a search through the records
    outlet INTEGER NOT NULL,
    kind   INTEGER NOT NULL,
    last   INTEGER NOT NULL,
    PRIMARY KEY (outlet, kind)
) STRICT, WITHOUT ROWID;

CREATE TABLE delivery (
    id          INTEGER PRIMARY KEY,
    platform    INTEGER NOT NULL,
    outlet      INTEGER NOT NULL,
    cn          TEXT NOT NULL,
    start       INTEGER NOT NULL,
    "end"       INTEGER,            -- of the period whose records are sent; null: one record period, or a payload
    revision    INTEGER NOT NULL,
    kept        INTEGER NOT NULL,   -- 1: kept until answered; 0: expires
    created     INTEGER NOT NULL,
    state       INTEGER NOT NULL DEFAULT 0, -- 0 open, 1 aside (refused), 2 delivered, 3 unconfirmed, 4 expired
    attempts    INTEGER NOT NULL DEFAULT 0, -- rounds without an answer
    refusals    INTEGER NOT NULL DEFAULT 0,
    retry_after INTEGER NOT NULL DEFAULT 0,
    issue       INTEGER NOT NULL DEFAULT 0, -- number of the packets sent last
    backfilled  INTEGER NOT NULL DEFAULT 0,
    done_at     INTEGER
) STRICT;
CREATE UNIQUE INDEX delivery_key ON delivery (start, platform, outlet, cn, revision);
CREATE INDEX delivery_open ON delivery (platform, outlet, cn, state, start) WHERE state < 2;

CREATE TABLE packet (
    qn          INTEGER PRIMARY KEY,        -- 17 digits
    delivery    INTEGER NOT NULL,
    issue       INTEGER NOT NULL,
    pno         INTEGER NOT NULL,
    pnum        INTEGER NOT NULL,
    created     INTEGER NOT NULL,
    written_at  INTEGER,                    -- where no answer is asked for
    answered_at INTEGER,
    refused     TEXT                        -- the platform's code
) STRICT;
CREATE INDEX packet_delivery ON packet (delivery);

-- Bytes stand apart: a change of state would write them again with their row

CREATE TABLE payload (
    delivery INTEGER PRIMARY KEY,
    data     BLOB NOT NULL
) STRICT;

CREATE TABLE frame (                -- goes a day after the delivery is done
    qn   INTEGER PRIMARY KEY,
    data BLOB NOT NULL
) STRICT;

CREATE TABLE tally (                -- deliveries counted where their state changes; survives retention
    platform INTEGER NOT NULL,
    outlet   INTEGER NOT NULL,
    cn       TEXT NOT NULL,
    kept        INTEGER NOT NULL DEFAULT 0, -- kept deliveries ever enqueued
    kept_done   INTEGER NOT NULL DEFAULT 0, -- of these: answered or unconfirmed
    sent        INTEGER NOT NULL DEFAULT 0,
    answered    INTEGER NOT NULL DEFAULT 0,
    backfilled  INTEGER NOT NULL DEFAULT 0,
    unconfirmed INTEGER NOT NULL DEFAULT 0,
    expired     INTEGER NOT NULL DEFAULT 0,
    gave_up     INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (platform, outlet, cn)
) STRICT, WITHOUT ROWID;

CREATE TABLE setting (              -- set by a platform over the wire; outlet '' is the whole platform
    platform TEXT NOT NULL,
    outlet   TEXT NOT NULL,
    name     TEXT NOT NULL,
    value    TEXT NOT NULL,         -- JSON
    origin   TEXT NOT NULL,
    at       INTEGER NOT NULL,
    PRIMARY KEY (platform, outlet, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE journal (
    id     INTEGER PRIMARY KEY AUTOINCREMENT, -- the sequence remembers the last number when the last row is cut off
    at     INTEGER NOT NULL,
    who    TEXT NOT NULL,
    action TEXT NOT NULL,
    detail TEXT NOT NULL,           -- canonical JSON
    hash   BLOB NOT NULL            -- SHA-256 of the hash before and of this entry
) STRICT;
CREATE TRIGGER journal_no_update BEFORE UPDATE ON journal BEGIN SELECT RAISE(ABORT, 'journal is append-only'); END;
CREATE TRIGGER journal_no_delete BEFORE DELETE ON journal BEGIN SELECT RAISE(ABORT, 'journal is append-only'); END;
-- INSERT OR REPLACE deletes without firing the trigger above
CREATE TRIGGER journal_no_replace BEFORE INSERT ON journal WHEN EXISTS (SELECT 1 FROM journal WHERE id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'journal is append-only'); END;

CREATE TABLE receipt (              -- evidence of the official connection time
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    platform      TEXT NOT NULL,
    outlet        TEXT NOT NULL,
    mn            TEXT NOT NULL,
    address       TEXT NOT NULL,
    role          TEXT NOT NULL,
    joint_test    INTEGER NOT NULL,
    confirmed     INTEGER NOT NULL,
    qn            TEXT NOT NULL,
    cn            TEXT NOT NULL,
    packet        BLOB NOT NULL,
    answer        BLOB NOT NULL,
    packet_sha256 TEXT NOT NULL,
    answer_sha256 TEXT NOT NULL,
    written_ms    INTEGER NOT NULL,
    official_ms   INTEGER NOT NULL,
    peer          TEXT NOT NULL,
    clock         TEXT NOT NULL,
    digest        TEXT NOT NULL UNIQUE -- SHA-256 of the whole receipt as it stands in connection.jsonl
) STRICT;
CREATE INDEX receipt_key ON receipt (platform, outlet, mn, address, role);
CREATE TRIGGER receipt_no_update BEFORE UPDATE ON receipt BEGIN SELECT RAISE(ABORT, 'receipts are immutable'); END;
CREATE TRIGGER receipt_no_delete BEFORE DELETE ON receipt BEGIN SELECT RAISE(ABORT, 'receipts are immutable'); END;
CREATE TRIGGER receipt_no_replace BEFORE INSERT ON receipt
WHEN EXISTS (SELECT 1 FROM receipt WHERE id = NEW.id OR digest = NEW.digest)
BEGIN SELECT RAISE(ABORT, 'receipts are immutable'); END;
