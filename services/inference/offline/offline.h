/* offline.h — verbs that need no service: `model inspect`, `model forward`, `engine check`,
 * `profile`, `node probe`, `tokenize`. `moecap` execs moecap-inference for them.
 *
 * Each verb gets its own arguments (argv[0] is its last word), prints to stdout, and returns an
 * exit status (base/exit.h): 0 done, 1 a check found something, 2 used wrongly, 3 the input is
 * refused. What stands in a checkpoint or comes from a server was written by others: all of it is
 * printed through base/plain.h. With --json a verb prints one object a line, and a failure is one
 * object {"error": {"code", "message"}} on stderr, as with every command of `moecap`.
 *
 *     if (infer_offline(argc, argv, &status))
 *         return status;
 */
#ifndef INFER_OFFLINE_H
#define INFER_OFFLINE_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "engine.h"

/* True when the arguments name a verb, which has then been carried out. */
bool infer_offline(int argc, char **argv, int *out_status);

int infer_cmd_engine_check(int argc, char **argv);
int infer_cmd_forward(int argc, char **argv);
int infer_cmd_inspect(int argc, char **argv);
int infer_cmd_profile(int argc, char **argv);
int infer_cmd_probe(int argc, char **argv);
int infer_cmd_tokenize(int argc, char **argv);

/* ---- check.c ---- */

/* The object that `engine check --json` prints: kind, version, models, what each trial gave,
 * problems. The caller's reference; NULL with err when the server cannot be reached or is none.
 * options->kind and options->model may be NULL: guessed, and the first of its list. */
json_t *infer_check(const struct infer_engine_options *options, struct cap_err *err);

/* ---- say.c: what the verbs share ---- */

/* Whether --json is among the arguments: known before they are read, since a mistake in them is
 * told as JSON, too. */
bool infer_says_json(int argc, char **argv);
/* The sentence on stderr, "moecap VERB: ..." or as JSON. */
void infer_say_failure(bool as_json, const char *verb, const struct cap_err *err);
/* Used wrongly: the sentence, and in text the verb's help. Returns the exit status. */
int infer_say_usage(bool as_json, const char *verb, const char *help, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* One line on stdout. */
void infer_say_json(const json_t *value);
/* The same value, a new one, whose strings do nothing on a terminal and have one line each. */
json_t *infer_plain_json(const json_t *value);

#endif
