/* The question that a run answers, and how it differs from what its task asks by itself.
 *
 * Figures compare between runs that were asked the same: the same version of a task, the same
 * samples, examples, prompt format and generation settings. Two runs answer one question exactly if
 * the digests here are equal. lib/spec says which knobs change the question and in which words; the
 * samples are known one by one from the run's shards, so "the first 600 of 600" is no other
 * question than "all". Examples that are drawn depend on the seed, too.
 *
 * Both columns are computed when a run is queued and again when its report arrives, which adds the
 * boundary of its times to the words. Runs of an older schema have no question yet: the store
 * computes it when it starts. A later change of what a question is sets the column to NULL in a
 * migration, and the next start does the rest.
 */
#include <jansson.h>
#include <string.h>

#include "digest/digest.h"
#include "row_map.h"
#include "run.h"
#include "spec/spec.h"
#include "store.h"

enum { FILL_RUNS = 500, FILL_ARENA_BYTES = 512 << 20, WORDS_BYTES_MAX = 4096, DIGITS = 16 };

/* What is asked of the database beside the messages, in front of them. */
enum { RUN_NO, KWARGS, SAMPLER, FEWSHOT, OUTPUT_TYPE, DEFINITION, DATA, SAMPLES };

#define FILL_SELECT                                                                                \
    "SELECT r.run_no AS _run_no, t.definition::json->'generation_kwargs' AS _kwargs,"              \
    " t.definition::json->'fewshot_config'->>'sampler' AS _sampler, t.num_fewshot AS _fewshot,"    \
    " t.output_type AS _output_type, t.definition_sha256 AS _definition, t.data_sha256 AS _data,"  \
    " CASE WHEN r.samples_total = t.samples THEN 'all' ELSE"                                       \
    "  (SELECT encode(sha256(convert_to(string_agg(o::text, ',' ORDER BY o), 'UTF8')), 'hex')"     \
    "   FROM shard s, unnest(s.ordinals) o WHERE s.run_no = r.run_no) END AS _samples,"            \
    " {run.base r}, {run_task t}, {evaluation e}, r.report AS report"                              \
    " FROM run r JOIN evaluation e USING (evaluation_no) JOIN task t USING (task_id)"              \
    " WHERE r.question IS NULL"

static double member(const json_t *object, const char *name)
{
    return json_number_value(json_object_get(object, name));
}

/* Keys and their meaning as the evaluator reads them; docs/tasks.md. */
static struct cap_spec_own own_of(const struct store_rows *rows, size_t i)
{
    static const char *const longest[] = {"max_gen_toks", "max_new_tokens", "max_tokens",
                                          "max_completion_tokens"};
    struct cap_spec_own own = {
        .number = {[CAP_KNOB_fewshot] = (double)store_rows_int(rows, i, FEWSHOT),
                   [CAP_KNOB_top_p] = 1}, /* all tokens */
        .generates = strcmp(store_rows_text(rows, i, OUTPUT_TYPE), "generate_until") == 0,
        .whole = strcmp(store_rows_text(rows, i, SAMPLES), "all") == 0};
    json_t *kwargs = json_loads(store_rows_text(rows, i, KWARGS), 0, NULL);

    for (size_t k = 0; k < CAP_COUNT_OF(longest); k++)
        if (json_object_get(kwargs, longest[k]))
            own.number[CAP_KNOB_max_tokens] = member(kwargs, longest[k]);
    if (member(kwargs, "top_p") > 0)
        own.number[CAP_KNOB_top_p] = member(kwargs, "top_p");
    if (!json_is_false(json_object_get(kwargs, "do_sample")))
        own.number[CAP_KNOB_temperature] = member(kwargs, "temperature");
    json_decref(kwargs);
    return own;
}

static bool draws_examples(const struct store_rows *rows, size_t i,
                           const Moecap__V1__EvaluationSpec *spec, const struct cap_spec_own *own)
{
    struct cap_knob_value asked = cap_spec_get(spec, CAP_KNOB_fewshot);
    double shots = asked.is_set ? (double)asked.whole : own->number[CAP_KNOB_fewshot];

    return shots > 0 && strcmp(store_rows_text(rows, i, SAMPLER), "first_n") != 0;
}

/* The digest, of everything but the words for the set of samples: that is in it one by one. */
static void digest_question(const struct store_rows *rows, size_t i,
                            const Moecap__V1__BoardRow *row, struct cap_spec_own own,
                            char out_hex[CAP_SHA256_HEX_BYTES])
{
    CAP_AUTO_BUF(text, 2 * WORDS_BYTES_MAX);

    cap_buf_printf(&text, "question 1\n%s\n%s\n%s\n%s\n", row->task,
                   store_rows_text(rows, i, DEFINITION), store_rows_text(rows, i, DATA),
                   store_rows_text(rows, i, SAMPLES));
    if (draws_examples(rows, i, row->spec, &own))
        cap_buf_printf(&text, "seed %llu\n", (unsigned long long)row->spec->seed);
    own.whole = true;
    cap_spec_setting(row->spec, &own, &text);
    cap_sha256_hex(text.data, text.length, out_hex);
    out_hex[DIGITS] = '\0';
}

static bool fill_row(struct store_conn *conn, const struct store_rows *rows, size_t i,
                     const Moecap__V1__BoardRow *row, struct cap_err *err)
{
    struct cap_spec_own own = own_of(rows, i);
    const char *boundary = row->report ? row->report->timing_boundary : "";
    char question[CAP_SHA256_HEX_BYTES];
    CAP_AUTO_BUF(words, WORDS_BYTES_MAX);

    digest_question(rows, i, row, own, question);
    cap_spec_setting(row->spec, &own, &words);
    if (row->spec->repeats > 1)
        cap_buf_printf(&words, "%srepeat %u of %u", words.length ? "\n" : "", row->repeat + 1,
                       row->spec->repeats);
    if (strcmp(boundary, "http") == 0)
        cap_buf_printf(&words, "%shttp", words.length ? "\n" : "");
    return store_pg_do(
        conn, err,
        "UPDATE run SET question = $2, timing_boundary = $4,"
        " setting = string_to_array($3, E'\\n') WHERE run_no = $1",
        STORE_ARGS(store_arg_int(store_rows_int(rows, i, RUN_NO)), store_arg_text(question),
                   store_arg_text(words.length ? words.data : ""), store_arg_text(boundary)));
}

static bool fill_rows(struct store_conn *conn, const struct store_rows *rows, struct cap_err *err)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(FILL_ARENA_BYTES);
    Moecap__V1__BoardRow **list;
    size_t count;

    if (!rows || !(list = store_rows_list(rows, &moecap__v1__board_row__descriptor, NULL, arena,
                                          &count, err)))
        return false;
    for (size_t i = 0; i < count; i++)
        if (!fill_row(conn, rows, i, list[i], err))
            return cap_fail_in(err, "the question of run %s", list[i]->run_id);
    return true;
}

bool store_question_fill(struct store_conn *conn, int64_t evaluation_no, struct cap_err *err)
{
    CAP_AUTO(store_rows) rows = store_pg_ask(conn, err, FILL_SELECT " AND r.evaluation_no = $1",
                                             STORE_ARGS(store_arg_int(evaluation_no)));

    return fill_rows(conn, rows, err);
}

static bool fill_some(struct store_conn *conn, void *arg, struct cap_err *err)
{
    size_t *out_filled = arg;
    CAP_AUTO(store_rows) rows =
        store_pg_ask(conn, err, FILL_SELECT " ORDER BY r.run_no LIMIT $1 FOR UPDATE OF r",
                     STORE_ARGS(store_arg_int(FILL_RUNS)));

    *out_filled = rows ? store_rows_count(rows) : 0;
    return fill_rows(conn, rows, err);
}

bool store_questions(struct store_pg *pg, struct cap_err *err)
{
    size_t filled = 1;

    while (filled > 0)
        if (!store_pg_tx(pg, STORE_TX_WRITE, fill_some, &filled, err))
            return cap_fail_in(err, "compute what older runs were asked");
    return true;
}
