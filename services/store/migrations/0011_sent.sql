-- When the node handed a request to the engine, and when the engine took it up: Timing.sent_us, started_us.
ALTER TABLE sample
    ADD COLUMN sent_us bigint,    -- NULL = a node that does not say
    ADD COLUMN started_us bigint; -- NULL = an engine that does not say
