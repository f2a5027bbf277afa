-- What a percentile is at most, with 99 % confidence.
ALTER TABLE figure ADD COLUMN certified float8; -- NULL = too few values, or no percentile
