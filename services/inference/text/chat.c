/* Finding a model's template, handing it the names that transformers hands it, and rendering. */
#include "text/chat.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/python_json.h"
#include "jinja/jinja.h"

enum { CONFIG_BYTES_MAX = 32 << 20, TEMPLATE_BYTES_MAX = 4 << 20 };

/* Special tokens that a template may name, as apply_chat_template hands them over. */
static const char *const special_keys[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                           "pad_token", "cls_token", "mask_token"};

static const char NO_TEMPLATE[] = "none";

struct infer_chat {
    struct cap_jinja *template; /* NULL = none that compiles */
    const char *source;
    struct cap_err problem; /* why it does not compile */
    json_t *names;          /* special tokens, for every rendering */
    bool adds_bos;
};

/* ---- reading ---- */

/* The file's text; NULL with err clean when there is no such file. */
static char *read_optional(const char *dir, const char *name, size_t bytes_max, size_t *out_length,
                           struct cap_err *err)
{
    char path[PATH_MAX];

    if (snprintf(path, sizeof path, "%s/%s", dir, name) >= (int)sizeof path) {
        cap_fail(err, CAP_INVALID_ARGUMENT, "path \"%.80s...\" is too long", dir);
        return NULL;
    }
    if (!cap_file_exists(path))
        return NULL;
    return cap_file_read_regular(path, bytes_max, out_length, err);
}

/* A special token is a text, or an object that holds it as "content". What an earlier file said
 * stays. */
static void read_specials(struct infer_chat *chat, const json_t *file)
{
    json_t *more = json_object_get(file, "additional_special_tokens");

    for (size_t i = 0; i < CAP_COUNT_OF(special_keys); i++) {
        json_t *value = json_object_get(file, special_keys[i]);

        if (json_is_object(value))
            value = json_object_get(value, "content");
        if (json_is_string(value) && !json_object_get(chat->names, special_keys[i]))
            json_object_set(chat->names, special_keys[i], value);
    }
    if (json_is_array(more) && !json_object_get(chat->names, "additional_special_tokens"))
        json_object_set(chat->names, "additional_special_tokens", more);
}

/* chat_template: a text, or [{"name": "default", "template": ...}, ...]; NULL = none. */
static const json_t *find_template(const json_t *config)
{
    const json_t *value = json_object_get(config, "chat_template"), *first = NULL;
    json_t *item;
    size_t i;

    if (json_is_string(value))
        return value;
    json_array_foreach(value, i, item)
    {
        const char *name = json_string_value(json_object_get(item, "name"));
        const json_t *text = json_object_get(item, "template");

        if (!json_is_string(text))
            continue;
        if (name && strcmp(name, "default") == 0)
            return text;
        first = first ? first : text;
    }
    return first;
}

/* One that does not compile hinders only those who want to chat. */
static void compile(struct infer_chat *chat, const char *text, size_t length, const char *source,
                    const struct cap_clock *clock)
{
    struct cap_jinja_options options = cap_jinja_chat;

    options.clock = clock ? clock : cap_clock_system();
    if (strlen(text) != length)
        cap_fail(&chat->problem, CAP_UNIMPLEMENTED, "a template cannot hold U+0000");
    else
        chat->template = cap_jinja_compile(text, &options, &chat->problem);
    chat->source = source;
    if (!chat->template) {
        chat->problem.code = CAP_UNIMPLEMENTED;
        cap_fail_in(&chat->problem, "chat template of %s", source);
    }
}

/* NULL with err clean when there is no such file. */
static json_t *read_json(const char *dir, const char *name, struct cap_err *err)
{
    size_t length = 0;
    CAP_AUTO_MEM char *text = read_optional(dir, name, CONFIG_BYTES_MAX, &length, err);
    json_error_t why;
    CAP_AUTO_MEM char *strict = cap_python_json(text ? text : "", length, &length);
    json_t *json = text ? json_loadb(strict, length, JSON_ALLOW_NUL, &why) : NULL;

    if (text && !json)
        cap_fail(err, CAP_INVALID_ARGUMENT, "%s, line %d: %.200s", name, why.line, why.text);
    return json;
}

static bool read_files(struct infer_chat *chat, const char *dir, const struct cap_clock *clock,
                       struct cap_err *err)
{
    static const char template_file[] = "chat_template.jinja",
                      config_file[] = "tokenizer_config.json";
    size_t length = 0;
    CAP_AUTO_MEM char *text = read_optional(dir, template_file, TEMPLATE_BYTES_MAX, &length, err);
    json_t *config = NULL, *specials = NULL;
    const json_t *template;

    if (err->code == CAP_OK)
        config = read_json(dir, config_file, err);
    if (err->code == CAP_OK)
        specials = read_json(dir, "special_tokens_map.json", err);
    if (err->code == CAP_OK) {
        read_specials(chat, config);
        read_specials(chat, specials);
        chat->adds_bos = json_is_true(json_object_get(config, "add_bos_token")) &&
                         json_object_get(chat->names, "bos_token");
        if (text)
            compile(chat, text, length, template_file, clock);
        else if ((template = find_template(config)) != NULL)
            compile(chat, json_string_value(template), json_string_length(template), config_file,
                    clock);
    }
    json_decref(config);
    json_decref(specials);
    return err->code == CAP_OK;
}

struct infer_chat *infer_chat_open(const char *dir, const struct cap_clock *clock,
                                   struct cap_err *err)
{
    CAP_AUTO(infer_chat) chat = calloc(1, sizeof *chat);

    if (!chat)
        abort();
    chat->source = NO_TEMPLATE;
    chat->names = json_object();
    if (read_files(chat, dir, clock, err))
        return cap_take(chat);
    cap_fail_in(err, "model \"%s\"", dir);
    return NULL;
}

void infer_chat_free(struct infer_chat *chat)
{
    if (!chat)
        return;
    cap_jinja_free(chat->template);
    json_decref(chat->names);
    free(chat);
}

/* ---- rendering ---- */

static bool make_messages(const struct infer_chat_turns *turns, json_t *out, struct cap_err *err)
{
    for (int i = 0; i < turns->count; i++) {
        json_t *message =
            json_pack("{s:s, s:s}", "role", turns->roles[i], "content", turns->contents[i]);

        if (!message)
            return cap_fail(err, CAP_INVALID_ARGUMENT, "message %d is not UTF-8", i + 1);
        json_array_append_new(out, message);
    }
    return true;
}

bool infer_chat_render(const struct infer_chat *chat, const struct infer_chat_turns *turns,
                       struct cap_buf *out, struct cap_err *err)
{
    const struct cap_jinja_stop stop = {turns->unwanted, turns->unwanted_arg};
    json_t *context, *messages;
    bool ok;

    if (chat->problem.code != CAP_OK) {
        *err = chat->problem;
        return false;
    }
    if (!chat->template)
        return cap_fail(err, CAP_NOT_FOUND,
                        "the model has no chat template (no chat_template.jinja, none in "
                        "tokenizer_config.json); send text instead of messages");
    messages = turns->messages ? json_incref((json_t *)turns->messages) : json_array();
    ok = turns->messages || make_messages(turns, messages, err);
    context = json_copy(chat->names);
    json_object_set_new(context, "messages", messages);
    json_object_set_new(context, "tools", json_null());
    json_object_set_new(context, "documents", json_null());
    json_object_set_new(context, "add_generation_prompt",
                        json_boolean(!turns->continue_without_cue));
    if (turns->extra)
        json_object_update(context, (json_t *)turns->extra);
    ok = ok && (cap_jinja_render_until(chat->template, context, turns->unwanted ? &stop : NULL, out,
                                       err) ||
                cap_fail_in(err, "chat template"));
    json_decref(context);
    return ok;
}

/* ---- questions ---- */

bool infer_chat_has_template(const struct infer_chat *chat)
{
    return chat->source != NO_TEMPLATE;
}

const char *infer_chat_problem(const struct infer_chat *chat)
{
    return chat->problem.code == CAP_OK ? NULL : chat->problem.text;
}

const char *infer_chat_source(const struct infer_chat *chat)
{
    return chat->source;
}

bool infer_chat_adds_bos(const struct infer_chat *chat)
{
    return chat->adds_bos;
}

const char *infer_chat_special(const struct infer_chat *chat, const char *key)
{
    return json_string_value(json_object_get(chat->names, key));
}
