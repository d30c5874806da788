CREATE TABLE info (                 -- last known states, parameters and identities: what is seen next is compared with it
    owner  TEXT NOT NULL,           -- an instrument, a line, a platform; '' is the logger
    outlet TEXT NOT NULL,           -- '' where it is of no single outlet
    factor TEXT NOT NULL,           -- '' where it is of no single pollutant
    info   TEXT NOT NULL,           -- InfoId (Table B.10), or SN
    value  TEXT NOT NULL,           -- as on the wire
    since  INTEGER NOT NULL,        -- UTC ms: when it was seen first
    PRIMARY KEY (owner, outlet, factor, info)
) STRICT, WITHOUT ROWID;

CREATE TABLE log_cursor (           -- how far the journal has been taken into the outbox as logs (CN 3020)
    platform INTEGER NOT NULL,
    outlet   INTEGER NOT NULL,
    entry    INTEGER NOT NULL,      -- the last entry that was taken, or passed over
    dropped  INTEGER NOT NULL DEFAULT 0, -- entries passed over, since newer ones had no room
    PRIMARY KEY (platform, outlet)
) STRICT, WITHOUT ROWID;

CREATE TABLE log_upload (           -- deliveries that carry a log: only so many wait in the outbox
    delivery INTEGER PRIMARY KEY,
    platform INTEGER NOT NULL,
    outlet   INTEGER NOT NULL
) STRICT;
