CREATE TABLE alarm (                -- over-limit values and faults of instruments, each from its beginning to its end
    id     INTEGER PRIMARY KEY,
    outlet TEXT NOT NULL,
    factor TEXT NOT NULL,
    kind   TEXT NOT NULL,
    begin  INTEGER NOT NULL,        -- UTC ms
    "end"  INTEGER,                 -- null: it goes on
    peak   REAL,
    "limit" REAL,
    action TEXT                     -- what was done on it, and how that ended
) STRICT;
CREATE UNIQUE INDEX alarm_key ON alarm (begin, outlet, factor, kind);
CREATE INDEX alarm_open ON alarm (begin) WHERE "end" IS NULL;
