/* The words of an enum. The enum in the .proto is the one table of them: C takes them from here,
 * JSON from the descriptor (lib/wire), the database's CHECK and the page from the same list.
 *
 * RUN_STATE_QUEUED of RunState is "queued", as lib/wire writes it. The value 0 says "not told", so
 * it stands behind no word of a list; as a word it is "".
 */
#include <ctype.h>
#include <string.h>

#include "gen.h"

/* RunState -> RUN_STATE_ */
static const char *prefix_of(struct cap_arena *a, const gen_enum *type)
{
    char *prefix = cap_arena_printf(a, "%s_", gen_snake(a, type->name));

    for (char *p = prefix; *p; p++)
        *p = (char)toupper((unsigned char)*p);
    return prefix;
}

static const char *word_of(struct cap_arena *a, const char *prefix, const char *name)
{
    size_t length = strlen(prefix);
    char *word = cap_arena_strdup(a, strncmp(name, prefix, length) == 0 ? name + length : name);

    for (char *p = word; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    return word;
}

static void write_enum(struct cap_arena *a, const gen_file *file, const gen_enum *type,
                       struct cap_buf *header, struct cap_buf *source)
{
    const char *full = gen_full_name(a, file, type->name), *name = gen_snake(a, type->name),
               *prefix = prefix_of(a, type), *c_type = gen_c_type(a, full);

    cap_buf_printf(
        header,
        "/* enum %s: its words, NULL behind the last; a value's, \"\" when it has none;\n"
        " * the value of a word, false when there is no such word. */\n"
        "extern const char *const %s_words[];\n"
        "const char *%s_word(%s value);\n"
        "bool %s_from_word(const char *word, %s *out_value);\n\n",
        full, name, name, c_type, name, c_type);
    cap_buf_printf(source, "const char *const %s_words[] = {\n", name);
    for (size_t i = 0; i < type->n_value; i++)
        if (type->value[i]->number != 0)
            cap_buf_printf(source, "    \"%s\",\n", word_of(a, prefix, type->value[i]->name));
    cap_buf_printf(source,
                   "    NULL,\n};\n\nconst char *%s_word(%s value)\n{\n    switch ((int)value) {\n",
                   name, c_type);
    for (size_t i = 0; i < type->n_value; i++)
        if (type->value[i]->number != 0)
            cap_buf_printf(source, "    case %d:\n        return \"%s\";\n", type->value[i]->number,
                           word_of(a, prefix, type->value[i]->name));
    cap_buf_printf(source,
                   "    }\n    return \"\";\n}\n\n"
                   "bool %s_from_word(const char *word, %s *out_value)\n{\n"
                   "    static const int values[] = {",
                   name, c_type);
    for (size_t i = 0; i < type->n_value; i++)
        if (type->value[i]->number != 0)
            cap_buf_printf(source, "%d, ", type->value[i]->number);
    cap_buf_printf(source,
                   "0};\n\n    for (int i = 0; %s_words[i]; i++) {\n"
                   "        if (strcmp(%s_words[i], word) == 0) {\n"
                   "            *out_value = (%s)values[i];\n            return true;\n"
                   "        }\n    }\n    return false;\n}\n\n",
                   name, name, c_type);
}

void gen_enums(struct cap_arena *a, const gen_file *file, struct cap_buf *header,
               struct cap_buf *source)
{
    for (size_t i = 0; i < file->n_enum_type; i++)
        write_enum(a, file, file->enum_type[i], header, source);
}
