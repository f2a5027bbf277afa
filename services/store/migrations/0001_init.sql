-- The first schema. Forward only: once this has run somewhere it is never edited; the next change is
-- 0002_….sql. Runs inside one transaction with search_path set to the schema moecap.
--
-- Ids that people and services see (evaluation_id, run_id) are text made by the store. Inside, rows
-- of evidence point to run_no, eight bytes instead of twenty. What only passes through (the spec, a
-- shard's report, a node's hello) is kept as the packed message, so that fields which this program
-- does not know yet survive; what is asked for is a column.

-- ---- tasks ----

-- One row per (name, definition, data). An older one stays for the runs that used it.
CREATE TABLE task (
    task_id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name              text NOT NULL CHECK (name <> ''),
    version           text NOT NULL,
    output_type       text NOT NULL,
    definition        text NOT NULL, -- canonical JSON
    definition_sha256 text NOT NULL,
    data_sha256       text NOT NULL,
    samples_file      text NOT NULL,
    fewshot_file      text NOT NULL,
    split             text NOT NULL,
    num_fewshot       integer NOT NULL,
    metrics           text[] NOT NULL, -- the first is the headline
    description       text NOT NULL,
    samples           integer NOT NULL,
    fewshot           integer NOT NULL,
    current           boolean NOT NULL,
    created_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (name, definition_sha256, data_sha256)
);
CREATE UNIQUE INDEX task_current ON task (name) WHERE current;

-- Documents are text, not jsonb: they go back byte by byte, with the order of their keys.
CREATE TABLE task_sample (
    task_id bigint NOT NULL REFERENCES task,
    fewshot boolean NOT NULL, -- the few-shot pool, or the samples
    ordinal integer NOT NULL,
    uid     text NOT NULL,
    doc     text NOT NULL,
    PRIMARY KEY (task_id, fewshot, ordinal),
    UNIQUE (task_id, fewshot, uid)
);

-- ---- the queue ----

CREATE TABLE evaluation (
    evaluation_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    evaluation_id text NOT NULL UNIQUE,
    config_hash   text NOT NULL CHECK (config_hash ~ '^[0-9a-f]{64}$'),
    spec          bytea NOT NULL, -- packed EvaluationSpec
    spec_json     text NOT NULL,  -- the canonical form that was hashed
    model         text NOT NULL,
    engine        text NOT NULL,
    precision     text NOT NULL,
    submitter     text NOT NULL,
    priority      integer NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at      timestamptz -- when its last run ended
);
-- Two submitters of one configuration get one evaluation, whoever comes first.
CREATE UNIQUE INDEX evaluation_open ON evaluation (config_hash) WHERE ended_at IS NULL;
CREATE INDEX evaluation_open_no ON evaluation (evaluation_no) WHERE ended_at IS NULL;

CREATE TABLE run (
    run_no           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id           text NOT NULL UNIQUE,
    evaluation_no    bigint NOT NULL REFERENCES evaluation,
    position         integer NOT NULL, -- among the runs of its evaluation
    task_id          bigint NOT NULL REFERENCES task,
    repeat           integer NOT NULL,
    state            text NOT NULL DEFAULT 'queued' CHECK (state IN
        ('queued', 'leased', 'running', 'grading', 'finished', 'failed', 'cancelled', 'invalid')),
    reason           text NOT NULL DEFAULT '',
    samples_total    integer NOT NULL,
    samples_answered integer NOT NULL DEFAULT 0,
    samples_graded   integer NOT NULL DEFAULT 0,
    graded_below     integer NOT NULL DEFAULT 0, -- no sample below waits for a verdict
    attempts         integer NOT NULL DEFAULT 0, -- leases given, of all shards
    node             text NOT NULL DEFAULT '',   -- name of the node that was given the last one
    report           bytea, -- packed ShardReport of the shard that ended last
    queued_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    started_at       timestamptz, -- first stored batch
    ended_at         timestamptz,
    UNIQUE (evaluation_no, position),
    CHECK ((ended_at IS NOT NULL) = (state IN ('finished', 'failed', 'cancelled', 'invalid'))),
    CHECK (samples_answered <= samples_total AND samples_graded <= samples_total)
);
CREATE INDEX run_ended ON run (ended_at DESC, run_no DESC) WHERE ended_at IS NOT NULL;

-- The unit of leasing. fence counts the leases given; a write must carry the current one.
CREATE TABLE shard (
    run_no      bigint NOT NULL REFERENCES run,
    shard       integer NOT NULL,
    ordinals    integer[] NOT NULL, -- in the order they are run
    done        boolean NOT NULL DEFAULT false,
    fence       bigint NOT NULL DEFAULT 0,
    seq_next    bigint NOT NULL DEFAULT 1, -- goes on over all leases
    node_id     text, -- these three are set while a lease is held
    node        text,
    lease_until timestamptz,
    PRIMARY KEY (run_no, shard),
    CHECK ((node_id IS NULL) = (lease_until IS NULL) AND (node_id IS NULL) = (node IS NULL)),
    CHECK (NOT (done AND node_id IS NOT NULL))
);
CREATE INDEX shard_leased ON shard (lease_until) WHERE lease_until IS NOT NULL;

-- Every lease there ever was, with how it ended.
CREATE TABLE attempt (
    run_no     bigint NOT NULL,
    shard      integer NOT NULL,
    fence      bigint NOT NULL, -- 1 = the shard's first
    node_id    text NOT NULL,
    node       text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at   timestamptz,
    outcome    text NOT NULL DEFAULT '',
    PRIMARY KEY (run_no, shard, fence),
    FOREIGN KEY (run_no, shard) REFERENCES shard
);

-- ---- evidence ----

-- What makes Append happen once: a batch is stored exactly if its row is here.
CREATE TABLE batch_ledger (
    run_no    bigint NOT NULL,
    shard     integer NOT NULL,
    fence     bigint NOT NULL,
    seq       bigint NOT NULL,
    sha256    bytea NOT NULL,
    answers   integer NOT NULL,
    last      boolean NOT NULL,
    stored_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (run_no, shard, seq),
    FOREIGN KEY (run_no, shard, fence) REFERENCES attempt
);

-- The three tables that grow with the number of samples are partitioned by hash of the run. All rows
-- of a run lie in one partition, so reading a run touches one index of a sixteenth of the size, and
-- vacuum works on sixteen small tables. Ranges of runs would allow DROP of old ones, but a new range
-- needs DDL at run time, which a single long read can hold up, and with it every Append.
-- No foreign keys here: the transaction that writes holds the run's row.

-- An answer, given once. Times are microseconds since the attempt (fence) started its shard.
CREATE TABLE sample (
    run_no         bigint NOT NULL,
    ordinal        integer NOT NULL,
    uid            text NOT NULL,
    shard          integer NOT NULL,
    fence          bigint NOT NULL,
    completed      boolean NOT NULL, -- or failed, see error
    escaped        boolean NOT NULL, -- a text holds <0xNN> in place of a byte
    error          text NOT NULL,
    prompt         text NOT NULL,
    text           text NOT NULL,
    reasoning      text NOT NULL,
    finish_reason  text NOT NULL,
    prompt_tokens  bigint,
    output_tokens  bigint,
    cached_tokens  bigint,
    output_ids     bigint[],
    score_logs     float8[], -- log-likelihoods of the continuations, with tokens and greedy beside
    score_tokens   bigint[],
    score_greedy   bigint[],
    submitted_us   bigint, -- NULL, as the next four, when the answer has no timing
    first_token_us bigint,
    last_token_us  bigint,
    ended_us       bigint,
    itl_us         bigint[],
    PRIMARY KEY (run_no, ordinal)
) PARTITION BY HASH (run_no);

CREATE TABLE verdict (
    run_no     bigint NOT NULL,
    ordinal    integer NOT NULL,
    metric     text NOT NULL,
    version    text NOT NULL,
    kind       text NOT NULL CHECK (kind IN ('correct', 'wrong', 'undecided')),
    extracted  text NOT NULL,
    reason     text NOT NULL,
    score      float8 NOT NULL,
    unanswered boolean NOT NULL,
    truncated  boolean NOT NULL,
    graded_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (run_no, ordinal, metric, version)
) PARTITION BY HASH (run_no);

CREATE TABLE pass (
    run_no           bigint NOT NULL,
    shard            integer NOT NULL,
    seq              bigint NOT NULL, -- of the batch that brought it
    item             integer NOT NULL, -- in that batch
    fence            bigint NOT NULL,
    phase            smallint NOT NULL, -- 1 prefill, 2 decode, as on the wire
    sequences        bigint NOT NULL,
    tokens           bigint NOT NULL,
    context_sum      bigint NOT NULL,
    duration_ns      bigint NOT NULL,
    started_us       bigint NOT NULL,
    distinct_experts bigint[],
    weight_bytes     bigint,
    kv_bytes         bigint,
    flops            float8,
    warm_up          boolean NOT NULL,
    PRIMARY KEY (run_no, shard, seq, item),
    CHECK (weight_bytes >= 0 AND kv_bytes >= 0)
) PARTITION BY HASH (run_no);

DO $$
BEGIN
    FOR i IN 0..15 LOOP
        EXECUTE format('CREATE TABLE sample_%s PARTITION OF sample FOR VALUES WITH (MODULUS 16, REMAINDER %s)', i, i);
        EXECUTE format('CREATE TABLE verdict_%s PARTITION OF verdict FOR VALUES WITH (MODULUS 16, REMAINDER %s)', i, i);
        EXECUTE format('CREATE TABLE pass_%s PARTITION OF pass FOR VALUES WITH (MODULUS 16, REMAINDER %s)', i, i);
    END LOOP;
END $$;

-- Selections of the router, summed over the run. One array by expert, not one row: 48 layers of 128
-- experts in two phases and a few batch sizes are hundreds of rows to update per batch, not 10^5.
CREATE TABLE expert_count (
    run_no       bigint NOT NULL REFERENCES run,
    phase        smallint NOT NULL,
    layer        integer NOT NULL,
    batch_bucket bigint NOT NULL,
    counts       bigint[] NOT NULL,
    PRIMARY KEY (run_no, phase, layer, batch_bucket)
);

CREATE TABLE power (
    run_no bigint NOT NULL,
    shard  integer NOT NULL,
    seq    bigint NOT NULL,
    item   integer NOT NULL,
    fence  bigint NOT NULL,
    at_us  bigint NOT NULL,
    device text NOT NULL,
    watts  float8 NOT NULL,
    PRIMARY KEY (run_no, shard, seq, item)
);

-- ---- the summary: what the board and the plots read ----

CREATE TABLE figure (
    run_no   bigint NOT NULL REFERENCES run,
    position integer NOT NULL,
    id       text NOT NULL,
    value    float8, -- NULL: see reason
    low      float8,
    high     float8,
    reason   text NOT NULL,
    unit     text NOT NULL,
    basis    text NOT NULL,
    invalid  boolean NOT NULL,
    PRIMARY KEY (run_no, position),
    UNIQUE (run_no, id),
    CHECK (value IS NOT NULL OR reason <> '') -- unknown has a reason
);

CREATE TABLE histogram (
    run_no bigint NOT NULL REFERENCES run,
    id     text NOT NULL,
    lowest float8 NOT NULL,
    growth float8 NOT NULL,
    counts bigint[] NOT NULL,
    PRIMARY KEY (run_no, id)
);

-- ---- the suite ----

CREATE TABLE node (
    node_id    text PRIMARY KEY,
    name       text NOT NULL,
    hello      bytea NOT NULL, -- packed NodeHello
    connected  boolean NOT NULL,
    first_seen timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_seen  timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE event (
    event_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    run_id   text NOT NULL DEFAULT '', -- empty: of the suite, not of a run
    kind     text NOT NULL,
    text     text NOT NULL
);
CREATE INDEX event_run ON event (run_id, event_id);
