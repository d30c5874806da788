-- Marks set by hand, maintenance, stops of the source: each row is the whole state of a mark after what was done.

CREATE TABLE mark_entry (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    number     INTEGER NOT NULL,      -- of the mark, the same in all its entries
    at         INTEGER NOT NULL,      -- UTC ms
    who        TEXT NOT NULL,         -- user of the logger, or the logger
    operator   TEXT NOT NULL,         -- the person's name
    action     TEXT NOT NULL,         -- add, end, correct, withdraw
    kind       TEXT NOT NULL,         -- mark, maintenance, stop
    points     TEXT NOT NULL,         -- JSON list: OUTLET/FACTOR, or OUTLET for all of it
    instrument TEXT,                  -- maintenance: at which one
    mark       TEXT,                  -- null: data keep their own mark
    class      TEXT,                  -- of the enterprise's mark
    item       TEXT,
    begin      INTEGER NOT NULL,
    "end"      INTEGER,               -- null: still open
    reason     TEXT NOT NULL,
    source     TEXT NOT NULL,         -- operator, input
    evidence   TEXT NOT NULL,         -- JSON: what a switch showed
    withdrawn  INTEGER NOT NULL
) STRICT;
CREATE INDEX mark_entry_number ON mark_entry (number, id);
CREATE TRIGGER mark_entry_no_update BEFORE UPDATE ON mark_entry
BEGIN SELECT RAISE(ABORT, 'marks are append-only'); END;
CREATE TRIGGER mark_entry_no_delete BEFORE DELETE ON mark_entry
BEGIN SELECT RAISE(ABORT, 'marks are append-only'); END;
CREATE TRIGGER mark_entry_no_replace BEFORE INSERT ON mark_entry
WHEN EXISTS (SELECT 1 FROM mark_entry WHERE id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'marks are append-only'); END;
