/* drive.h — an external engine against a scripted server: opens it, runs requests, gathers what
 * came. For the tests of services/inference/external. */
#ifndef DRIVE_H
#define DRIVE_H

#include "inference/engine.h"
#include "stub.h"

#include <jansson.h>

#define STREAM(...) ((const char *const[]){__VA_ARGS__, NULL})
#define COMPLETIONS "/v1/completions"
#define CHAT "/v1/chat/completions"

/* Events of a stream that is " 42", its usage, and the mark of its end. */
#define TOKEN_A "data: {\"id\":\"cmpl-7\",\"choices\":[{\"text\":\" 4\"}]}\n\n"
#define TOKEN_END "data: {\"choices\":[{\"text\":\"2\",\"finish_reason\":\"length\"}]}\n\n"
#define USAGE_CHUNK                                                                                \
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2,"                \
    "\"prompt_tokens_details\":{\"cached_tokens\":3}}}\n\n"
#define DONE_MARK "data: [DONE]\n\n"

enum { DRIVE_TEXT_BYTES = 512, DRIVE_PIECES_MAX = 64 };

/* What a request brought. */
struct outcome {
    bool done, failed;
    char text[DRIVE_TEXT_BYTES], reasoning[DRIVE_TEXT_BYTES], finish[32];
    int pieces; /* events with tokens */
    int64_t at_ns[DRIVE_PIECES_MAX];
    int counted; /* tokens that the events told */
    int prompt_tokens, output_tokens, cached_tokens;
    struct cap_err failure;
    struct infer_score scores[8];
    int score_count;
};

/* How long the engines that are opened next wait for a server's tokens; 0 = for ever. */
extern struct drive_limits {
    int first_token_ms, silence_ms, request_ms;
} drive_limits;

/* NULL with err when the server is not accepted. Short limits of time. */
struct infer_engine *drive_open(const char *kind, const char *url, const char *model,
                                struct cap_err *err);
/* The same, which must work, after "/v1/models" was given a list with "m". */
struct infer_engine *drive_open_m(const char *kind, struct stub *stub);
/* Runs one request to its end; an engine that is lost fails the test. */
void drive_run(struct infer_engine *engine, const struct infer_request *request,
               struct outcome *out);
/* Whether one of the report's notes says so. */
bool drive_has_note(const struct infer_engine_report *report, const char *says);
/* One request to a server of that kind which sends these bytes. */
void drive_stream(struct stub *stub, const char *kind, const char *const *pieces,
                  struct outcome *out);
/* Runs requests that all fail; true when the engine is lost then. */
bool drive_until_lost(struct infer_engine *engine, int requests, struct cap_err *err);
/* cmocka's fixture: a stub in *state. */
int drive_start_stub(void **state);
int drive_stop_stub(void **state);
/* The simplest request. */
struct infer_request drive_request(const char *text);
/* The JSON that a path was asked with; json_decref it. */
json_t *drive_asked(struct stub *stub, const char *path, int nth);

#endif
