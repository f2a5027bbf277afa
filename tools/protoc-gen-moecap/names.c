#include <ctype.h>
#include <string.h>

#include "gen.h"

/* protoc-gen-c begins a word at a capital that does not follow one. */
static bool starts_word(const char *text, const char *at)
{
    return at > text && isupper((unsigned char)*at) && !isupper((unsigned char)at[-1]) &&
           at[-1] != '.';
}

const char *gen_snake(struct cap_arena *a, const char *camel)
{
    char *out = cap_arena_alloc(a, strlen(camel) * 2 + 1), *o = out;

    for (const char *p = camel; *p; p++) {
        if (starts_word(camel, p))
            *o++ = '_';
        *o++ = (char)tolower((unsigned char)*p);
    }
    return out;
}

const char *gen_c_type(struct cap_arena *a, const char *full_name)
{
    const char *name = full_name + (*full_name == '.');
    char *out = cap_arena_alloc(a, strlen(name) * 2 + 1), *o = out;
    bool capital = true;

    for (const char *p = name; *p; p++) {
        if (*p == '.')
            o = stpcpy(o, "__");
        else if (*p != '_')
            *o++ = capital ? (char)toupper((unsigned char)*p) : *p;
        capital = *p == '.' || *p == '_';
    }
    return out;
}

const char *gen_c_lower(struct cap_arena *a, const char *full_name)
{
    const char *name = full_name + (*full_name == '.');
    char *out = cap_arena_alloc(a, strlen(name) * 3 + 1), *o = out;

    for (const char *p = name; *p; p++) {
        if (starts_word(name, p))
            *o++ = '_';
        if (*p == '.')
            o = stpcpy(o, "__");
        else
            *o++ = (char)tolower((unsigned char)*p);
    }
    return out;
}

const char *gen_stem(struct cap_arena *a, const char *file_name)
{
    const char *dot = strrchr(file_name, '.');

    return cap_arena_strndup(a, file_name, dot ? (size_t)(dot - file_name) : strlen(file_name));
}

const char *gen_ident(struct cap_arena *a, const char *text)
{
    char *out = cap_arena_strdup(a, text);

    for (char *p = out; *p; p++)
        if (!isalnum((unsigned char)*p))
            *p = '_';
    return out;
}

const char *gen_full_name(struct cap_arena *a, const gen_file *file, const char *name)
{
    bool has_package = file->package && *file->package;

    return has_package ? cap_arena_printf(a, "%s.%s", file->package, name) : name;
}
