/* jinja.h — the part of the Jinja template language that chat templates and task prompts use.
 *
 * A template is compiled once and may then be rendered from many threads. What is understood:
 * for (if, else, recursive loop variables), if/elif/else, set (also blocks and namespaces), macro,
 * filter blocks, raw, break and continue; expressions with attributes, slices, calls, tests and the
 * common filters and string methods. What is not understood fails when compiling, with the line; a
 * filter or test that does not exist is forgiven inside an `if` that is never true, as in Jinja2.
 *
 * Templates come from strangers. Rendering has limits on output, memory, depth and work (each step
 * and each byte that a step touches counts), so that any template ends in less than a second; past
 * a limit it fails with a sentence.
 *
 *     CAP_AUTO(cap_jinja) t = cap_jinja_compile(text, &cap_jinja_chat, err);
 *     if (!t || !cap_jinja_render(t, context, &out, err)) ...
 */
#ifndef CAP_JINJA_H
#define CAP_JINJA_H

#include <jansson.h>
#include <stdbool.h>

#include "base/auto.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"

struct cap_jinja;

struct cap_jinja_options {
    bool trim_blocks;              /* drop the newline after a block tag */
    bool lstrip_blocks;            /* drop the blanks before a block tag that begins its line */
    bool keep_trailing_newline;    /* of the template */
    bool strict;                   /* using an undefined value is an error, not an empty text */
    const struct cap_clock *clock; /* for strftime_now; NULL: there is no such function */
};

extern const struct cap_jinja_options cap_jinja_chat; /* as apply_chat_template sets it */
extern const struct cap_jinja_options cap_jinja_task; /* as lm-eval sets it for task prompts,
                     * but for tojson, which writes the same in both: nothing escaped for HTML, keys
                     * in their order */

struct cap_jinja *cap_jinja_compile(const char *text, const struct cap_jinja_options *options,
                                    struct cap_err *err);
void cap_jinja_free(struct cap_jinja *jinja);
CAP_DEFINE_AUTO(cap_jinja)

/* Adds to `out`. `context` is a JSON object, borrowed; its integers, numbers and nulls keep their
 * kind. raise_exception('...') in the template fails with that text (INVALID_ARGUMENT). */
bool cap_jinja_render(const struct cap_jinja *jinja, const json_t *context, struct cap_buf *out,
                      struct cap_err *err);

/* Asked now and then; once `asked` says true, the rendering fails with CAP_CANCELLED. */
struct cap_jinja_stop {
    bool (*asked)(void *self);
    void *self;
};

/* The same, for someone who may lose interest. `stop` may be NULL. */
bool cap_jinja_render_until(const struct cap_jinja *jinja, const json_t *context,
                            const struct cap_jinja_stop *stop, struct cap_buf *out,
                            struct cap_err *err);

#endif
