/* A template from a stranger, rendered with a small conversation. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "jinja/jinja.h"

static int64_t fixed_wall_ms(const struct cap_clock *clock)
{
    (void)clock;
    return INT64_C(1749283750000);
}

static const char context_text[] =
    "{\"messages\": [{\"role\": \"user\", \"content\": \"a\\u00e9 b\"}, {\"role\": \"assistant\","
    " \"content\": null, \"tool_calls\": [{\"name\": \"f\", \"arguments\": {\"x\": [1, 2.5]}}]}],"
    " \"n\": 3, \"s\": \"text\", \"l\": [3, 1, 2], \"t\": true, \"bos_token\": \"<s>\"}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct cap_clock clock = {NULL, fixed_wall_ms};
    struct cap_jinja_options options = size % 2 ? cap_jinja_chat : cap_jinja_task;
    struct cap_err err = {0};
    char *text = strndup((const char *)data, size);
    json_t *context = json_loads(context_text, 0, NULL);
    CAP_AUTO_BUF(out, 1 << 16);

    options.clock = &clock;
    CAP_AUTO(cap_jinja) jinja = cap_jinja_compile(text, &options, &err);

    if (jinja)
        cap_jinja_render(jinja, context, &out, &err);
    json_decref(context);
    free(text);
    return 0;
}
