#include "base/near.h"

#include <string.h>

enum { NAME_BYTES_MAX = 64, EDITS_MAX = 3 };

/* Levenshtein's distance, one row of the table at a time. */
static size_t count_edits(const char *a, const char *b)
{
    size_t row[NAME_BYTES_MAX + 1], width = strlen(b);

    for (size_t k = 0; k <= width; k++)
        row[k] = k;
    for (size_t i = 0; a[i]; i++) {
        size_t diagonal = row[0];

        row[0] = i + 1;
        for (size_t k = 0; k < width; k++) {
            size_t best = diagonal + (a[i] != b[k]);

            diagonal = row[k + 1];
            if (row[k] + 1 < best)
                best = row[k] + 1;
            if (row[k + 1] + 1 < best)
                best = row[k + 1] + 1;
            row[k + 1] = best;
        }
    }
    return row[width];
}

void cap_near_try(struct cap_near *near, const char *name)
{
    size_t letters = strlen(near->word), edits;

    if (letters > NAME_BYTES_MAX || strlen(name) > NAME_BYTES_MAX)
        return;
    edits = count_edits(near->word, name);
    /* a third of the letters: "fp8" is not a way to write "f32" */
    if (edits > EDITS_MAX || edits > (letters + 2) / 3 || edits >= letters ||
        (near->best && edits >= near->edits))
        return;
    near->best = name;
    near->edits = edits;
}
