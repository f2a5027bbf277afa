/* The table of offline verbs. */
#include "offline/offline.h"

#include <stdio.h>
#include <string.h>

#include "base/auto.h"
#include "base/exit.h"

static const struct verb {
    const char *first, *second; /* second may be NULL */
    int (*run)(int argc, char **argv);
} verbs[] = {
    {"model", "inspect", infer_cmd_inspect},     {"model", "forward", infer_cmd_forward},
    {"engine", "check", infer_cmd_engine_check}, {"node", "probe", infer_cmd_probe},
    {"profile", NULL, infer_cmd_profile},        {"tokenize", NULL, infer_cmd_tokenize},
};

static int list_verbs(const char *first, bool asked)
{
    FILE *out = asked ? stdout : stderr;

    fprintf(out,
            asked ? "usage: moecap %s VERB ...; see VERB --help; verbs:"
                  : "moecap: \"%s\" needs a verb:",
            first);
    const char *between = " ";
    for (size_t i = 0; i < CAP_COUNT_OF(verbs); i++)
        if (strcmp(verbs[i].first, first) == 0) {
            fprintf(out, "%s%s", between, verbs[i].second);
            between = ", ";
        }
    fprintf(out, "%s\n", strcmp(first, "model") == 0 ? ", serve" : ""); /* a node's: main.c */
    return asked ? CAP_EXIT_OK : CAP_EXIT_USAGE;
}

/* `moecap-inference --probe [--json]`; with a value it is the node's setting. */
static bool wants_probe(int argc, char **argv)
{
    return argc > 1 && strcmp(argv[1], "--probe") == 0 &&
           (argc == 2 || (argc == 3 && strcmp(argv[2], "--json") == 0));
}

bool infer_offline(int argc, char **argv, int *out_status)
{
    bool known = false;

    if (wants_probe(argc, argv)) {
        *out_status = infer_cmd_probe(argc - 1, argv + 1);
        return true;
    }
    for (size_t i = 0; argc > 1 && i < CAP_COUNT_OF(verbs); i++) {
        const struct verb *verb = &verbs[i];
        int words = verb->second ? 2 : 1;

        if (strcmp(argv[1], verb->first) != 0)
            continue;
        known = true;
        if (words > 1 && (argc < 3 || strcmp(argv[2], verb->second) != 0))
            continue;
        *out_status = verb->run(argc - words, argv + words);
        return true;
    }
    if (known)
        *out_status = list_verbs(argv[1], argc > 2 && strcmp(argv[2], "--help") == 0);
    return known;
}
