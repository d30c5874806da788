-- Damaged files that are being salvaged, and how far each has come; what a frame was, when its bytes have gone.

CREATE TABLE salvage (
    file  TEXT PRIMARY KEY,         -- its name in data_dir
    state TEXT NOT NULL             -- JSON
) STRICT, WITHOUT ROWID;

ALTER TABLE packet ADD COLUMN sha256 BLOB; -- of the frame
