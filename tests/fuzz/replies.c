/* Any bytes as what a server sends. The first one chooses who reads them. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "external/call.h"
#include "external/refusal.h"
#include "external/routed.h"
#include "external/score.h"
#include "external/scrape.h"

static void read_chunk(const char *text, size_t length)
{
    static const char *const stops[] = {"\n"};
    const struct infer_request request = {.stop = stops, .stop_count = 1, .max_tokens = 8};
    struct infer_call call = {0};
    struct infer_chunk chunk;
    struct infer_event event;
    struct cap_err err = {0};

    infer_call_start(&call, &request);
    if (infer_chunk_read(text, length, &chunk, &err)) {
        infer_call_take_chunk(&call, &chunk, 1, &event);
        infer_chunk_done(&chunk);
        infer_call_check_end(&call, true, &err);
    }
    infer_call_end(&call);
}

static void read_refusal(const char *text, size_t length)
{
    struct cap_err err = {0};

    infer_refusal_explain(400, text, length, &err);
}

static void read_scores(const char *text, size_t length, const struct infer_external_kind *kind)
{
    static const char *const continuations[] = {" a"};
    const struct infer_request request = {
        .text = "x", .continuations = continuations, .continuation_count = 1};
    const struct infer_server server = {.kind = kind};
    struct infer_call call = {0};
    struct cap_err err = {0};

    infer_call_start(&call, &request);
    call.stage = INFER_STAGE_CONTINUATION;
    call.context_tokens = 1;
    infer_score_take(&server, &call, text, length, &err);
    infer_call_end(&call);
}

static void read_routing(const char *text, size_t length, bool npy)
{
    static const char config[] = "{\"num_hidden_layers\":3,\"n_routed_experts\":4,"
                                 "\"num_experts_per_tok\":2,\"first_k_dense_replace\":1}";
    const struct infer_routed_counts counts = {3, 4, 1};
    struct infer_declared declared;
    struct infer_routed routed = {.given = false};
    struct cap_err err = {0};

    if (infer_declared_read(config, &declared, &err))
        infer_routed_read(text, length, npy, &declared, &counts, &routed, &err);
    infer_routed_done(&routed);
}

static void read_declared(const char *text)
{
    struct infer_declared declared;
    struct cap_err err = {0};

    infer_declared_read(text, &declared, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CAP_AUTO_MEM char *text = size ? strndup((const char *)data + 1, size - 1) : NULL;
    size_t length = text ? strlen(text) : 0;

    switch (size ? data[0] : 0) {
    case 'c':
        read_chunk(text, length);
        break;
    case 'e':
        read_refusal(text, length);
        break;
    case 's':
        read_scores(text, length, &infer_kind_sglang);
        read_scores(text, length, &infer_kind_vllm);
        break;
    case 'r':
        read_routing(text, length, false);
        read_routing(text, length, true);
        break;
    case 'd':
        read_declared(text);
        break;
    case 'm':
        infer_scrape_value(text, "a", false);
        infer_scrape_value(text, "vllm:num_requests_running", true);
        break;
    }
    return 0;
}
