/* err.h — why something failed: a code and a sentence, on the caller's stack.
 *
 * Every function that can fail takes `struct cap_err *err` last and returns bool or a pointer.
 * False or NULL means failed and `err` says why; outputs are untouched then. `err` is never NULL.
 * The codes are gRPC's canonical numbers, so that a failure travels from SQL to the command line
 * unchanged. Texts are lower case, without a full stop; they hold the value and the reason, and are
 * UTF-8 whatever they quote.
 * "could not" when trying again may help, "cannot" when it never will.
 *
 *     struct cap_err err = {0};
 *     if (!dataset_load(path, &list, &err))
 *         return cap_fail_in(&err, "task %s", name);
 *
 * Where one field of a request is to blame, cap_fail_field says which, so that a form can mark it.
 * The sentence names it as well: most readers see only that.
 */
#ifndef CAP_ERR_H
#define CAP_ERR_H

#include <stdarg.h>
#include <stdbool.h>

/* name, number, text as printed by the command line and used in JSON */
#define CAP_CODES(X)                                                                               \
    X(OK, 0, "ok")                                                                                 \
    X(CANCELLED, 1, "cancelled")                                                                   \
    X(UNKNOWN, 2, "unknown")                                                                       \
    X(INVALID_ARGUMENT, 3, "invalid_argument")                                                     \
    X(DEADLINE_EXCEEDED, 4, "deadline_exceeded")                                                   \
    X(NOT_FOUND, 5, "not_found")                                                                   \
    X(ALREADY_EXISTS, 6, "already_exists")                                                         \
    X(PERMISSION_DENIED, 7, "permission_denied")                                                   \
    X(RESOURCE_EXHAUSTED, 8, "resource_exhausted")                                                 \
    X(FAILED_PRECONDITION, 9, "failed_precondition")                                               \
    X(ABORTED, 10, "aborted")                                                                      \
    X(OUT_OF_RANGE, 11, "out_of_range")                                                            \
    X(UNIMPLEMENTED, 12, "unimplemented")                                                          \
    X(INTERNAL, 13, "internal")                                                                    \
    X(UNAVAILABLE, 14, "unavailable")                                                              \
    X(DATA_LOSS, 15, "data_loss")                                                                  \
    X(UNAUTHENTICATED, 16, "unauthenticated")

enum cap_code {
#define CAP_CODE_ENUM(name, number, text) CAP_##name = number,
    CAP_CODES(CAP_CODE_ENUM)
#undef CAP_CODE_ENUM
        CAP_CODE_COUNT
};

/* Long enough for a sentence that lists what would be accepted; longer texts are cut with "...". */
enum { CAP_ERR_TEXT_BYTES_MAX = 512, CAP_ERR_FIELD_BYTES_MAX = 128 };

struct cap_err {
    enum cap_code code;
    char text[CAP_ERR_TEXT_BYTES_MAX];
    char field[CAP_ERR_FIELD_BYTES_MAX]; /* of the request, "spec.tasks[0]"; "" = none to blame */
};

/* Sets code and text and returns false, so that failing is one line. Asserts that `err` was clean:
 * a second failure over a first one is a swallowed error. */
bool cap_fail(struct cap_err *err, enum cap_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
bool cap_fail_v(struct cap_err *err, enum cap_code code, const char *fmt, va_list args)
    __attribute__((format(printf, 3, 0)));

/* The same, and names the field of the request: its path in the message, or a query parameter. A
 * path too long to be kept is left out. */
bool cap_fail_field(struct cap_err *err, enum cap_code code, const char *field, const char *fmt,
                    ...) __attribute__((format(printf, 4, 5)));

/* Puts context in front of a failure that is already there ("context: reason"); returns false. */
bool cap_fail_in(struct cap_err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Forgets a failure that the caller has dealt with. */
void cap_err_clear(struct cap_err *err);

const char *cap_code_name(enum cap_code code);
/* True for failures that may pass by themselves: unavailable, aborted, resource exhausted. */
bool cap_code_retryable(enum cap_code code);

#endif
