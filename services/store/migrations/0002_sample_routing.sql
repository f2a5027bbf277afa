-- Which experts the router chose for a sample: a packed SampleRouting, since it only passes through
-- and 61 layers of 256 experts in two phases would be 31,232 numbers as an array. TOAST compresses it
-- and keeps it out of the row, so reads that do not ask for it do not pay for it.
ALTER TABLE sample ADD COLUMN routing bytea; -- NULL = unknown
