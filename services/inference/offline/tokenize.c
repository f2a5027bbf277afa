/* tokenize DIR: JSON strings, one a line, become JSON lists of ids, one a line. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/exit.h"
#include "offline/offline.h"
#include "text/tokenizer.h"

enum { LINE_BYTES_MAX = 512 << 20 };

static const char verb[] = "tokenize";

static const char help[] =
    "usage: moecap tokenize DIR [--special] [--decode] [--json] < lines\n"
    "\n"
    "Maps JSON strings, one a line on stdin, to lists of token ids, with DIR/tokenizer.json.\n"
    "\n"
    "  --special   put the tokenizer's own special tokens (such as a first <s>) around each\n"
    "  --decode    the other way: lists of ids to strings\n"
    "  --json      failures as JSON, too; what is printed is JSON anyway\n"
    "\n"
    "  printf '\"Hello\"\\n\"a b\"\\n' | moecap tokenize models/moecap-tiny\n";

struct tokenizing {
    const struct infer_tokenizer *tokenizer;
    enum infer_specials specials;
    bool decode;
};

static void print_ids(const struct infer_tokens *tokens)
{
    putchar('[');
    for (size_t i = 0; i < tokens->count; i++)
        printf("%s%" PRIu32, i ? ", " : "", tokens->ids[i]);
    puts("]");
}

static bool encode(const struct tokenizing *t, const json_t *value, struct cap_err *err)
{
    struct infer_tokens tokens = {0};
    bool ok;

    if (!json_is_string(value))
        return cap_fail(err, CAP_INVALID_ARGUMENT, "it is not a JSON string");
    ok = infer_tokenizer_encode(t->tokenizer, json_string_value(value), json_string_length(value),
                                t->specials, &tokens, err);
    if (ok)
        print_ids(&tokens);
    infer_tokens_done(&tokens);
    return ok;
}

static bool read_ids(const json_t *value, struct infer_tokens *out, struct cap_err *err)
{
    if (!json_is_array(value))
        return cap_fail(err, CAP_INVALID_ARGUMENT, "it is not a list of ids");
    for (size_t i = 0; i < json_array_size(value); i++) {
        json_t *id = json_array_get(value, i);

        if (!json_is_integer(id) || json_integer_value(id) < 0 ||
            json_integer_value(id) >= INFER_TOKENIZER_IDS_MAX)
            return cap_fail(err, CAP_INVALID_ARGUMENT, "item %zu is not a token id", i + 1);
        infer_tokens_add(out, (uint32_t)json_integer_value(id));
    }
    return true;
}

static bool decode(const struct tokenizing *t, const json_t *value, struct cap_err *err)
{
    struct infer_tokens tokens = {0};
    CAP_AUTO_BUF(text, LINE_BYTES_MAX);
    bool ok = read_ids(value, &tokens, err);

    if (ok) {
        json_t *string;

        infer_tokenizer_decode(
            t->tokenizer, tokens.ids, tokens.count,
            t->specials == INFER_WITH_SPECIALS ? INFER_KEEP_SPECIAL : INFER_SKIP_SPECIAL, &text);
        string = json_stringn(text.data, text.length);
        infer_say_json(string);
        json_decref(string);
    }
    infer_tokens_done(&tokens);
    return ok;
}

static bool do_line(const struct tokenizing *t, const char *line, size_t length,
                    struct cap_err *err)
{
    json_error_t why;
    json_t *value = json_loadb(line, length, JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);
    bool ok;

    if (!value)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "it is not JSON: %.200s", why.text);
    ok = t->decode ? decode(t, value, err) : encode(t, value, err);
    json_decref(value);
    return ok;
}

static bool do_lines(const struct tokenizing *t, struct cap_err *err)
{
    CAP_AUTO_MEM char *line = NULL;
    size_t capacity = 0;
    ssize_t length;

    for (long number = 1; (length = getline(&line, &capacity, stdin)) >= 0; number++) {
        if (length > 0 && line[length - 1] == '\n')
            length--;
        if (!do_line(t, line, (size_t)length, err))
            return cap_fail_in(err, "line %ld", number);
    }
    if (ferror(stdin) || fflush(stdout) != 0)
        return cap_fail(err, CAP_UNAVAILABLE, "could not read or write: %s", strerror(errno));
    return true;
}

int infer_cmd_tokenize(int argc, char **argv)
{
    struct tokenizing t = {0};
    bool as_json = infer_says_json(argc, argv);
    struct cap_err err = {0};
    const char *dir = NULL;

    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(help, stdout);
        return CAP_EXIT_OK;
    }
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--special") == 0)
            t.specials = INFER_WITH_SPECIALS;
        else if (strcmp(argv[i], "--decode") == 0)
            t.decode = true;
        else if (argv[i][0] != '-' && !dir)
            dir = argv[i];
        else if (strcmp(argv[i], "--json") != 0)
            return infer_say_usage(as_json, verb, help, "\"%s\" is not accepted here", argv[i]);
    if (!dir)
        return infer_say_usage(as_json, verb, help, "a model directory is needed");
    CAP_AUTO(infer_tokenizer) tokenizer = infer_tokenizer_open(dir, &err);

    t.tokenizer = tokenizer;
    if (tokenizer && do_lines(&t, &err))
        return CAP_EXIT_OK;
    fflush(stdout);
    infer_say_failure(as_json, verb, &err);
    return cap_exit_of_input(err.code);
}
