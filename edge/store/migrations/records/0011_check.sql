-- A record's own check sum (`sums`): SQLite takes a page in which a number has changed for a sound one.

ALTER TABLE record ADD COLUMN check_sum INTEGER;  -- null: sealed by an earlier version
