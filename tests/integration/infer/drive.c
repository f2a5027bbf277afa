/* Opens an external engine against the scripted server, runs its requests to their ends, and keeps
 * every event for the test to look at. */
#include "drive.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"

enum { PATIENCE_MS = 20000, REFUSED_MS = 700, LOADING_MS = 1500 };

struct drive_limits drive_limits;

struct infer_engine *drive_open(const char *kind, const char *url, const char *model,
                                struct cap_err *err)
{
    const struct infer_engine_ops *ops = infer_engine_find(kind);
    struct infer_engine_options options = {.kind = kind,
                                           .model = model,
                                           .url = url,
                                           .concurrency = 2,
                                           .refused_ms_max = REFUSED_MS,
                                           .loading_ms_max = LOADING_MS,
                                           .first_token_ms_max = drive_limits.first_token_ms,
                                           .silence_ms_max = drive_limits.silence_ms,
                                           .request_ms_max = drive_limits.request_ms};

    assert_non_null(ops);
    return ops->open(&options, err);
}

struct infer_engine *drive_open_m(const char *kind, struct stub *stub)
{
    struct cap_err err = {0};
    struct infer_engine *engine;

    stub_reply(stub, "/v1/models", &(struct stub_reply){.body = "{\"data\":[{\"id\":\"m\"}]}"});
    engine = drive_open(kind, stub_url(stub), "m", &err);
    if (!engine)
        fail_msg("%s", err.text);
    return engine;
}

bool drive_has_note(const struct infer_engine_report *report, const char *says)
{
    for (int i = 0; i < report->note_count; i++)
        if (strstr(report->notes[i], says))
            return true;
    return false;
}

struct infer_request drive_request(const char *text)
{
    return (struct infer_request){.id = 1, .text = text, .max_tokens = 8, .top_p = 1};
}

static void add_text(char *text, const char *piece)
{
    size_t length = strlen(text);

    snprintf(text + length, DRIVE_TEXT_BYTES - length, "%s", piece ? piece : "");
}

static void take_tokens(const struct infer_event *event, struct outcome *out)
{
    add_text(out->text, event->piece);
    add_text(out->reasoning, event->reasoning_piece);
    if (out->pieces < DRIVE_PIECES_MAX)
        out->at_ns[out->pieces] = event->at_ns;
    out->pieces++;
    out->counted += event->tokens;
}

static void take_done(const struct infer_event *event, struct outcome *out)
{
    out->done = true;
    snprintf(out->finish, sizeof out->finish, "%s",
             event->finish_reason ? event->finish_reason : "");
    add_text(out->text, event->piece);
    out->prompt_tokens = event->prompt_tokens;
    out->output_tokens = event->output_tokens;
    out->cached_tokens = event->cached_tokens;
    for (int i = 0; i < event->score_count && i < (int)CAP_COUNT_OF(out->scores); i++)
        out->scores[i] = event->scores[i];
    out->score_count = event->score_count;
}

static void take_event(const struct infer_event *event, struct outcome *out)
{
    if (event->kind == INFER_TOKENS) {
        take_tokens(event, out);
    } else if (event->kind == INFER_DONE) {
        take_done(event, out);
    } else {
        out->failed = true;
        out->failure = event->failure;
    }
}

void drive_run(struct infer_engine *engine, const struct infer_request *request,
               struct outcome *out)
{
    int64_t until_ms = cap_clock_ms(cap_clock_system()) + PATIENCE_MS;
    struct cap_err err = {0};
    struct infer_event event;

    *out = (struct outcome){0};
    if (!engine->ops->submit(engine, request, &out->failure)) {
        out->failed = true;
        return;
    }
    while (!out->done && !out->failed) {
        if (engine->ops->wait(engine, 100, &event, &err))
            take_event(&event, out);
        else if (err.code != CAP_OK)
            fail_msg("the engine is lost: %s", err.text);
        assert_true(cap_clock_ms(cap_clock_system()) < until_ms);
    }
}

json_t *drive_asked(struct stub *stub, const char *path, int nth)
{
    json_t *json = json_loads(stub_asked(stub, path, nth), 0, NULL);

    assert_non_null(json);
    return json;
}

/* One request to a server of that kind which sends these bytes. */
void drive_stream(struct stub *stub, const char *kind, const char *const *pieces,
                  struct outcome *out)
{
    struct infer_request request = drive_request("2 * 21 =");
    struct infer_engine *engine = drive_open_m(kind, stub);

    stub_reply(stub, COMPLETIONS, &(struct stub_reply){.pieces = pieces, .pause_ms = 2});
    drive_run(engine, &request, out);
    engine->ops->free(engine);
}

bool drive_until_lost(struct infer_engine *engine, int requests, struct cap_err *err)
{
    struct infer_request request = drive_request("x");
    struct infer_event event;

    for (int i = 0; i < requests; i++) {
        struct cap_err refused = {0};

        assert_true(engine->ops->submit(engine, &request, &refused));
        while (!engine->ops->wait(engine, 100, &event, err) || event.kind == INFER_TOKENS)
            if (err->code != CAP_OK)
                return true;
        assert_int_equal(event.kind, INFER_FAILED);
    }
    return !engine->ops->wait(engine, 1, &event, err) && err->code != CAP_OK;
}

int drive_start_stub(void **state)
{
    *state = stub_start();
    return 0;
}

int drive_stop_stub(void **state)
{
    stub_stop(*state);
    return 0;
}
