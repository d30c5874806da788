-- What of the past each platform gets that was added later, and how far that has come.

CREATE TABLE fill (
    platform INTEGER NOT NULL,
    outlet   INTEGER NOT NULL,
    begin    INTEGER NOT NULL,      -- UTC ms, as all times: data labelled from here on are the platform's
    place    INTEGER NOT NULL,      -- labels before it have been put into the outbox
    until    INTEGER NOT NULL,      -- labels up to before it still are to be; = place: all are
    minutes  INTEGER NOT NULL,      -- minute data only up to here: from here on they were due as they were sealed
    PRIMARY KEY (platform, outlet)
) STRICT, WITHOUT ROWID;
