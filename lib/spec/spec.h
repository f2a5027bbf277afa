/* spec.h — an evaluation's knobs as a table, and what everybody does with them.
 *
 * An evaluation is a message, moecap.v1.EvaluationSpec, from the submitter to the node. Nobody
 * copies it into a struct of their own: spec.def has one row for each of its fields, and the
 * functions here read and write the field through the message's descriptor. From a row come the
 * option of `moecap submit` and its help, the check, the canonical form, the limits and defaults
 * that Info tells, the schema in docs/openapi.json and the field of the page's form
 * (bin/moecap-tables prints the last two). So a new knob is a row, a field of the message and the
 * code that makes use of it: docs/adding-a-knob.md.
 *
 * The way of a submission:
 *     the command line   cap_spec_set_text for each option
 *     the gateway        cap_spec_from_json for the body
 *     the scheduler      cap_spec_fill, cap_spec_check, cap_spec_canonical; admit.c checks between
 *                        the last two that tasks, models and nodes exist
 * Each of them collects every fault, not the first. A sentence names a knob by its path, as the API
 * does; cap_spec_as_options says the same with the options of the command line.
 *
 * Pure functions; any thread. Memory comes from the caller's arena.
 */
#ifndef CAP_SPEC_H
#define CAP_SPEC_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "moecap/v1/scheduler.pb-c.h"
#include "words/words.h"

/* ---- the table ---- */

enum cap_knob_kind {
    CAP_KNOB_TEXT,
    CAP_KNOB_NAME,   /* of something that exists */
    CAP_KNOB_WORD,   /* one of few */
    CAP_KNOB_CHOICE, /* a word that the option of that name sets */
    CAP_KNOB_WHOLE,
    CAP_KNOB_REAL,
    CAP_KNOB_SWITCH,
    CAP_KNOB_LIST, /* of names */
    CAP_KNOB_FILE, /* a text; on the command line the name of its file */
};

enum cap_knob_when {
    CAP_WHEN_ALWAYS,
    CAP_WHEN_NATIVE, /* the engine is ours */
    CAP_WHEN_SERVER, /* the engine is a server of the user's */
    CAP_WHEN_CLOSED_LOOP,
    CAP_WHEN_OPEN_LOOP,
};

enum cap_knob_group {
    CAP_GROUP_SUBJECT,
    CAP_GROUP_TASKS,
    CAP_GROUP_LOAD,
    CAP_GROUP_GOALS,
    CAP_GROUP_SAMPLES,
    CAP_GROUP_GENERATION,
    CAP_GROUP_MACHINE,
    CAP_GROUP_RECORD,
    CAP_GROUP_COST,
    CAP_GROUP_COUNT
};

enum cap_knob_hash { CAP_HASHED, CAP_HASHED_IF_SET, CAP_NOT_HASHED };

enum cap_knob_id {
#define KNOB(id, ...) CAP_KNOB_##id,
#include "spec/spec.def"
#undef KNOB
    CAP_KNOB_COUNT
};

struct cap_spec_faults;
struct cap_knob_value;

/* spec.def says what each column means; they stand here in the order of a row.
 * NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding) */
struct cap_knob {
    const char *id, *path;
    enum cap_knob_kind kind;
    const char *flag, *alias, *value, *unset, *label, *help;
    enum cap_knob_group group;
    const char *unit, *example;
    int64_t min, max;
    double low, high;
    bool above_low;
    struct cap_words (*words)(void);
    const char *(*spelling)(const char *); /* what people write -> the word */
    enum cap_knob_when when, words_when;
    enum cap_knob_id needs[2]; /* the first row's knob stands for none */
    const char *preset, *in_folder;
    bool or_run; /* a FILE: or the id of a run, as it is */
    int64_t preset_in_hash;
    const char *env;
    enum cap_knob_hash hash;
    const char *setting; /* its value stands at %s, if at all */
    void (*check)(const Moecap__V1__EvaluationSpec *spec, const struct cap_knob *knob,
                  const struct cap_knob_value *value, struct cap_spec_faults *io_faults);
};

extern const struct cap_knob cap_knobs[CAP_KNOB_COUNT];

/* By its path, "load.concurrency"; NULL when there is none. */
const struct cap_knob *cap_knob_find(const char *path);
/* As bin/moecap-tables and Info call them: "whole", "closed_loop", "Samples and prompts". */
const char *cap_knob_kind_word(enum cap_knob_kind kind);
const char *cap_knob_when_word(enum cap_knob_when when);
const char *cap_knob_group_title(enum cap_knob_group group);

/* ---- faults ---- */

enum { CAP_SPEC_FAULTS_MAX = 64 };

struct cap_spec_faults {
    struct cap_spec_fault {
        char field[72];     /* as SubmitRequest has it: "spec.load.concurrency", "spec.tasks[2]" */
        char sentence[320]; /* `load.concurrency 0 is not from 1 to 4096` */
        enum cap_code code;
        bool unreadable; /* not even of the knob's kind: "many" for a number */
    } items[CAP_SPEC_FAULTS_MAX];
    size_t count;
};

/* `field` without "spec.". The sentence names it as well. Beyond the limit a fault is dropped. */
void cap_spec_blame(struct cap_spec_faults *io_faults, enum cap_code code, const char *field,
                    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* `task "gsm-mni" is unknown, did you mean "gsm-mini"? known: a, b, c` */
void cap_spec_blame_unknown(struct cap_spec_faults *io_faults, const char *field, const char *what,
                            const char *name, struct cap_words known);
/* What another program said of a field, "spec.limit"; nothing when that is blamed already. */
void cap_spec_add_told(struct cap_spec_faults *io_faults, enum cap_code code, const char *field,
                       const char *sentence);
bool cap_spec_is_blamed(const struct cap_spec_faults *faults, const char *field);
/* False, with all sentences in `err` and the first one's code and field; true without faults. */
bool cap_spec_faults_fail(const struct cap_spec_faults *faults, struct cap_err *err);
/* The sentence with options instead of paths: `--batch-size 0 is not from 1 to 4096`. */
void cap_spec_as_options(const char *sentence, struct cap_buf *out);

/* ---- an evaluation ---- */

struct cap_knob_value {
    bool is_set;     /* it says something: not 0, not empty, or explicitly there */
    bool tells_zero; /* 0 asked for can be told from nothing asked for */
    bool has_none;   /* and nothing has a canonical form of its own, null */
    int64_t whole;   /* of a switch, too */
    double real;
    const char *text;
    char *const *items;
    size_t count;
};

struct cap_knob_value cap_spec_get(const Moecap__V1__EvaluationSpec *spec, enum cap_knob_id id);

/* Sets a knob from what people write; a list gets one more item for each call, or for each part
 * between commas. What is wrong with it goes to io_faults, and the knob stays as it was. Strings
 * are copied. */
void cap_spec_set_text(Moecap__V1__EvaluationSpec *spec, enum cap_knob_id id, const char *text,
                       struct cap_arena *arena, struct cap_spec_faults *io_faults);

/* The knobs that can be read; what is wrong with the others goes to io_faults. NULL past the
 * arena's limit. */
Moecap__V1__EvaluationSpec *cap_spec_from_json(const json_t *json, struct cap_arena *arena,
                                               struct cap_spec_faults *io_faults);

/* Fills in what the submitter left out, and spells words as the tables do. False past the arena's
 * limit. */
bool cap_spec_fill(Moecap__V1__EvaluationSpec *spec, struct cap_arena *arena);

/* Whatever can be said without knowing what exists. `spec` is filled. */
void cap_spec_check(const Moecap__V1__EvaluationSpec *spec, struct cap_spec_faults *io_faults);
/* The same of one group's knobs alone: of an evaluation that was accepted and changed since. */
void cap_spec_check_group(const Moecap__V1__EvaluationSpec *spec, enum cap_knob_group group,
                          struct cap_spec_faults *io_faults);

/* JSON with sorted keys, of a filled spec: its SHA-256 is the config hash. NULL when it cannot be
 * made: text that is not UTF-8. */
const char *cap_spec_canonical(const Moecap__V1__EvaluationSpec *spec, struct cap_arena *arena,
                               struct cap_err *err);

/* What a task does by itself where a knob may ask for something else. */
struct cap_spec_own {
    double number[CAP_KNOB_COUNT]; /* of a knob that is one */
    bool generates;                /* else knobs of generation change nothing */
    bool whole; /* the run takes every sample, so knobs that choose samples change nothing */
};
/* What of the evaluation changes the question that the task asks, a line each: "3-shot". */
void cap_spec_setting(const Moecap__V1__EvaluationSpec *spec, const struct cap_spec_own *own,
                      struct cap_buf *out);

/* How many times its replay holds; 0 = it has none. */
size_t cap_spec_replay_times(const Moecap__V1__EvaluationSpec *spec);

/* The ranges, as far as SubmitLimits has a field for them. */
void cap_spec_limits(Moecap__V1__SubmitLimits *out);

#endif
