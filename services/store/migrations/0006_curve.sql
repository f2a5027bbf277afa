-- Curves of a run's summary: Summary.curves. The lists are of one length; an empty reference: there is
-- nothing to compare with.
CREATE TABLE curve (
    run_no    bigint NOT NULL REFERENCES run,
    id        text NOT NULL,
    x_unit    text NOT NULL,
    y_unit    text NOT NULL,
    x         float8[] NOT NULL,
    y         float8[] NOT NULL,
    reference float8[] NOT NULL,
    PRIMARY KEY (run_no, id)
);
