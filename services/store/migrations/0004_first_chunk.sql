-- Output tokens that came with the first chunk of a stream: SampleAnswer.first_chunk_tokens.
ALTER TABLE sample ADD COLUMN first_chunk_tokens bigint; -- NULL = unknown
