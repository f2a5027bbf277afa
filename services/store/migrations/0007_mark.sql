-- What a reader of a run's figures must know beside them. Runs of older programs have none.
CREATE TABLE mark (
    run_no   bigint NOT NULL REFERENCES run,
    position integer NOT NULL,
    id       text NOT NULL,
    text     text NOT NULL, -- the sentence why
    bad      boolean NOT NULL,
    PRIMARY KEY (run_no, position),
    UNIQUE (run_no, id)
);
