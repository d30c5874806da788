-- What a totaliser showed at the end of each period of its flow; and the newest of it, without a search.

ALTER TABLE record ADD COLUMN total REAL;         -- m³
ALTER TABLE record ADD COLUMN total_at INTEGER;   -- UTC ms
ALTER TABLE record ADD COLUMN caught_up REAL;     -- m³ of cou that had passed while nothing was read

ALTER TABLE sealed ADD COLUMN total REAL;         -- of the outlet's minutes: the last reading that is in a sealed one
ALTER TABLE sealed ADD COLUMN total_at INTEGER;
