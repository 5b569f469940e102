-- The quality of the answer by the gateway's own score, ppm; null if it has none.
ALTER TABLE leaves ADD COLUMN estimate INTEGER;
-- poq.v1.Chat; null if the answer came after a restart.
ALTER TABLE texts ADD COLUMN chat BLOB;
