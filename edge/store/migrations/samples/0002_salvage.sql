-- Damaged files that are being salvaged, and how far each has come.

CREATE TABLE salvage (
    file  TEXT PRIMARY KEY,         -- its name in data_dir
    state TEXT NOT NULL             -- JSON
) STRICT, WITHOUT ROWID;
