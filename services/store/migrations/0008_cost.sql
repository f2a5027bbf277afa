-- What the figures of cost of a run rest on: Summary.cost, packed.
ALTER TABLE run ADD COLUMN cost bytea; -- NULL = the run ended before there were such figures
