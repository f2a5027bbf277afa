/* The row map against the schema, and messages with every field set through the store: a new field
 * of the .proto is in these tests without another line (docs/adding-a-field.md). */
#include "digest/digest.h"
#include "moecap/v1/evaluator.rpc.h"
#include "rpc/rpc.h"
#include "store/row_map.h"
#include "wire/json.h"
#include "world.h"

/* ---- the map and the schema ---- */

static void each_map_fits_its_table(void **state)
{
    struct world *w = *state;

    for (int map = 0; map < STORE_MAP_COUNT; map++) {
        const char *table;
        size_t count;
        const struct store_column *c = store_map_columns((enum store_map)map, &count, &table);
        for (size_t i = 0; i < count; i++) {
            char sql[256];
            int name = (int)strcspn(c[i].column, "["); /* metrics[1] */
            snprintf(sql, sizeof sql,
                     "SELECT is_nullable FROM information_schema.columns WHERE table_schema ="
                     " 'moecap' AND table_name = '%s' AND column_name = '%.*s'",
                     table, name, c[i].column);
            CAP_AUTO_MEM char *nullable = harness_sql(w->db, sql);
            if (!nullable)
                fail_msg("table %s has no column %s", table, c[i].column);
            if (c[i].null == STORE_NULL_OPTIONAL && !c[i].column[name] &&
                strcmp(nullable, "YES") != 0)
                fail_msg("%s.%s is NOT NULL, but its field is optional", table, c[i].column);
        }
    }
}

/* The words of an enum are written once, in the .proto; the database's CHECK must know them all. */
static void assert_checked(struct world *w, const char *table, const char *column,
                           const char *const *words)
{
    char sql[256];
    size_t count = 0, quotes = 0;

    snprintf(sql, sizeof sql,
             "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = '%s_%s_check'"
             " AND conrelid = 'moecap.%s'::regclass",
             table, column, table);
    CAP_AUTO_MEM char *check = harness_sql(w->db, sql);
    assert_non_null(check);
    for (; words[count]; count++) {
        char quoted[80];
        snprintf(quoted, sizeof quoted, "'%s'", words[count]);
        if (!strstr(check, quoted))
            fail_msg("the CHECK of %s.%s lacks %s: %s", table, column, quoted, check);
    }
    for (const char *c = check; *c; c++)
        quotes += *c == '\'';
    assert_int_equal(quotes, 2 * count);
}

static void the_database_has_the_words_of_the_wire(void **state)
{
    assert_checked(*state, "run", "state", run_state_words);
    assert_checked(*state, "verdict", "kind", verdict_kind_words);
}

/* ---- a message with everything in it ---- */

static void *full_message(const ProtobufCMessageDescriptor *type, struct cap_arena *arena);

static void fill_value(const ProtobufCFieldDescriptor *field, void *at, struct cap_arena *arena)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
        *(char **)at = cap_arena_printf(arena, "%s \\N \"%u\"", field->name, field->id);
        break;
    case PROTOBUF_C_TYPE_DOUBLE:
        *(double *)at = -1.0 / (2 + field->id);
        break;
    case PROTOBUF_C_TYPE_UINT64:
        *(uint64_t *)at = 5000000000 + field->id;
        break;
    case PROTOBUF_C_TYPE_INT64:
        *(int64_t *)at = -5000000000 - (int64_t)field->id;
        break;
    case PROTOBUF_C_TYPE_MESSAGE:
        *(void **)at = full_message(field->descriptor, arena);
        break;
    case PROTOBUF_C_TYPE_BOOL:
    case PROTOBUF_C_TYPE_ENUM:
        *(int *)at = 1;
        break;
    default:
        assert_int_equal(field->type, PROTOBUF_C_TYPE_UINT32);
        *(uint32_t *)at = field->id;
    }
}

static size_t size_of(const ProtobufCFieldDescriptor *field)
{
    return field->type == PROTOBUF_C_TYPE_UINT32 || field->type == PROTOBUF_C_TYPE_BOOL ? 4 : 8;
}

/* Every field is set, lists have two items. */
static void *full_message(const ProtobufCMessageDescriptor *type, struct cap_arena *arena)
{
    char *message = cap_arena_alloc(arena, type->sizeof_message);

    protobuf_c_message_init(type, message);
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        if (field->label == PROTOBUF_C_LABEL_REPEATED) {
            char *items = cap_arena_array(arena, 2, size_of(field));
            fill_value(field, items, arena);
            fill_value(field, items + size_of(field), arena);
            *(void **)(message + field->offset) = items;
            *(size_t *)(message + field->quantifier_offset) = 2;
            continue;
        }
        if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
            *(uint32_t *)(message + field->quantifier_offset) = field->id;
        fill_value(field, message + field->offset, arena);
    }
    return message;
}

/* The same bytes on the wire; the sentence says what came back. */
static void assert_same(const ProtobufCMessage *sent, const ProtobufCMessage *back)
{
    CAP_AUTO_BUF(left, 1 << 20);
    CAP_AUTO_BUF(right, 1 << 20);

    assert_ptr_equal(sent->descriptor, back->descriptor);
    cap_wire_write(sent, &left);
    cap_wire_write(back, &right);
    assert_string_equal(right.data, left.data);
    assert_int_equal(protobuf_c_message_get_packed_size(sent),
                     protobuf_c_message_get_packed_size(back));
}

/* Every field that a message has is a key of its JSON. */
static void assert_json_has_all(const ProtobufCMessage *message)
{
    json_t *json = cap_wire_to_json(message);

    for (unsigned i = 0; i < message->descriptor->n_fields; i++)
        if (!json_object_get(json, message->descriptor->fields[i].name))
            fail_msg("the JSON of %s lacks %s", message->descriptor->name,
                     message->descriptor->fields[i].name);
    json_decref(json);
}

/* One batch with a full answer, pass, expert count and power sample. */
static void must_append_full(struct world *w, const char *run, Moecap__V1__AnswerRows *rows)
{
    Moecap__V1__AppendRequest request = MOECAP__V1__APPEND_REQUEST__INIT;
    Moecap__V1__AppendReply reply = MOECAP__V1__APPEND_REPLY__INIT;
    Moecap__V1__AnswerBatch batch = MOECAP__V1__ANSWER_BATCH__INIT;
    Moecap__V1__LeaseRef ref = MOECAP__V1__LEASE_REF__INIT;
    uint8_t sha256[CAP_SHA256_BYTES];
    struct cap_err err = {0};

    rows->n_answers = rows->n_passes = rows->n_power = rows->n_expert_counts = 1;
    rows->answers[0]->ordinal = 0;
    rows->answers[0]->uid = "s0";
    batch.rows.len = protobuf_c_message_get_packed_size(&rows->base);
    batch.rows.data = cap_arena_alloc(w->arena, batch.rows.len);
    protobuf_c_message_pack(&rows->base, batch.rows.data);
    cap_sha256(batch.rows.data, batch.rows.len, sha256);
    batch.sha256 = (ProtobufCBinaryData){sizeof sha256, sha256};
    ref.run_id = (char *)run;
    ref.fence = must_lease(w, run, 0, "node-a").fence;
    batch.lease = &ref;
    batch.seq = batch.answers = batch.completed = 1;
    batch.last = true;
    request.batch = &batch;
    assert_ok(store_append(w->pg, &request, w->arena, &reply, &err), &err);
    assert_true(reply.run_done);
}

static void every_field_of_a_batch_comes_back(void **state)
{
    struct world *w = *state;
    Moecap__V1__AnswerRows *rows = full_message(&moecap__v1__answer_rows__descriptor, w->arena);
    Moecap__V1__ListSamplesRequest list = MOECAP__V1__LIST_SAMPLES_REQUEST__INIT;

    must_put_task(w, 1);
    list.run_id = must_enqueue(w, 1, 1, 1);
    must_append_full(w, list.run_id, rows);
    list.with_texts = list.with_routing = true;
    const Moecap__V1__SampleRow *row = must_list(w, &list)->samples[0];
    assert_same(&rows->answers[0]->base, &row->answer->base);
    assert_json_has_all(&row->answer->base);
    assert_false(row->escaped);
    Moecap__V1__Evidence *evidence = must_read_evidence(w, list.run_id);
    assert_same(&rows->passes[0]->base, &evidence->passes[0]->base);
    assert_same(&rows->expert_counts[0]->base, &evidence->expert_counts[0]->base);
    assert_same(&rows->power[0]->base, &evidence->power[0]->base);
    assert_same(&rows->report->base, &evidence->header->report->base);
    /* Measures take an answer without its texts, token ids and routing; the rest is the same. */
    Moecap__V1__SampleAnswer bare = *rows->answers[0];
    bare.prompt = bare.text = bare.reasoning = "";
    bare.n_output_ids = 0;
    bare.routing = NULL;
    assert_same(&bare.base, &evidence->answers[0]->base);
}

static void every_field_of_a_summary_comes_back(void **state)
{
    struct world *w = *state;
    Moecap__V1__PutVerdictsRequest put = MOECAP__V1__PUT_VERDICTS_REQUEST__INIT;
    Moecap__V1__PutVerdictsReply graded = MOECAP__V1__PUT_VERDICTS_REPLY__INIT;
    Moecap__V1__FinishRunRequest finish = MOECAP__V1__FINISH_RUN_REQUEST__INIT;
    Moecap__V1__Summary *summary = full_message(&moecap__v1__summary__descriptor, w->arena);
    Moecap__V1__Verdict *verdict = full_message(&moecap__v1__verdict__descriptor, w->arena);
    Moecap__V1__Empty nothing = MOECAP__V1__EMPTY__INIT;
    struct cap_err err = {0};

    must_put_task(w, 1);
    put.run_id = finish.run_id = must_enqueue(w, 1, 1, 1);
    must_answer_all(w, put.run_id, 1, 1);
    verdict->ordinal = 0;
    put.verdicts = &verdict;
    put.n_verdicts = 1;
    assert_ok(store_put_verdicts(w->pg, &put, w->arena, &graded, &err), &err);
    assert_same(&verdict->base, &must_list_all(w, put.run_id)->samples[0]->verdicts[0]->base);
    assert_same(&verdict->base, &must_read_evidence(w, put.run_id)->verdicts[0]->base);
    summary->n_figures = summary->n_histograms = summary->n_curves = summary->n_marks = 1;
    finish.summary = summary;
    assert_ok(store_finish_run(w->pg, &finish, w->arena, &nothing, &err), &err);
    Moecap__V1__GetRunReply *run = must_get_run(w, put.run_id);
    assert_same(&summary->figures[0]->base, &run->row->figures[0]->base);
    assert_json_has_all(&run->row->figures[0]->base);
    assert_same(&summary->histograms[0]->base, &run->histograms[0]->base);
    assert_same(&summary->curves[0]->base, &run->curves[0]->base);
    assert_int_equal(run->row->n_marks, 1);
    assert_same(&summary->marks[0]->base, &run->row->marks[0]->base);
    assert_json_has_all(&run->row->marks[0]->base);
}

int main(void)
{
#define WORLD_TEST(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        WORLD_TEST(each_map_fits_its_table),
        WORLD_TEST(the_database_has_the_words_of_the_wire),
        WORLD_TEST(every_field_of_a_batch_comes_back),
        WORLD_TEST(every_field_of_a_summary_comes_back),
    };

    return cmocka_run_group_tests_name("store map", tests, NULL, NULL);
}
