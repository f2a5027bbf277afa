/* plain.h — text that somebody else wrote, made harmless for a terminal.
 *
 * Names, answers, reasons and files come from others. On a terminal some of their characters would
 * act instead of being shown: escape sequences (ESC, and the C1 controls, which start one in a
 * single character), a carriage return or a backspace that writes over what stands there, controls
 * of the writing direction that make a line read differently from what it says, and bytes that are
 * not UTF-8, which some terminals take for C1 controls. Every program that prints foreign text
 * prints it through this module:
 *
 *     cap_plain_line(stderr, "moecap: %s", err.text);     one line; also a line feed becomes '?'
 *     cap_plain_add(&line, model->name);                  the same, into a buffer
 *     cap_plain_json(stdout, text);                       JSON text: the value stays the same
 *
 * Plain text shows '?' in the place of each such character. JSON text has its \uHHHH instead, which
 * every reader of JSON turns back into the character.
 */
#ifndef CAP_PLAIN_H
#define CAP_PLAIN_H

#include <stdarg.h>
#include <stdio.h>

struct cap_buf;

void cap_plain_add(struct cap_buf *out, const char *text);
/* Line feeds stay: for text of several lines whose layout is ours. */
void cap_plain_add_lines(struct cap_buf *out, const char *text);

/* One line, with the line feed at its end. Longer ones than 64 KiB are cut. */
void cap_plain_line(FILE *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void cap_plain_vline(FILE *out, const char *fmt, va_list args)
    __attribute__((format(printf, 2, 0)));

/* `json` is UTF-8, as jansson writes it; line feeds and tabs between its tokens stay. */
void cap_plain_json(FILE *out, const char *json);

#endif
