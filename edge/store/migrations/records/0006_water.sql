-- Totalisers: what one showed at the end of each period of its flow; and the newest of it, without a search.

ALTER TABLE record ADD COLUMN total REAL;         -- m³
ALTER TABLE record ADD COLUMN total_at INTEGER;   -- UTC ms
ALTER TABLE record ADD COLUMN caught_up REAL;     -- m³ of cou that had passed while nothing was read

ALTER TABLE sealed ADD COLUMN total REAL;         -- of the outlet's minutes: the last reading that is in a sealed one
ALTER TABLE sealed ADD COLUMN total_at INTEGER;

-- Batch analyzers: each result as the analyzer gave it; and an hour's late factor as a delivery of its own.

CREATE TABLE result (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    outlet    INTEGER NOT NULL,
    factor    INTEGER NOT NULL,
    sampled   INTEGER NOT NULL,     -- UTC ms, as are the next two
    completed INTEGER NOT NULL,
    seen      INTEGER NOT NULL,
    value     REAL,
    mark      TEXT NOT NULL,
    kind      TEXT NOT NULL,        -- sample, check, blank, calibration, unknown
    identity  TEXT NOT NULL
) STRICT;
CREATE INDEX result_sampled ON result (outlet, factor, sampled);
CREATE TRIGGER result_no_update BEFORE UPDATE ON result BEGIN SELECT RAISE(ABORT, 'results are never changed'); END;
CREATE TRIGGER result_no_delete BEFORE DELETE ON result BEGIN SELECT RAISE(ABORT, 'results are never changed'); END;
CREATE TRIGGER result_no_replace BEFORE INSERT ON result WHEN EXISTS (SELECT 1 FROM result WHERE id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'results are never changed'); END;

ALTER TABLE delivery ADD COLUMN factor INTEGER NOT NULL DEFAULT 0; -- 0: all that have no delivery of their own
DROP INDEX delivery_key;
CREATE UNIQUE INDEX delivery_key ON delivery (start, platform, outlet, cn, revision, factor);
