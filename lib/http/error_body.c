#include "http/server_inside.h"

static void add_json_text(struct cap_buf *out, const char *text)
{
    cap_buf_add_char(out, '"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            cap_buf_printf(out, "\\%c", *text);
        else if ((unsigned char)*text < 0x20)
            cap_buf_printf(out, "\\u%04x", (unsigned char)*text);
        else
            cap_buf_add_char(out, *text);
    }
    cap_buf_add_char(out, '"');
}

/* {"error": {"message": ..., "type": ..., "param": null, "code": null}}, as OpenAI writes it. */
static void add_plain_error(int status, const char *message, struct cap_buf *out)
{
    cap_buf_add_str(out, "{\"error\": {\"message\": ");
    add_json_text(out, message);
    cap_buf_printf(out, ", \"type\": \"%s\", \"param\": null, \"code\": null}}\n",
                   status < 500 ? "invalid_request_error" : "server_error");
}

void http_error_body(const struct cap_http_server_options *options, int status, const char *message,
                     struct cap_buf *out)
{
    (options->error_body ? options->error_body : add_plain_error)(status, message, out);
}
