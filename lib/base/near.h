/* near.h — the name somebody probably meant: the one with the fewest edits from what was written.
 *
 *     struct cap_near near = {.word = "gsm-mni"};
 *     for (...)
 *         cap_near_try(&near, names[i]);
 *     if (near.best) ... did you mean "gsm-mini"?
 */
#ifndef CAP_NEAR_H
#define CAP_NEAR_H

#include <stddef.h>

struct cap_near {
    const char *word;
    const char *best; /* NULL while none is near: at most 3 edits, and a third of the letters */
    size_t edits;     /* of best */
};

/* `name` is borrowed as long as `near` is used. Names over 64 bytes are never near. */
void cap_near_try(struct cap_near *near, const char *name);

#endif
