/* The tables of the *.def files beside this one, each read into an array where it is asked for, and
 * looked up by a loop: none has more than a few dozen rows. */
#include "words/words.h"

#include <string.h>
#include <strings.h>

#include "base/auto.h"

size_t cap_words_find(struct cap_words words, const char *word)
{
    size_t i = 0;

    while (i < words.count && strcmp(words.items[i], word) != 0)
        i++;
    return i;
}

bool cap_words_has(struct cap_words words, const char *word)
{
    return cap_words_find(words, word) < words.count;
}

/* ---- engines ---- */

static const struct cap_engine engines[] = {
#define ENGINE_OURS(id, word, about) {word, false, false, about},
#define ENGINE_SERVER(id, word, started, about) {word, true, started, about},
#include "words/engines.def"
#undef ENGINE_OURS
#undef ENGINE_SERVER
};

const struct cap_engine *cap_engine_find(const char *word)
{
    for (size_t i = 0; i < CAP_COUNT_OF(engines); i++)
        if (strcmp(engines[i].word, word) == 0)
            return &engines[i];
    return NULL;
}

struct cap_words cap_engine_words(void)
{
    static const char *const words[] = {
#define ENGINE_OURS(id, word, about) word,
#define ENGINE_SERVER(id, word, started, about) word,
#include "words/engines.def"
#undef ENGINE_OURS
#undef ENGINE_SERVER
    };

    return (struct cap_words){words, CAP_COUNT_OF(words)};
}

/* ---- figures ---- */

struct cap_words cap_figure_words(void)
{
    static const char *const words[] = {
#define FIGURE(id, unit, basis, formula, source) #id,
#include "words/figures.def"
#undef FIGURE
    };

    return (struct cap_words){words, CAP_COUNT_OF(words)};
}

/* ---- precisions ---- */

struct cap_words cap_precision_words(void)
{
    static const char *const words[] = {
#define PRECISION(id, word, ...) word,
#include "words/precisions.def"
#undef PRECISION
    };

    return (struct cap_words){words, CAP_COUNT_OF(words)};
}

struct cap_words cap_precision_computed(void)
{
    static const char *const words[] = {
#define WORD_COMPUTES(word) word,
#define WORD_COSTED(word)
#define PRECISION(id, word, known, ...) WORD_##known(word)
#include "words/precisions.def"
#undef PRECISION
    };

    return (struct cap_words){words, CAP_COUNT_OF(words)};
}

const char *cap_precision_from(const char *spelling)
{
    /* each row: the word, then its other spellings, then NULL */
    static const char *const rows[][8] = {
#define PRECISION(id, word, known, ...) {word, ##__VA_ARGS__},
#include "words/precisions.def"
#undef PRECISION
    };

    for (size_t i = 0; i < CAP_COUNT_OF(rows); i++)
        for (const char *const *name = rows[i]; *name; name++)
            if (strcasecmp(*name, spelling) == 0)
                return rows[i][0];
    return NULL;
}
