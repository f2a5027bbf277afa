/* What some servers tell beyond text: routing of each request, their own metrics, and which kind
 * they are. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "drive.h"
#include "inference/external/inside.h"
#include "inference/offline/offline.h"

/* Three layers, the first one dense: experts of the others are 4, two a token. */
static const char config[] = "{\"num_hidden_layers\":3,\"n_routed_experts\":4,"
                             "\"num_experts_per_tok\":2,\"first_k_dense_replace\":1}";

static int start_stub(void **state)
{
    *state = stub_start();
    return 0;
}

static int stop_stub(void **state)
{
    stub_stop(*state);
    return 0;
}

/* ---- base64, the other way ---- */

static void to_base64(const uint8_t *bytes, size_t length, char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t i = 0; i < length; i += 3) {
        uint32_t bits = (uint32_t)bytes[i] << 16;

        bits |= i + 1 < length ? (uint32_t)bytes[i + 1] << 8 : 0;
        bits |= i + 2 < length ? bytes[i + 2] : 0;
        *out++ = digits[bits >> 18];
        *out++ = digits[bits >> 12 & 63];
        *out++ = i + 1 < length ? digits[bits >> 6 & 63] : '=';
        *out++ = i + 2 < length ? digits[bits & 63] : '=';
    }
    *out = '\0';
}

/* Row r of layer l chose (r + l) % 4 and (r + l + 1) % 4; the dense layer's are noise. */
static int32_t chosen(int row, int layer, int k)
{
    return layer == 0 ? 99 : (row + layer + k) % 4;
}

static size_t fill_ids(int rows, int32_t *out)
{
    size_t count = 0;

    for (int row = 0; row < rows; row++)
        for (int layer = 0; layer < 3; layer++)
            for (int k = 0; k < 2; k++)
                out[count++] = chosen(row, layer, k);
    return count;
}

/* Raw int32, as SGLang sends it. */
static void raw_routing(int rows, char *out)
{
    int32_t ids[16 * 3 * 2];
    size_t count = fill_ids(rows, ids);

    to_base64((const uint8_t *)ids, count * 4, out);
}

/* An .npy file of uint8, layers with experts only, as vLLM sends it. */
static void npy_routing(int rows, char *out)
{
    uint8_t file[512] = "\x93NUMPY\x01";
    char header[129];
    size_t at;

    snprintf(header, sizeof header,
             "{'descr': '|u1', 'fortran_order': False, 'shape': (%d, 2, 2), }", rows);
    memset(header + strlen(header), ' ', sizeof header - 1 - strlen(header));
    header[117] = '\n';
    file[7] = 0;
    file[8] = 118;
    memcpy(file + 10, header, 118);
    at = 128;
    for (int row = 0; row < rows; row++)
        for (int layer = 1; layer < 3; layer++)
            for (int k = 0; k < 2; k++)
                file[at++] = (uint8_t)chosen(row, layer, k);
    to_base64(file, at, out);
}

static void assert_routing(const struct infer_routing *routing, int first, int prompt, int rows)
{
    uint32_t prefill[2][4] = {{0}}, decode[2][4] = {{0}};

    assert_non_null(routing);
    assert_string_equal(routing->source, "server per request");
    assert_int_equal(routing->moe_layers, 2);
    assert_int_equal(routing->moe_layer_ids[0], 1);
    assert_int_equal(routing->experts, 4);
    assert_int_equal(routing->top_k, 2);
    for (int row = first; row < rows; row++)
        for (int layer = 1; layer < 3; layer++)
            for (int k = 0; k < 2; k++)
                (row < prompt ? prefill : decode)[layer - 1][chosen(row, layer, k)]++;
    assert_memory_equal(routing->prefill, prefill, sizeof prefill);
    assert_memory_equal(routing->decode, decode, sizeof decode);
}

/* ---- reading ---- */

static void both_encodings_give_the_same_counts(void **state)
{
    const struct infer_routed_counts counts = {3, 4, -1}, cached = {3, 4, 2};
    struct infer_declared declared;
    struct infer_routed routed = {.given = false};
    struct cap_err err = {0};
    char text[1024];

    (void)state;
    assert_true(infer_declared_read(config, &declared, &err));
    raw_routing(6, text);
    assert_true(infer_routed_read(text, strlen(text), false, &declared, &counts, &routed, &err));
    assert_routing(&routed.view, 0, 3, 6);
    npy_routing(6, text);
    assert_true(infer_routed_read(text, strlen(text), true, &declared, &counts, &routed, &err));
    assert_routing(&routed.view, 0, 3, 6);
    /* what came from a cache was not computed */
    assert_true(infer_routed_read(text, strlen(text), true, &declared, &cached, &routed, &err));
    assert_routing(&routed.view, 2, 3, 6);
    infer_routed_done(&routed);
}

static void what_cannot_be_is_refused(void **state)
{
    const struct infer_routed_counts counts = {3, 4, -1}, more = {3, 5, -1}, none = {3, -1, -1};
    struct infer_declared declared;
    struct infer_routed routed = {.given = false};
    struct cap_err err = {0};
    int32_t ids[6 * 3 * 2];
    char text[1024];

    (void)state;
    assert_true(infer_declared_read(config, &declared, &err));
    raw_routing(6, text);
    assert_false(infer_routed_read(text, strlen(text), false, &declared, &more, &routed, &err));
    assert_non_null(strstr(err.text, "6 rows of 3 layers"));
    assert_non_null(strstr(err.text, "usage makes it 7 rows"));
    cap_err_clear(&err);
    assert_false(infer_routed_read(text, strlen(text), false, &declared, &none, &routed, &err));
    assert_non_null(strstr(err.text, "without usage"));
    cap_err_clear(&err);
    assert_false(infer_routed_read("*", 1, false, &declared, &counts, &routed, &err));
    assert_non_null(strstr(err.text, "not base64"));
    cap_err_clear(&err);
    assert_false(infer_routed_read(text, strlen(text), true, &declared, &counts, &routed, &err));
    assert_non_null(strstr(err.text, "not an .npy file"));
    cap_err_clear(&err);
    fill_ids(6, ids);
    ids[2 * 6 + 3] = 4; /* of four experts */
    to_base64((const uint8_t *)ids, sizeof ids, text);
    assert_false(infer_routed_read(text, strlen(text), false, &declared, &counts, &routed, &err));
    assert_string_equal(err.text, "the server says that expert 4 of 4 was chosen");
    cap_err_clear(&err);
    ids[2 * 6 + 3] = -1;
    to_base64((const uint8_t *)ids, sizeof ids, text);
    assert_false(infer_routed_read(text, strlen(text), false, &declared, &counts, &routed, &err));
    infer_routed_done(&routed);
}

/* A model that takes another path through the server than the one that records. */
static void trap_c37_a_table_that_was_never_filled_is_no_routing(void **state)
{
    const struct infer_routed_counts counts = {3, 4, -1};
    const int32_t zeros[6 * 3 * 2] = {0};
    struct infer_declared declared;
    struct infer_routed routed = {.given = false};
    struct cap_err err = {0};
    char text[1024];

    (void)state;
    assert_true(infer_declared_read(config, &declared, &err));
    to_base64((const uint8_t *)zeros, sizeof zeros, text);
    assert_false(infer_routed_read(text, strlen(text), false, &declared, &counts, &routed, &err));
    assert_string_equal(err.text, "the server says that one token chose expert 0 twice");
    infer_routed_done(&routed);
}

/* ---- asking ---- */

static struct infer_engine *open_routed(struct stub *stub, const char *kind, bool again)
{
    struct infer_engine_options options = {.kind = kind,
                                           .model = "m",
                                           .url = stub_url(stub),
                                           .model_config = config,
                                           .concurrency = 1,
                                           .routing_again = again};
    struct cap_err err = {0};
    struct infer_engine *engine;

    stub_reply(stub, "/v1/models", &(struct stub_reply){.body = "{\"data\":[{\"id\":\"m\"}]}"});
    engine = infer_engine_find(kind)->open(&options, &err);
    if (!engine)
        fail_msg("%s", err.text);
    return engine;
}

/* The DONE event of one request. */
static void run_to_end(struct infer_engine *engine, struct infer_event *out)
{
    struct infer_request request = drive_request("2 * 21 =");
    struct cap_err err = {0};

    assert_true(engine->ops->submit(engine, &request, &err));
    do
        while (!engine->ops->wait(engine, 100, out, &err))
            assert_int_equal(err.code, CAP_OK);
    while (out->kind == INFER_TOKENS);
    assert_int_equal(out->kind, INFER_DONE);
}

/* Nobody asked for it, and its length does not end where its string does. */
static void routing_that_holds_nuls_is_no_base64(void **state)
{
    static const char *const pieces[] = {
        "data: {\"choices\":[{\"text\":\"4\"}],\"sglext\":{\"routed_experts\":"
        "\"AA\\u0000================================================================\"}}\n\n",
        "data: {\"choices\":[{\"text\":\"2\",\"finish_reason\":\"stop\"}]}\n\n", "data: [DONE]\n\n",
        NULL};
    struct infer_engine *engine = open_routed(*state, "openai", false);
    struct infer_event event;

    stub_reply(*state, COMPLETIONS, &(struct stub_reply){.pieces = pieces});
    run_to_end(engine, &event);
    assert_null(event.routing);
    engine->ops->free(engine);
}

static void sglang_gives_routing_in_the_stream(void **state)
{
    static char chunk[1200];
    static const char *const pieces[] = {
        "data: {\"choices\":[{\"text\":\" 42\",\"finish_reason\":\"length\"}],\"usage\":null}\n\n",
        chunk, "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n\n",
        "data: [DONE]\n\n", NULL};
    struct infer_engine_report report;
    struct infer_engine *engine;
    struct infer_event event;
    char text[1024];
    json_t *sent;

    raw_routing(6, text);
    snprintf(chunk, sizeof chunk,
             "data: {\"choices\":[],\"sglext\":{\"routed_experts\":\"%s\"}}\n\n", text);
    stub_reply(*state, "/server_info",
               &(struct stub_reply){.body = "{\"version\":\"0.5.23\",\"enable_return_routed_"
                                            "experts\":true,\"load_format\":\"dummy\"}"});
    stub_reply(*state, COMPLETIONS, &(struct stub_reply){.pieces = pieces});
    engine = open_routed(*state, "sglang", false);
    run_to_end(engine, &event);
    assert_routing(event.routing, 0, 3, 6);
    sent = drive_asked(*state, COMPLETIONS, 0);
    assert_true(json_is_true(json_object_get(sent, "return_routed_experts")));
    json_decref(sent);
    engine->ops->report(engine, &report);
    assert_null(report.routing_unknown);
    assert_string_equal(report.version, "0.5.23");
    assert_int_equal(report.weights, INFER_WEIGHTS_RANDOM); /* the load format dummy */
    engine->ops->free(engine);
}

static void routing_that_is_not_offered_says_what_is_missing(void **state)
{
    static const struct {
        const char *kind, *says;
    } rows[] = {
        {"sglang", "the server was started without --enable-return-routed-experts"},
        {"vllm", "only for a second request, which external_routing_again of the node turns on"},
        {"llamacpp", "servers of this kind do not report the experts of a request"},
    };
    struct infer_engine_report report;

    for (size_t i = 0; i < CAP_COUNT_OF(rows); i++) {
        struct infer_engine *engine = open_routed(*state, rows[i].kind, false);

        engine->ops->report(engine, &report);
        assert_non_null(strstr(report.routing_unknown, rows[i].says));
        engine->ops->free(engine);
    }
}

static const char *const vllm_stream[] = {
    "data: {\"choices\":[{\"text\":\" 42\",\"finish_reason\":\"length\"}]}\n\n",
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n\n",
    "data: [DONE]\n\n", NULL};

static void vllm_is_asked_a_second_time_without_a_stream(void **state)
{
    static char whole[1200];
    struct infer_engine *engine;
    struct infer_event event;
    char text[1024];
    json_t *sent;

    npy_routing(6, text);
    snprintf(whole, sizeof whole,
             "{\"choices\":[{\"text\":\" 42\",\"routed_experts\":\"%s\"}],"
             "\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}",
             text);
    stub_reply(*state, COMPLETIONS, &(struct stub_reply){.pieces = vllm_stream});
    stub_reply(*state, COMPLETIONS, &(struct stub_reply){.body = whole});
    engine = open_routed(*state, "vllm", true);
    run_to_end(engine, &event);
    assert_routing(event.routing, 0, 3, 6);
    sent = drive_asked(*state, COMPLETIONS, 1);
    assert_true(json_is_false(json_object_get(sent, "stream")));
    assert_null(json_object_get(sent, "stream_options"));
    json_decref(sent);
    engine->ops->free(engine);
}

static bool has_note(struct infer_engine *engine, const char *words)
{
    struct infer_engine_report report;

    engine->ops->report(engine, &report);
    for (int i = 0; i < report.note_count; i++)
        if (strstr(report.notes[i], words))
            return true;
    return false;
}

static void another_answer_has_other_experts(void **state)
{
    struct infer_engine *engine;
    struct infer_event event;

    stub_reply(*state, COMPLETIONS, &(struct stub_reply){.pieces = vllm_stream});
    stub_reply(*state, COMPLETIONS,
               &(struct stub_reply){
                   .body = "{\"choices\":[{\"text\":\" 43\",\"routed_experts\":\"AAAA\"}],"
                           "\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}"});
    engine = open_routed(*state, "vllm", true);
    run_to_end(engine, &event);
    assert_null(event.routing);
    assert_true(has_note(engine, "got another answer than the first"));
    engine->ops->free(engine);
}

static void a_second_request_that_fails_costs_the_routing_only(void **state)
{
    struct infer_engine *engine;
    struct infer_event event;

    stub_reply(*state, COMPLETIONS, &(struct stub_reply){.pieces = vllm_stream});
    stub_reply(*state, COMPLETIONS,
               &(struct stub_reply){.status = 500, .body = "{\"error\":\"no\"}"});
    engine = open_routed(*state, "vllm", true);
    run_to_end(engine, &event);
    assert_null(event.routing);
    assert_true(has_note(engine, "the second request was refused or lost"));
    engine->ops->free(engine);
}

static void a_server_that_gives_null_is_not_asked_again(void **state)
{
    struct infer_engine_report report;
    struct infer_engine *engine;
    struct infer_event event;

    stub_reply(*state, COMPLETIONS, &(struct stub_reply){.pieces = vllm_stream});
    stub_reply(*state, COMPLETIONS,
               &(struct stub_reply){.body = "{\"choices\":[{\"text\":\" 42\",\"routed_experts\":"
                                            "null}],\"usage\":{\"completion_tokens\":4}}"});
    stub_reply(*state, COMPLETIONS, &(struct stub_reply){.pieces = vllm_stream});
    engine = open_routed(*state, "vllm", true);
    run_to_end(engine, &event);
    run_to_end(engine, &event);
    assert_null(event.routing);
    assert_int_equal(stub_count(*state, COMPLETIONS), 3);
    engine->ops->report(engine, &report);
    assert_non_null(strstr(report.routing_unknown, "without --enable-return-routed-experts"));
    engine->ops->free(engine);
}

/* ---- metrics ---- */

static const char metrics[] = "# HELP vllm:num_requests_running Running.\n"
                              "# TYPE vllm:num_requests_running gauge\n"
                              "vllm:num_requests_running{engine=\"0\",model_name=\"a } b\"} 3.0\n"
                              "vllm:num_requests_running{engine=\"1\",model_name=\"m\"} 2.0\n"
                              "vllm:num_requests_running_created{engine=\"0\"} 1.7e9\n"
                              "vllm:kv_cache_usage_perc{engine=\"0\"} 0.25\n"
                              "vllm:kv_cache_usage_perc{engine=\"1\"} 0.5\n"
                              "plain 7\n";

static void series_are_summed_over_labels_and_the_missing_are_unknown(void **state)
{
    (void)state;
    assert_float_equal(infer_scrape_value(metrics, "vllm:num_requests_running", false), 5, 0);
    assert_float_equal(infer_scrape_value(metrics, "vllm:kv_cache_usage_perc", true), 0.5, 0);
    assert_float_equal(infer_scrape_value(metrics, "plain", false), 7, 0);
    assert_true(isnan(infer_scrape_value(metrics, "vllm:num_requests_waiting", false)));
    assert_true(isnan(infer_scrape_value(metrics, NULL, false)));
    assert_true(isnan(infer_scrape_value("plain NaN\nplain{a=\"\n", "plain", false)));
}

static void metrics_are_read_once_a_second_and_told_without_what_is_missing(void **state)
{
    static const char *const slow[] = {
        "data: {\"choices\":[{\"text\":\" 4\"}]}\n\n",
        "data: {\"choices\":[{\"text\":\"2\",\"finish_reason\":\"length\"}]}\n\n",
        "data: [DONE]\n\n", NULL};
    struct infer_engine_report report;
    struct infer_engine *engine;
    struct infer_event event;
    const char *told = NULL;
    int64_t start_ms, ended_ms;

    stub_reply(*state, "/metrics", &(struct stub_reply){.type = "text/plain", .body = metrics});
    stub_reply(*state, COMPLETIONS, &(struct stub_reply){.pieces = slow, .pause_ms = 400});
    engine = open_routed(*state, "vllm", false);
    start_ms = cap_clock_ms(cap_clock_system());
    engine->ops->begin(engine);
    run_to_end(engine, &event); /* 1.2 s */
    ended_ms = cap_clock_ms(cap_clock_system());
    assert_in_range(stub_count(*state, "/metrics"), 1, 1 + (ended_ms - start_ms) / 1000);
    engine->ops->report(engine, &report);
    for (int i = 0; i < report.note_count; i++)
        if (strstr(report.notes[i], "by the server's metrics"))
            told = report.notes[i];
    assert_non_null(told);
    assert_non_null(strstr(told, "at most 5 requests ran, the KV cache was at most 50 % full"));
    assert_null(strstr(told, "waited"));
    engine->ops->free(engine);
}

static void a_server_without_metrics_is_asked_once(void **state)
{
    struct infer_engine *engine = open_routed(*state, "sglang", false);
    static const char *const slow[] = {
        "data: {\"choices\":[{\"text\":\"2\",\"finish_reason\":\"length\"}]}\n\n",
        "data: [DONE]\n\n", NULL};
    struct infer_event event;

    stub_reply(*state, COMPLETIONS, &(struct stub_reply){.pieces = slow, .pause_ms = 700});
    engine->ops->begin(engine);
    run_to_end(engine, &event);
    assert_int_equal(stub_count(*state, "/metrics"), 1);
    assert_int_equal(stub_count(*state, "/health"), 0);
    engine->ops->free(engine);
}

/* ---- words ---- */

/* They are cut to fit, and what is left goes into messages and the store. */
static void a_server_s_words_are_utf8_also_when_cut(void **state)
{
#define LONG                                                                                       \
    "x\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"    \
    "\xc3\xa9"                                                                                     \
    "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3" \
    "\xa9"
    static const char *const pieces[] = {"data: {\"system_fingerprint\":\"" LONG LONG LONG
                                         "\",\"choices\":[{\"text\":\"4\","
                                         "\"finish_reason\":\"" LONG "\"}]}\n\n",
                                         "data: [DONE]\n\n", NULL};
#undef LONG
    struct infer_engine *engine;
    struct infer_engine_report report;
    struct infer_event event;

    stub_reply(*state, COMPLETIONS, &(struct stub_reply){.pieces = pieces});
    engine = open_routed(*state, "openai", false);
    run_to_end(engine, &event);
    assert_in_range(strlen(event.finish_reason), 30, 31);
    assert_int_equal(cap_utf8_bad(event.finish_reason, strlen(event.finish_reason)),
                     strlen(event.finish_reason));
    engine->ops->report(engine, &report);
    assert_in_range(strlen(report.version), 126, 127);
    assert_int_equal(cap_utf8_bad(report.version, strlen(report.version)), strlen(report.version));
    engine->ops->free(engine);
}

/* ---- the declared context ---- */

static void a_declared_context_is_used_where_the_server_tells_none(void **state)
{
    struct infer_engine_options options = {.kind = "transformers",
                                           .model = "m",
                                           .url = stub_url(*state),
                                           .model_config = "{\"num_hidden_layers\":1,"
                                                           "\"max_position_embeddings\":64}",
                                           .concurrency = 1};
    struct infer_request request = drive_request("x");
    struct infer_engine *engine;
    struct cap_err err = {0};

    stub_reply(*state, "/v1/models", &(struct stub_reply){.body = "{\"data\":[{\"id\":\"m\"}]}"});
    engine = infer_engine_find("transformers")->open(&options, &err);
    assert_non_null(engine);
    request.max_tokens = 64;
    assert_false(engine->ops->submit(engine, &request, &err));
    assert_int_equal(err.code, CAP_OUT_OF_RANGE);
    engine->ops->free(engine);
}

/* The node keeps counts of layers times experts: who declares must not choose how many. */
static void a_declared_shape_without_end_is_refused(void **state)
{
    static const struct {
        const char *config, *sentence;
    } rows[] = {
        {"{\"num_hidden_layers\":1025}", "not a number from 1 to 1024"},
        {"{\"num_hidden_layers\":1024,\"num_experts\":1000000000,\"num_experts_per_tok\":8}",
         "1000000000 experts are more than 2048"},
        {"{\"num_hidden_layers\":2,\"num_experts\":4,\"num_experts_per_tok\":5}",
         "5 experts a token are more than all 4"},
    };

    (void)state;
    for (size_t i = 0; i < CAP_COUNT_OF(rows); i++) {
        struct infer_declared declared;
        struct cap_err err = {0};

        assert_false(infer_declared_read(rows[i].config, &declared, &err));
        assert_int_equal(err.code, CAP_INVALID_ARGUMENT);
        assert_non_null(strstr(err.text, rows[i].sentence));
    }
}

/* A name is cut to fit, and what is left goes into messages. */
static void a_declared_family_stays_utf8(void **state)
{
    char config_text[256] = "{\"num_hidden_layers\":1,\"model_type\":\"x", *at;
    struct infer_declared declared;
    struct cap_err err = {0};

    (void)state;
    at = config_text + strlen(config_text);
    for (int i = 0; i < 40; i++)
        at = stpcpy(at, "\xc3\xa9");
    strcpy(at, "\"}");
    assert_true(infer_declared_read(config_text, &declared, &err));
    assert_int_equal(strlen(declared.family), sizeof declared.family - 1);
    assert_int_equal(cap_utf8_bad(declared.family, strlen(declared.family)),
                     strlen(declared.family));
    assert_int_equal(cap_utf8_bad(declared.why_no_parameters, strlen(declared.why_no_parameters)),
                     strlen(declared.why_no_parameters));
}

/* ---- which kind is it? ---- */

static void the_kind_is_guessed_by_what_only_it_says(void **state)
{
    static const struct {
        const char *path, *body, *models, *kind;
        int status;
    } rows[] = {
        {"/a", "", "{\"data\":[{\"id\":\"m\",\"owned_by\":\"vllm\"}]}", "vllm", 200},
        {"/a", "", "{\"data\":[{\"id\":\"m\",\"owned_by\":\"sglang\"}]}", "sglang", 200},
        {"/a", "", "{\"data\":[{\"id\":\"m\",\"meta\":{\"n_ctx\":9}}]}", "llamacpp", 200},
        {"/a", "", "{\"data\":[{\"id\":\"m\",\"owned_by\":\"moecap\"}]}", "openai", 200},
        {"/server_info", "{\"model_path\":\"/m\"}", "{\"data\":[{\"id\":\"m\"}]}", "sglang", 200},
        {"/version", "{\"version\":\"1\"}", "{\"data\":[{\"id\":\"m\"}]}", "vllm", 200},
        {COMPLETIONS, "{\"detail\":\"Unexpected fields in the request: {'x'}\"}",
         "{\"data\":[{\"id\":\"m\"}]}", "transformers", 422},
        {COMPLETIONS, "{\"detail\":\"no\"}", "{\"data\":[{\"id\":\"m\"}]}", "openai", 400},
    };

    (void)state;
    for (size_t i = 0; i < CAP_COUNT_OF(rows); i++) {
        struct stub *stub = stub_start();
        struct infer_engine_options options = {.url = stub_url(stub)};
        struct cap_err err = {0};
        json_t *found;

        stub_reply(stub, "/v1/models", &(struct stub_reply){.body = rows[i].models});
        stub_reply(stub, rows[i].path,
                   &(struct stub_reply){.status = rows[i].status, .body = rows[i].body});
        found = infer_check(&options, &err);
        if (!found)
            fail_msg("%s", err.text);
        assert_string_equal(json_string_value(json_object_get(found, "kind")), rows[i].kind);
        assert_int_equal(json_array_size(json_object_get(found, "problems")), 1);
        json_decref(found);
        stub_stop(stub);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start_stub, stop_stub)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_encodings_give_the_same_counts),
        cmocka_unit_test(what_cannot_be_is_refused),
        TEST(trap_c37_a_table_that_was_never_filled_is_no_routing),
        TEST(routing_that_holds_nuls_is_no_base64),
        TEST(sglang_gives_routing_in_the_stream),
        TEST(routing_that_is_not_offered_says_what_is_missing),
        TEST(vllm_is_asked_a_second_time_without_a_stream),
        TEST(another_answer_has_other_experts),
        TEST(a_second_request_that_fails_costs_the_routing_only),
        TEST(a_server_that_gives_null_is_not_asked_again),
        cmocka_unit_test(series_are_summed_over_labels_and_the_missing_are_unknown),
        TEST(metrics_are_read_once_a_second_and_told_without_what_is_missing),
        TEST(a_server_without_metrics_is_asked_once),
        TEST(a_server_s_words_are_utf8_also_when_cut),
        TEST(a_declared_context_is_used_where_the_server_tells_none),
        cmocka_unit_test(a_declared_shape_without_end_is_refused),
        cmocka_unit_test(a_declared_family_stays_utf8),
        cmocka_unit_test(the_kind_is_guessed_by_what_only_it_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
