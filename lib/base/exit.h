/* exit.h — exit statuses, the same for every program; docs/cli.md explains them to users. */
#ifndef CAP_EXIT_H
#define CAP_EXIT_H

#include "base/err.h"

enum cap_exit {
    CAP_EXIT_OK = 0,
    CAP_EXIT_FAILED = 1, /* it worked, and the answer is no; or a service could not start */
    CAP_EXIT_USAGE = 2,
    CAP_EXIT_REFUSED = 3,     /* wrong input: unknown name, bad value, nothing there */
    CAP_EXIT_UNREACHABLE = 4, /* no suite, or a part of it does not answer */
    CAP_EXIT_INTERNAL = 5,
    CAP_EXIT_INTERRUPTED = 130,
};

/* As main returns it. */
static inline int cap_exit_of(enum cap_code code)
{
    switch (code) {
    case CAP_OK:
        return CAP_EXIT_OK;
    case CAP_UNAVAILABLE:
    case CAP_DEADLINE_EXCEEDED:
        return CAP_EXIT_UNREACHABLE;
    case CAP_INTERNAL:
    case CAP_UNKNOWN:
    case CAP_DATA_LOSS:
        return CAP_EXIT_INTERNAL;
    case CAP_CANCELLED:
        return CAP_EXIT_INTERRUPTED;
    default:
        return CAP_EXIT_REFUSED;
    }
}

/* For a verb that works on files alone: nobody is there to be unreachable, and damaged data are the
 * input's fault. */
static inline int cap_exit_of_input(enum cap_code code)
{
    return code == CAP_OK         ? CAP_EXIT_OK
           : code == CAP_INTERNAL ? CAP_EXIT_INTERNAL
                                  : CAP_EXIT_REFUSED;
}

#endif
