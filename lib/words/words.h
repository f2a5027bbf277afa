/* words.h — the words that programs, database, JSON and page share, one table each.
 *
 *     engines        words/engines.def      include it to make rows of your own
 *     precisions     words/precisions.def   with the spellings that people use
 *     figures        words/figures.def      but for accuracies, whose ids are the tasks' metrics
 *     run states     enum RunState          common.proto
 *     phases         enum Phase             common.proto
 *     verdict kinds  enum VerdictKind       evaluator.proto
 *
 * The last three are enums of the wire. For each enum of a .proto protoc-gen-moecap makes the list
 * run_state_words[], run_state_word(value) and run_state_from_word(word, &value), in the .rpc.h
 * beside the messages; JSON has the same words (lib/wire). Nobody writes a second list: the page
 * takes web/src/lib/tables.ts, which bin/moecap-tables prints from here, and the database's CHECKs
 * are compared with these words by a test.
 *
 * Immutable; any thread.
 */
#ifndef CAP_WORDS_H
#define CAP_WORDS_H

#include <stdbool.h>
#include <stddef.h>

struct cap_words {
    const char *const *items;
    size_t count;
};

/* words.count when it is not among them. */
size_t cap_words_find(struct cap_words words, const char *word);
bool cap_words_has(struct cap_words words, const char *word);

/* The task whose prompts the node makes: random words, of exact lengths. */
#define CAP_TASK_FIXED "fixed"

/* Whose choices a run's routing is: ShardReport.routing_source. Two numbers with different routing
 * are not comparable. The first that holds: */
#define CAP_ROUTING_SIMULATED "simulated"       /* no model ran: the null engine */
#define CAP_ROUTING_WEIGHTS "random weights"    /* nothing was learned */
#define CAP_ROUTING_TEXT "random text"          /* prompts of the task fixed */
#define CAP_ROUTING_SERVER "server per request" /* reported by a server, request by request */
#define CAP_ROUTING_REAL "real weights and text"

struct cap_engine {
    const char *word;
    bool server;  /* of the user's: needs a URL, ... */
    bool started; /* unless a node starts it by a command */
    const char *about;
};

/* NULL when there is no such engine. */
const struct cap_engine *cap_engine_find(const char *word);
struct cap_words cap_engine_words(void);

/* Ids of the figures of every run. */
struct cap_words cap_figure_words(void);

/* Those that our own engine computes in, and all. */
struct cap_words cap_precision_computed(void);
struct cap_words cap_precision_words(void);
/* "BFloat16" -> "bf16"; NULL when it is not a spelling of any precision. */
const char *cap_precision_from(const char *spelling);

#endif
