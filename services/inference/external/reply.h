/* reply.h — what servers send: JSON of which they choose every byte, errors in many forms, the
 * chunks of a stream, and counts that may be wrong. Pure.
 *
 * JSON of a few MiB may be parsed into gigabytes, so its values are counted first. Words of a
 * server are stored and shown, so they are cut to their room as UTF-8 and without control
 * characters. A body that is not an error message in a known form is never quoted: the URL may lead
 * to something other than a model server, and everybody reads reasons.
 *
 * A chunk is not a token: it may hold several, or half a character, or nothing. What is counted is
 * usage: in every chunk, in the last one with a choice, in a separate one, or nowhere.
 */
#ifndef INFER_REPLY_H
#define INFER_REPLY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

enum {
    INFER_REPLY_VALUES_MAX = 2000000, /* some 300 MiB when all are empty lists */
    INFER_REPLY_REASON_BYTES = 256,   /* of a server's own words in a sentence of ours */
};

/* NULL when it is not JSON, or has more than INFER_REPLY_VALUES_MAX values. Strings may hold NULs.
 */
json_t *infer_reply_json(const char *text, size_t length);

/* At most room - 1 bytes; '?' for bytes that are not a character, a blank for a control character.
 * NULL is "". */
void infer_reply_words(char *out, size_t room, const char *text);

/* ---- errors ---- */

/* True when `json` is an error in any form, or holds one: OpenAI's nested object, a flat one, a
 * text, FastAPI's detail (a text or a list that names fields), a choice that failed. Its words go
 * to `out`; "no reason given" when it has none. */
bool infer_reply_error(const json_t *json, char *out, size_t room);
/* The same of a body, which may also be an event stream with one error. False: it is none. */
bool infer_reply_body_error(const char *body, size_t length, char *out, size_t room);
/* A reply that did not succeed, as a failure: its status, the server's words if it gave any, and a
 * code that tells what to do. OUT_OF_RANGE: the prompt is too long; NOT_FOUND: no such model;
 * INVALID_ARGUMENT: a field that the server does not like; PERMISSION_DENIED: the key;
 * RESOURCE_EXHAUSTED: overloaded; UNAVAILABLE: it has died; FAILED_PRECONDITION: anything else.
 * `out` is clean. */
void infer_reply_refusal(int status, const char *type, const char *body, size_t length,
                         struct cap_err *out);
/* "text/html, 300 bytes": a body that is not quoted. */
void infer_reply_describe(const char *type, size_t length, char *out, size_t room);

/* ---- counts ---- */

enum {
    INFER_COUNT_UNKNOWN = -1, /* not told */
    INFER_COUNT_BAD = -2,     /* told, but no number of tokens: negative, a fraction, a text */
};

struct infer_counts {
    int prompt, output, cached, total;
};

/* What is known of a request besides what the server counts. */
struct infer_seen {
    size_t prompt_bytes; /* 0 = not known, or none */
    int prompt_ids;      /* 0 = the prompt was text */
    bool is_chat;        /* a template adds tokens that we do not see */
    size_t text_bytes;   /* that came, reasoning included */
    int text_chunks;     /* that brought some of them */
    int output_before;   /* the largest count of output tokens that was told before the last */
    int max_tokens;
    int context_tokens_max; /* 0 = unknown */
};

/* Counts that cannot be become unknown; false then, and why[room] says of each one why. */
bool infer_counts_check(struct infer_counts *counts, const struct infer_seen *seen, char *why,
                        size_t room);

/* ---- chunks ---- */

struct infer_chunk {
    json_t *json;     /* owns the strings below */
    bool has_choice;  /* a choice that is not only a chat's role */
    bool is_closing;  /* it only says that the answer has ended: a token, or none */
    const char *text; /* "" when there is none */
    size_t text_length;
    const char *reasoning;      /* NULL when there is none */
    const char *finish_reason;  /* NULL while it goes on */
    const char *id;             /* the server's name of the request; NULL */
    const char *fingerprint;    /* of the server's build; NULL */
    const char *routed_experts; /* SGLang: base64; NULL */
    size_t routed_length;
    bool has_usage;
    struct infer_counts counts;
};

/* An event of a stream, taken apart. `name` is the event's ("" = it has none): an event "error" is
 * a failure whatever its data; one of another name is a chunk if it holds choices, an error if it
 * holds one, and otherwise says nothing (a ping), as does an event without data. False with the
 * server's own words when it is an error, or a sentence when it is not JSON. */
bool infer_chunk_read(const char *name, const char *data, size_t length, struct infer_chunk *out,
                      struct cap_err *err);
void infer_chunk_done(struct infer_chunk *chunk);

/* The server's words for a request that it gave up: "abort", "error", ...: no answer has ended so.
 */
bool infer_reason_is_failure(const char *finish_reason);

#endif
