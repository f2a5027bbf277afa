-- What a run was asked, so that only runs of one question are compared. The program computes both columns
-- (question.c): when a run is queued, and for older runs when the store starts.
ALTER TABLE run
    ADD COLUMN question text,                        -- a digest; NULL = not computed yet
    ADD COLUMN setting text[] NOT NULL DEFAULT '{}', -- what differs from the task's own, in words
    ADD COLUMN timing_boundary text NOT NULL DEFAULT ''; -- of the report; '' = it has none yet
CREATE INDEX run_question ON run (question, ended_at DESC);
