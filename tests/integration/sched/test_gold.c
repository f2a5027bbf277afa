/* Gold reaches no node, in no field of any message: of every task that is shipped.
 *
 * Each task of tasks/ is put into the store with documents of ours in which whatever is not asked
 * is marked: the right answer, and fields that only a holder of the whole document could pass on.
 * The real evaluator renders, the real scheduler assigns, and this test is the node: it goes
 * through every text and every byte string of every command, by the messages' own descriptors, so
 * that a field that comes tomorrow is looked at, too.
 */
#include <dirent.h>

#include "base/clock.h"
#include "base/file.h"
#include "digest/digest.h"
#include "moecap/v1/evaluator.rpc.h"
#include "suite.h"
#include "words/words.h"

#define MARK "GOLD-7f3a91"

enum { DOCS = 5, FILES_MAX = 8, FILE_BYTES_MAX = 1 << 20, BEAT_MS = 100 };

/* ---- looking through a message ---- */

struct look {
    const char *what; /* the task */
    char path[512];   /* of the field */
    size_t texts;     /* looked at */
};

static void look_at_bytes(struct look *look, const void *data, size_t length)
{
    look->texts++;
    if (length > 0 && memmem(data, length, MARK, strlen(MARK)))
        fail_msg("task %s: gold is in %s", look->what, look->path);
}

static void look_through(struct look *look, const ProtobufCMessage *message);

static void look_at_value(struct look *look, const ProtobufCFieldDescriptor *field,
                          const void *value)
{
    if (field->type == PROTOBUF_C_TYPE_STRING) {
        const char *text = *(char *const *)value;
        look_at_bytes(look, text ? text : "", text ? strlen(text) : 0);
    } else if (field->type == PROTOBUF_C_TYPE_BYTES) {
        const ProtobufCBinaryData *bytes = value;
        look_at_bytes(look, bytes->data, bytes->len);
    } else if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        const ProtobufCMessage *child = *(ProtobufCMessage *const *)value;
        if (child)
            look_through(look, child);
    }
}

static size_t size_of_value(const ProtobufCFieldDescriptor *field)
{
    return field->type == PROTOBUF_C_TYPE_BYTES ? sizeof(ProtobufCBinaryData) : sizeof(void *);
}

static bool holds_text(const ProtobufCFieldDescriptor *field)
{
    return field->type == PROTOBUF_C_TYPE_STRING || field->type == PROTOBUF_C_TYPE_BYTES ||
           field->type == PROTOBUF_C_TYPE_MESSAGE;
}

static void look_at_field(struct look *look, const ProtobufCMessage *message,
                          const ProtobufCFieldDescriptor *field)
{
    const char *base = (const char *)message;
    const void *member = base + field->offset;

    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        size_t count = *(const size_t *)(base + field->quantifier_offset);

        for (size_t i = 0; i < count; i++)
            look_at_value(look, field, *(char *const *)member + i * size_of_value(field));
    } else if (!(field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) ||
               *(const uint32_t *)(base + field->quantifier_offset) == field->id) {
        look_at_value(look, field, member);
    }
}

static void look_through(struct look *look, const ProtobufCMessage *message)
{
    size_t length = strlen(look->path);

    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];

        if (!holds_text(field))
            continue;
        snprintf(look->path + length, sizeof look->path - length, ".%s", field->name);
        look_at_field(look, message, field);
        look->path[length] = '\0';
    }
    for (unsigned i = 0; i < message->n_unknown_fields; i++)
        look_at_bytes(look, message->unknown_fields[i].data, message->unknown_fields[i].len);
}

/* The walk itself finds what is hidden in each kind of field. */
static void the_walk_finds_a_mark_wherever_it_is(void **state)
{
    Moecap__V1__NodeCommand command = MOECAP__V1__NODE_COMMAND__INIT;
    Moecap__V1__PromptBatch batch = MOECAP__V1__PROMPT_BATCH__INIT;
    Moecap__V1__Prompt prompt = MOECAP__V1__PROMPT__INIT, *prompts = &prompt;
    char *stop[] = {"a", "b"};
    struct look look = {.what = "none"};

    (void)state;
    command.body_case = MOECAP__V1__NODE_COMMAND__BODY_PROMPTS;
    command.prompts = &batch;
    batch.prompts = &prompts;
    batch.n_prompts = 1;
    prompt.stop = stop;
    prompt.n_stop = 2;
    look_through(&look, &command.base);
    assert_int_equal(look.texts, 1 + 2 + 2); /* run_id; uid, text; both stops */
}

/* ---- the tasks ---- */

static char *task_file(const char *name, struct cap_err *err)
{
    const char *source = getenv("MOECAP_SOURCE_DIR");
    char path[600];

    snprintf(path, sizeof path, "%s/tasks/%s", source ? source : ".", name);
    return cap_file_read(path, FILE_BYTES_MAX, NULL, err);
}

/* The task with everything that its YAML includes. */
static Moecap__V1__TaskInfo *read_task(struct suite *s, struct cap_rpc_channel *evaluator,
                                       const char *yaml)
{
    Moecap__V1__ReadTaskRequest request = MOECAP__V1__READ_TASK_REQUEST__INIT;
    Moecap__V1__TaskFile files[FILES_MAX], *list[FILES_MAX];
    Moecap__V1__ReadTaskReply *reply = NULL;
    const char *next = yaml;
    struct cap_err err = {0};

    request.main = (char *)yaml;
    request.files = list;
    while (!reply || reply->n_missing_files > 0) {
        Moecap__V1__TaskFile *file = list[request.n_files] = &files[request.n_files];
        char *text = task_file(next, &err);

        if (!text)
            fail_msg("%s: %s", next, err.text);
        moecap__v1__task_file__init(file);
        file->name = (char *)next;
        file->text = (ProtobufCBinaryData){strlen(text), (uint8_t *)text};
        request.n_files++;
        assert_true(request.n_files <= FILES_MAX);
        assert_ok(evaluator_rpc_read_task(evaluator, NULL, &request, s->arena, &reply, &err), &err);
        next = reply->n_missing_files > 0 ? reply->missing_files[0] : NULL;
    }
    for (size_t i = 0; i < request.n_files; i++)
        free(list[i]->text.data);
    return reply->task;
}

/* What the shipped tasks ask for stands there without a mark; everything else is marked. */
static char *marked_doc(struct suite *s, bool choice, int number)
{
    return choice ? cap_arena_printf(s->arena,
                                     "{\"id\":\"d%d\",\"question\":\"Which?\",\"choices\":[\"1\","
                                     "\"2\",\"3\",\"4\"],\"answer\":%d,\"why\":\"" MARK
                                     " %d\",\"notes\":[{\"gold\":\"" MARK "\"}]}",
                                     number, number % 4, number)
                  : cap_arena_printf(s->arena,
                                     "{\"id\":\"d%d\",\"question\":\"How many?\",\"answer\":\"" MARK
                                     " %d\\n#### %d\",\"final\":\"" MARK "\"}",
                                     number, number, number);
}

static char *plain_doc(struct suite *s, bool choice, int number)
{
    return choice ? cap_arena_printf(s->arena,
                                     "{\"question\":\"Which, %d?\",\"choices\":[\"1\",\"2\",\"3\","
                                     "\"4\"],\"answer\":1}",
                                     number)
                  : cap_arena_printf(
                        s->arena, "{\"question\":\"How many, %d?\",\"answer\":\"#### 7\"}", number);
}

static void put_marked(struct suite *s, Moecap__V1__TaskInfo *task)
{
    Moecap__V1__PutTaskChunk chunk = MOECAP__V1__PUT_TASK_CHUNK__INIT;
    char *samples[DOCS], *fewshot[DOCS + 5];
    bool choice = strncmp(task->name, "choice", 6) == 0;
    struct cap_rpc_call *call = store_rpc_put_task_open(s->to_store, NULL);
    struct cap_err err = {0};

    chunk.task = task;
    chunk.samples = samples;
    chunk.n_samples = DOCS;
    chunk.fewshot = fewshot;
    chunk.n_fewshot = CAP_COUNT_OF(fewshot);
    for (int i = 0; i < DOCS; i++)
        samples[i] = marked_doc(s, choice, i);
    for (size_t i = 0; i < chunk.n_fewshot; i++)
        fewshot[i] = plain_doc(s, choice, (int)i);
    store_rpc_put_task_send_request(call, &chunk);
    cap_rpc_send_done(call);
    store_rpc_put_task_next_reply(call);
    assert_ok(cap_rpc_close(call, &err), &err);
}

/* ---- the node ---- */

static void say(struct cap_rpc_call *call, Moecap__V1__NodeMessage__BodyCase what, void *body)
{
    Moecap__V1__NodeMessage message = MOECAP__V1__NODE_MESSAGE__INIT;

    message.body_case = what;
    message.hello = body;
    assert_true(scheduler_rpc_work_send_request(call, &message));
}

static struct cap_rpc_call *join(struct suite *s)
{
    static char *engines[] = {"null"};
    const struct cap_rpc_options options = {.timeout_ms = CAP_RPC_NO_DEADLINE};
    struct cap_rpc_call *call = scheduler_rpc_work_open(s->to_scheduler, &options);
    Moecap__V1__NodeHello hello = MOECAP__V1__NODE_HELLO__INIT;

    hello.name = "reader";
    hello.engines = engines;
    hello.n_engines = 1;
    say(call, MOECAP__V1__NODE_MESSAGE__BODY_HELLO, &hello);
    return call;
}

/* Beats, and looks at all that comes, until the last prompt of a run has come; answers that it
 * gives the run up. */
static void read_run(struct cap_rpc_call *call, struct look *look)
{
    Moecap__V1__LeaseRef held = MOECAP__V1__LEASE_REF__INIT, *leases = &held;
    Moecap__V1__NodeBeat beat = MOECAP__V1__NODE_BEAT__INIT;
    Moecap__V1__ShardFailed failed = MOECAP__V1__SHARD_FAILED__INIT;
    char run_id[64] = "";
    size_t prompts = 0;
    bool last = false;

    held.run_id = run_id;
    beat.leases = &leases;
    while (!last) {
        const Moecap__V1__NodeCommand *command;

        beat.n_leases = *run_id != '\0';
        say(call, MOECAP__V1__NODE_MESSAGE__BODY_BEAT, &beat);
        if (!cap_rpc_wait(call, BEAT_MS))
            continue;
        command = scheduler_rpc_work_next_reply(call);
        assert_non_null(command);
        look_through(look, &command->base);
        if (command->body_case == MOECAP__V1__NODE_COMMAND__BODY_ASSIGN) {
            snprintf(run_id, sizeof run_id, "%s", command->assign->lease->run_id);
            held.fence = command->assign->lease->fence;
        } else if (command->body_case == MOECAP__V1__NODE_COMMAND__BODY_PROMPTS) {
            prompts += command->prompts->n_prompts;
            last = command->prompts->last;
        }
    }
    assert_int_equal(prompts, DOCS);
    failed.lease = &held;
    failed.code = CAP_INVALID_ARGUMENT;
    failed.reason = "enough was seen";
    say(call, MOECAP__V1__NODE_MESSAGE__BODY_FAILED, &failed);
}

static void read_task_as_a_node(struct suite *s, struct cap_rpc_call *call, const char *task,
                                const char *format, bool shots)
{
    Moecap__V1__EvaluationSpec *spec = suite_spec(s);
    Moecap__V1__SubmitReply *reply;
    struct look look = {.what = task};

    spec->tasks[0] = (char *)task;
    spec->prompt_format = (char *)format;
    if (shots) {
        spec->opt_num_fewshot_case = MOECAP__V1__EVALUATION_SPEC__OPT_NUM_FEWSHOT_NUM_FEWSHOT;
        spec->num_fewshot = 2;
    }
    if (strcmp(task, CAP_TASK_FIXED) == 0)
        spec->load->input_tokens = spec->load->output_tokens = 8;
    reply = must_submit(s, spec);
    read_run(call, &look);
    must_end(s, reply->evaluation_id, MOECAP__V1__RUN_STATE__RUN_STATE_FAILED);
    assert_true(look.texts > DOCS);
}

static void gold_reaches_no_node_in_any_field_of_any_message(void **state)
{
    struct suite *s = *state;
    const char *source = getenv("MOECAP_SOURCE_DIR");
    struct cap_rpc_channel *evaluator = cap_rpc_channel_new(s->real_evaluator.address, NULL);
    struct cap_rpc_call *call = join(s);
    struct cap_err err = {0};
    char folder[500];
    int tasks = 0;
    struct dirent *entry;
    DIR *dir;

    snprintf(folder, sizeof folder, "%s/tasks", source ? source : ".");
    dir = opendir(folder);
    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL) {
        Moecap__V1__TaskInfo *task;
        const char *end = strrchr(entry->d_name, '.');

        if (!end || strcmp(end, ".yaml") != 0)
            continue;
        task = read_task(s, evaluator, entry->d_name);
        put_marked(s, task);
        read_task_as_a_node(s, call, task->name, "text", false);
        read_task_as_a_node(s, call, task->name, "text", true);
        if (strcmp(task->output_type, "generate_until") == 0)
            read_task_as_a_node(s, call, task->name, "chat", false);
        tasks++;
    }
    closedir(dir);
    assert_true(tasks >= 4);
    cap_rpc_cancel(call);
    cap_rpc_close(call, &err);
    cap_rpc_channel_free(evaluator);
}

/* ---- life ---- */

static int set_up(void **state)
{
    struct suite *s = suite_new();
    struct cap_err err = {0};

    suite_evaluator_stop(s);
    suite_real_evaluator_start(s);
    suite_scheduler_start(s);
    s->to_scheduler = cap_rpc_channel_new(s->scheduler.address, NULL);
    assert_ok(cap_rpc_channel_wait(s->to_scheduler, 10000, &err), &err);
    *state = s;
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_walk_finds_a_mark_wherever_it_is),
        cmocka_unit_test_setup_teardown(gold_reaches_no_node_in_any_field_of_any_message, set_up,
                                        suite_teardown),
    };

    cap_rpc_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
