-- The length of a lease, which Lease and Renew set: a stored batch extends the lease by it, and a
-- deadline further ahead than it (the database's clock was set back) is cut.
ALTER TABLE shard ADD COLUMN lease_ms integer; -- NULL = given by an older program, or never leased
