-- What retention_days takes away of a run that ended long ago: its events, and of the ledger all
-- rows but the last of each attempt, which says that the attempt stored something.
ALTER TABLE run ADD COLUMN pruned boolean NOT NULL DEFAULT false;
CREATE INDEX run_unpruned ON run (ended_at) WHERE ended_at IS NOT NULL AND NOT pruned;
