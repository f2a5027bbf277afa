-- What a power sample is of, and who told it. Rows of before, which no node ever sent, do not know.
ALTER TABLE power ADD COLUMN kind text NOT NULL DEFAULT '', ADD COLUMN source text NOT NULL DEFAULT '';
