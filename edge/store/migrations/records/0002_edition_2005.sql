-- A payload kept for later is a text in the terms of the edition that the platform spoke then

ALTER TABLE payload ADD COLUMN edition TEXT NOT NULL DEFAULT '2017';

CREATE TABLE alarm_2005 (           -- a limit that a platform of edition 2005 set was passed, or is kept again
    at       INTEGER NOT NULL,      -- UTC ms
    platform INTEGER NOT NULL,
    outlet   INTEGER NOT NULL,
    factor   INTEGER NOT NULL,
    value    REAL NOT NULL,         -- in the factor's unit
    over     INTEGER NOT NULL,      -- 1 passed, 0 kept again
    PRIMARY KEY (at, platform, outlet, factor)
) STRICT, WITHOUT ROWID;
