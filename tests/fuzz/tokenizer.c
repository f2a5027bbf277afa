/* A tokenizer.json from a stranger, and then a text that it must encode and give back safely. */
#include <stdint.h>

#include "text/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char text[] = "Hello, w\xc3\xb6rld  <s> 123\n\n\tab ab abc";
    struct cap_err err = {0};
    json_t *json = json_loadb((const char *)data, size, JSON_ALLOW_NUL, NULL);
    CAP_AUTO(infer_tokenizer) t = infer_tokenizer_parse(json, &err);
    struct infer_tokens tokens = {0};
    CAP_AUTO_BUF(out, 1 << 16);

    if (t && infer_tokenizer_encode(t, text, sizeof text - 1, INFER_WITH_SPECIALS, &tokens, &err))
        infer_tokenizer_decode(t, tokens.ids, tokens.count, INFER_SKIP_SPECIAL, &out);
    infer_tokens_done(&tokens);
    json_decref(json);
    return 0;
}
