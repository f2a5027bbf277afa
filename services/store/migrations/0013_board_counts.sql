-- How many runs there are of each evaluation and task, by state: the board's counts read this index alone.
CREATE INDEX run_counted ON run (evaluation_no, task_id, state);
