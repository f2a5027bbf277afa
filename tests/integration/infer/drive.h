/* drive.h — an external engine against a scripted server: opens it, runs requests, gathers what
 * came. For the tests of services/inference/external. */
#ifndef DRIVE_H
#define DRIVE_H

#include "inference/engine.h"
#include "stub.h"

#include <jansson.h>

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
/* The simplest request. */
struct infer_request drive_request(const char *text);
/* The JSON that a path was asked with; json_decref it. */
json_t *drive_asked(struct stub *stub, const char *path, int nth);

#endif
