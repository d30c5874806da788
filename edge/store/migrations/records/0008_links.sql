-- The link log: what on-line rate, drops, time to reconnect and delivery rate are computed from. QN, sent and answered
-- stand in packet and delivery, and are not kept twice.

CREATE TABLE run (                  -- when the daemon ran, while its clock was plausible
    began INTEGER PRIMARY KEY,      -- UTC ms
    ended INTEGER,                  -- null: it runs, or was killed and has not been started again
    how   TEXT                      -- stopped, killed (then `ended` is the last known moment)
) STRICT;

CREATE TABLE connected (            -- one row for each connection of a link
    began   INTEGER NOT NULL,
    link    INTEGER NOT NULL,       -- name of the platform, or platform/outlet
    address TEXT NOT NULL,          -- of the site file
    peer    TEXT NOT NULL,
    ended   INTEGER,
    cause   TEXT,
    detail  TEXT,
    PRIMARY KEY (began, link)
) STRICT, WITHOUT ROWID;

CREATE TABLE link_hour (            -- sums of an hour of a link
    hour      INTEGER NOT NULL,
    link      INTEGER NOT NULL,
    bytes_in  INTEGER NOT NULL,
    bytes_out INTEGER NOT NULL,
    sent      INTEGER NOT NULL,     -- packets written for the first time, and again
    resent    INTEGER NOT NULL,
    answered  INTEGER NOT NULL,
    trips     INTEGER NOT NULL,     -- round trips of packets that were written once
    trips_ms  INTEGER NOT NULL,
    longest_ms INTEGER NOT NULL,
    failures  INTEGER NOT NULL,     -- attempts to connect that came to nothing
    PRIMARY KEY (hour, link)
) STRICT, WITHOUT ROWID;
