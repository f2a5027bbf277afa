#include "external/check.h"

#include <stdlib.h>
#include <string.h>

static const char *text(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));

    return value ? value : "";
}

static bool works(const json_t *finding)
{
    return json_is_true(json_object_get(finding, "works"));
}

static void print_models(const json_t *found, FILE *out)
{
    const json_t *names = json_object_get(found, "models"), *name;
    size_t i;

    fprintf(out, "models        ");
    json_array_foreach(names, i, name)
        fprintf(out, "%s%s", i > 0 ? ", " : "", json_string_value(name));
    fprintf(out, "\ntried         %s", text(found, "model"));
    if (json_is_integer(json_object_get(found, "context_tokens_max")))
        fprintf(out, ", context of %lld tokens",
                (long long)json_integer_value(json_object_get(found, "context_tokens_max")));
    fputc('\n', out);
}

/* Whether a chunk is a token, which decides about gaps. */
static void print_stream(const json_t *found, const char *key, FILE *out)
{
    const json_t *stream = json_object_get(found, key);
    const json_t *tokens = json_object_get(stream, "output_tokens");

    if (!works(stream)) {
        fprintf(out, "%-13s no: %s\n", key, text(stream, "reason"));
        return;
    }
    fprintf(out, "%-13s yes: ", key);
    if (json_is_integer(tokens))
        fprintf(out, "%lld tokens", (long long)json_integer_value(tokens));
    else
        fprintf(out, "tokens unknown (no usage)");
    fprintf(out, " in %lld chunks, the first after %.0f ms, finish %s%s\n",
            (long long)json_integer_value(json_object_get(stream, "chunks")),
            json_number_value(json_object_get(stream, "first_token_ms")),
            *text(stream, "finish_reason") ? text(stream, "finish_reason") : "reason not given",
            json_is_true(json_object_get(stream, "reasoning")) ? ", with reasoning" : "");
}

static void print_length(const json_t *found, FILE *out)
{
    const json_t *length = json_object_get(found, "exact_length");

    if (!length)
        return;
    if (*text(length, "reason"))
        fprintf(out, "exact length  no: %s\n", text(length, "reason"));
    else if (!json_is_integer(json_object_get(length, "got")))
        fprintf(out, "exact length  unknown, without usage\n");
    else
        fprintf(out, "exact length  %s: %lld tokens, asked for %lld\n",
                works(length) ? "yes" : "no",
                (long long)json_integer_value(json_object_get(length, "got")),
                (long long)json_integer_value(json_object_get(length, "asked")));
}

static void print_finding(const json_t *found, const char *key, const char *label, const char *no,
                          FILE *out)
{
    const json_t *finding = json_object_get(found, key);
    const char *reason = *text(finding, "reason") ? text(finding, "reason") : no;

    if (!finding)
        return;
    if (works(finding))
        fprintf(out, "%-13s yes\n", label);
    else
        fprintf(out, "%-13s no: %s\n", label, reason);
}

/* People paste the command, and the name in it is the server's. */
static void print_word(const char *word, FILE *out)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "-_./:@+,=%";

    if (*word && strspn(word, plain) == strlen(word)) {
        fputs(word, out);
        return;
    }
    fputc('\'', out);
    for (; *word; word++)
        fputs(*word == '\'' ? "'\\''" : (const char[]){*word, '\0'}, out);
    fputc('\'', out);
}

static void print_command(const json_t *found, FILE *out)
{
    fprintf(out, "\nmoecap submit --engine %s --url ", text(found, "kind"));
    print_word(text(found, "url"), out);
    fputs(" --model ", out);
    print_word(text(found, "model"), out);
    fputs(" --task gsm-mini\n", out);
}

static void print_end(const json_t *found, FILE *out)
{
    const json_t *problem;
    size_t i;

    json_array_foreach(json_object_get(found, "problems"), i, problem)
        fprintf(out, "problem       %s\n", json_string_value(problem));
    if (i == 0)
        print_command(found, out);
}

static void print_all(const json_t *found, FILE *out)
{
    const char *version = text(found, "version");
    bool chosen = strcmp(text(found, "kind"), text(found, "guess")) != 0;

    fprintf(out, "kind          %s, %s%s%s\n", text(found, "kind"),
            chosen ? "as asked; it looks like " : "for ", chosen ? text(found, "guess") : "",
            chosen ? "" : text(found, "guess_reason"));
    fprintf(out, "version       %s\n", *version ? version : "unknown");
    print_models(found, out);
    print_stream(found, "completions", out);
    print_stream(found, "chat", out);
    fprintf(out, "usage         %s\n",
            json_is_true(json_object_get(found, "usage")) ? "yes"
                                                          : "no: token counts will be unknown");
    print_length(found, out);
    print_finding(found, "scoring", "scoring", "", out);
    print_finding(found, "seed", "seed", "the same seed gave another text", out);
    print_finding(found, "metrics", "metrics", "", out);
    print_finding(found, "routing", "routing", "", out);
    print_end(found, out);
}

/* What a server says must not move a terminal's cursor or colours. */
static void make_plain(char *text)
{
    for (unsigned char *at = (unsigned char *)text; *at; at++) {
        if (*at == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0)
            *at++ = '?'; /* U+0080 to U+009F: a terminal may take the second byte alone */
        else if ((*at >= ' ' || *at == '\n') && *at != 0x7f)
            continue;
        *at = '?';
    }
}

void infer_check_print(const json_t *found, FILE *out)
{
    char *text = NULL;
    size_t length;
    FILE *memory = open_memstream(&text, &length);

    if (!memory)
        abort();
    print_all(found, memory);
    fclose(memory);
    make_plain(text);
    fputs(text, out);
    free(text);
}
