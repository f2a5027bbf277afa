/* regex.h — regular expressions with the meaning that Python's re gives them on str.
 *
 * A pattern in Python's syntax is translated (\Z, \s, \w, \b, \v, {,n}, \u, a "[" inside a class
 * mean something else in PCRE2) and compiled once; what Python would refuse, or what has no
 * equivalent, is refused with a sentence. Compiled patterns may be used from any thread at once;
 * each thread brings its own `struct eval_regex_work`. Texts must be valid UTF-8. Matching has a
 * limit on its effort: past it `eval_regex_find` says EVAL_REGEX_GAVE_UP.
 *
 *     CAP_AUTO(eval_regex) regex = eval_regex_open("#### (\\-?[0-9\\.\\,]+)", 0, err);
 *     CAP_AUTO(eval_regex_work) work = eval_regex_work_new();
 *     if (eval_regex_find(regex, work, text, &cursor) == EVAL_REGEX_FOUND)
 *         use(eval_regex_group(work, text, 1));
 */
#ifndef EVAL_REGEX_H
#define EVAL_REGEX_H

#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"
#include "text/text.h"

struct eval_regex;
struct eval_regex_work;

enum { EVAL_REGEX_PATTERN_BYTES_MAX = 64 << 10, EVAL_REGEX_GROUPS_MAX = 64 };

struct eval_regex *eval_regex_open(struct eval_text pattern, struct cap_err *err);
void eval_regex_free(struct eval_regex *regex);
CAP_DEFINE_AUTO(eval_regex)

struct eval_regex_work *eval_regex_work_new(void);
void eval_regex_work_free(struct eval_regex_work *work);
CAP_DEFINE_AUTO(eval_regex_work)

unsigned eval_regex_group_count(const struct eval_regex *regex); /* without the whole match */

/* Where finditer stands; zeroed at the beginning of a text. */
struct eval_regex_cursor {
    size_t at;
    bool must_advance; /* the last match was empty: the next may not be empty at the same place */
};

enum eval_regex_found { EVAL_REGEX_NONE, EVAL_REGEX_FOUND, EVAL_REGEX_GAVE_UP };

/* The next match from the cursor on, as re.finditer gives it; moves the cursor behind it. */
enum eval_regex_found eval_regex_find(const struct eval_regex *regex, struct eval_regex_work *work,
                                      struct eval_text text, struct eval_regex_cursor *cursor);
/* Of the last match: 0 = the whole; empty when the group took no part. */
struct eval_text eval_regex_group(const struct eval_regex_work *work, struct eval_text text,
                                  unsigned group);

/* re.sub(pattern, "", text); false when the matcher gave up or the arena is full. */
bool eval_regex_remove(const struct eval_regex *regex, struct eval_regex_work *work,
                       struct cap_arena *arena, struct eval_text text, struct eval_text *out_text);

/* re.escape(text), appended to a pattern under construction. */
struct cap_buf;
void eval_regex_escape(struct eval_text text, struct cap_buf *out);

/* The translation alone, for tests and docs. */
bool eval_regex_translate(struct eval_text pattern, struct cap_buf *out, struct cap_err *err);

#endif
