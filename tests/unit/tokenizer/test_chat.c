/* The chat template of a model directory: where it comes from, what it is given, its refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "text/chat.h"

static char dir[64];

static void put(const char *name, const char *text)
{
    char path[128];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    if (!text) {
        unlink(path);
        return;
    }
    file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static int make_dir(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/moecap-chat-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
    (void)state;
    put("tokenizer_config.json", NULL);
    put("chat_template.jinja", NULL);
    put("special_tokens_map.json", NULL);
    return rmdir(dir);
}

static const char *const roles[] = {"system", "user"};
static const char *const contents[] = {"Be brief.", "Half of 48?"};
static const struct infer_chat_turns two = {.roles = roles, .contents = contents, .count = 2};

static void check_text(const char *from, const struct infer_chat_turns *turns, const char *expected)
{
    struct cap_err err = {0};
    CAP_AUTO(infer_chat) chat = infer_chat_open(from, NULL, &err);
    CAP_AUTO_BUF(out, 1 << 16);

    if (!chat || !infer_chat_render(chat, turns, &out, &err))
        fail_msg("%s", err.text);
    assert_string_equal(out.data, expected);
}

static void check_failure(const char *sentence)
{
    struct cap_err err = {0};
    CAP_AUTO(infer_chat) chat = infer_chat_open(dir, NULL, &err);
    CAP_AUTO_BUF(out, 1 << 16);

    if (chat)
        assert_false(infer_chat_render(chat, &two, &out, &err));
    if (!strstr(err.text, sentence))
        fail_msg("wanted \"%s\", got \"%s\"", sentence, err.text);
}

static void shipped_model_speaks_chatml(void **state)
{
    struct infer_chat_turns finished = two;
    char path[1024];

    (void)state;
    snprintf(path, sizeof path, "%s/models/moecap-tiny", getenv("MOECAP_SOURCE_DIR"));
    check_text(path, &two,
               "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHalf of 48?<|im_end|>\n"
               "<|im_start|>assistant\n");
    finished.continue_without_cue = true;
    check_text(
        path, &finished,
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHalf of 48?<|im_end|>\n");
}

static void template_file_wins_over_the_config(void **state)
{
    (void)state;
    put("tokenizer_config.json", "{\"chat_template\": \"config\", \"bos_token\": {\"content\": "
                                 "\"<s>\"}, \"eos_token\": \"</s>\"}");
    check_text(dir, &two, "config");
    put("chat_template.jinja", "{{ bos_token }}{{ messages[1].content }}{{ eos_token }}\n");
    check_text(dir, &two, "<s>Half of 48?</s>");
}

static void special_tokens_may_stand_in_a_file_of_their_own(void **state)
{
    (void)state;
    put("special_tokens_map.json", "{\"bos_token\": \"<map>\", \"eos_token\": {\"content\": "
                                   "\"</map>\"}}");
    put("tokenizer_config.json", "{\"bos_token\": \"<s>\", \"add_bos_token\": true,"
                                 " \"chat_template\": \"{{ bos_token }}{{ eos_token }}\"}");
    check_text(dir, &two, "<s></map>");
    put("tokenizer_config.json", "{\"chat_template\": \"{{ bos_token }}{{ eos_token }}\"}");
    check_text(dir, &two, "<map></map>");
}

static void named_templates_have_a_default(void **state)
{
    (void)state;
    put("tokenizer_config.json",
        "{\"chat_template\": [{\"name\": \"tool_use\", \"template\": \"tools\"},"
        " {\"name\": \"default\", \"template\": \"plain {{ tools is none }}\"}]}");
    check_text(dir, &two, "plain True");
}

static void extra_names_and_json_messages_reach_the_template(void **state)
{
    json_t *messages = json_loads("[{\"role\": \"user\", \"content\": [{\"type\": \"text\", "
                                  "\"text\": \"hi\"}]}]",
                                  0, NULL),
           *extra = json_pack("{s:b}", "enable_thinking", 0);
    const struct infer_chat_turns turns = {.messages = messages, .extra = extra};

    (void)state;
    put("tokenizer_config.json", "{\"chat_template\": \"{{ messages[0].content[0].text }} "
                                 "{{ enable_thinking }}\"}");
    check_text(dir, &turns, "hi False");
    json_decref(messages);
    json_decref(extra);
}

static void missing_template_and_its_failures_are_sentences(void **state)
{
    (void)state;
    check_failure("the model has no chat template");
    put("tokenizer_config.json",
        "{\"chat_template\": \"{{ raise_exception('no system role') }}\"}");
    check_failure("chat template: no system role");
    put("tokenizer_config.json", "{\"chat_template\": \"{% if %}\"}");
    check_failure("chat template of tokenizer_config.json: template line 1");
    put("tokenizer_config.json", "{");
    check_failure("tokenizer_config.json, line 1");
}

/* Texts need no template. */
static void a_template_that_does_not_compile_hinders_only_chat(void **state)
{
    struct cap_err err = {0};

    (void)state;
    put("tokenizer_config.json", "{\"bos_token\": \"<s>\"}");
    put("chat_template.jinja", "a{% training %}x{% endtraining %}");
    CAP_AUTO(infer_chat) chat = infer_chat_open(dir, NULL, &err);
    CAP_AUTO_BUF(out, 1 << 16);

    assert_non_null(chat);
    assert_string_equal(infer_chat_special(chat, "bos_token"), "<s>");
    assert_true(infer_chat_has_template(chat));
    assert_non_null(strstr(infer_chat_problem(chat), "this tag is not understood: training"));
    assert_false(infer_chat_render(chat, &two, &out, &err));
    assert_int_equal(err.code, CAP_UNIMPLEMENTED);
    assert_string_equal(err.text, infer_chat_problem(chat));
}

static void a_template_with_nul_is_refused_and_not_cut(void **state)
{
    (void)state;
    put("tokenizer_config.json", "{\"chat_template\": \"a\\u0000{{ b }}\"}");
    check_failure("chat template of tokenizer_config.json: a template cannot hold U+0000");
}

static void a_filter_in_a_branch_that_is_not_taken_may_be_unknown(void **state)
{
    (void)state;
    put("chat_template.jinja",
        "{% if tools %}{{ tools | from_json }}{% endif %}{{ messages[0].role }}");
    check_text(dir, &two, "system");
}

static void bos_is_added_only_when_there_is_one(void **state)
{
    static const char *const configs[] = {"{\"add_bos_token\": true}",
                                          "{\"add_bos_token\": true, \"bos_token\": \"<s>\"}",
                                          "{\"bos_token\": \"<s>\"}"};

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct cap_err err = {0};

        put("tokenizer_config.json", configs[i]);
        CAP_AUTO(infer_chat) chat = infer_chat_open(dir, NULL, &err);

        assert_int_equal(infer_chat_adds_bos(chat), i == 1);
    }
}

#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, make_dir, remove_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shipped_model_speaks_chatml),
        IN_DIR(template_file_wins_over_the_config),
        IN_DIR(special_tokens_may_stand_in_a_file_of_their_own),
        IN_DIR(named_templates_have_a_default),
        IN_DIR(extra_names_and_json_messages_reach_the_template),
        IN_DIR(missing_template_and_its_failures_are_sentences),
        IN_DIR(a_template_that_does_not_compile_hinders_only_chat),
        IN_DIR(a_template_with_nul_is_refused_and_not_cut),
        IN_DIR(a_filter_in_a_branch_that_is_not_taken_may_be_unknown),
        IN_DIR(bos_is_added_only_when_there_is_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
