/* inside.h — the interpreter's own types; included in lib/jinja only.
 *
 * lex.c cuts the text into tokens. parse_statement.c and parse_expression.c make a tree of nodes
 * out of them. exec.c (statements) and eval.c (expressions) walk the tree. Values live in the arena
 * of one rendering. A failure sets run->err, and every function on the way up returns false.
 */
#ifndef CAP_JINJA_INSIDE_H
#define CAP_JINJA_INSIDE_H

#include "base/arena.h"
#include "jinja/jinja.h"

enum {
    TEMPLATE_BYTES_MAX = 4 << 20,
    TEMPLATE_ARENA_BYTES = 64 << 20,
    RENDER_ARENA_BYTES = 64 << 20,
    RENDER_WORK_MAX = 48 << 20, /* what jinja_charge() may add up to: well below a second */
    STEP_WORK = 16,             /* of one node of the tree */
    CALL_WORK = 64,             /* of finding a filter, test or method by its name */
    FLOAT_WORK = 2048,          /* of printing one: it is written and read until it fits */
    WORK_BETWEEN_STOPS = 1 << 18,
    DEPTH_MAX = 128, /* of nested expressions, blocks, calls and values */
    RANGE_MAX = 100000,
};

/* ---- values ---- */

enum kind {
    V_UNDEFINED,
    V_NONE,
    V_BOOL,
    V_INT,
    V_FLOAT,
    V_STR,
    V_LIST,
    V_DICT,
    V_MACRO,
    V_FUNCTION
};

struct value {
    enum kind kind;
    union {
        bool b;
        int64_t i;
        double f;
        struct {
            const char *text; /* not NUL-terminated in general */
            size_t length;
        } s;
        struct list *list;
        struct dict *dict;
        const struct node *macro;
        const char *name; /* of a function, or of what is undefined */
    };
};

struct list {
    struct value *items;
    size_t count, capacity;
    bool tuple;
};

struct pair {
    struct value key, value;
};

struct dict {
    struct pair *pairs;
    size_t count, capacity;
    bool is_namespace;
};

/* ---- trees ---- */

enum node_kind {
    /* expressions */
    N_LITERAL,
    N_NAME,
    N_LIST,
    N_TUPLE,
    N_DICT,
    N_ATTRIBUTE,
    N_INDEX,
    N_SLICE,
    N_CALL,
    N_FILTER,
    N_TEST,
    N_NOT,
    N_NEGATE,
    N_PLUS,
    N_BINARY,
    N_AND,
    N_OR,
    N_TERNARY,
    /* statements */
    N_TEXT,
    N_OUTPUT,
    N_IF,
    N_FOR,
    N_SET,
    N_SET_BLOCK,
    N_MACRO,
    N_FILTER_BLOCK,
    N_WITH, /* args: names, their values in a */
    N_BREAK,
    N_CONTINUE,
};

enum binary_op {
    O_ADD,
    O_SUBTRACT,
    O_MULTIPLY,
    O_DIVIDE,
    O_FLOOR_DIVIDE,
    O_MODULO,
    O_POWER,
    O_CONCAT,
    O_EQUAL,
    O_NOT_EQUAL,
    O_LESS,
    O_LESS_EQUAL,
    O_GREATER,
    O_GREATER_EQUAL,
    O_IN,
    O_NOT_IN,
};

struct node {
    enum node_kind kind;
    enum binary_op op;
    bool negated; /* N_TEST: is not */
    int line;
    struct value literal; /* N_LITERAL, N_TEXT */
    const char *name; /* N_NAME, N_ATTRIBUTE, N_FILTER, N_TEST, N_MACRO, keyword of an argument */
    struct node *a, *b,
        *c; /* operands; N_FOR: a = iterable, b = condition; N_SLICE: start, stop, step on c */
    struct node *step;
    struct node *args; /* arguments, items, pairs (key in a, value in b), targets, linked by next */
    struct node *body, *orelse;
    struct node *next; /* the next statement or argument */
};

/* ---- lexing ---- */

enum token_kind {
    T_TEXT,
    T_NAME,
    T_STRING,
    T_INT,
    T_FLOAT,
    T_SYMBOL,
    T_OPEN_OUTPUT,
    T_CLOSE_OUTPUT,
    T_OPEN_BLOCK,
    T_CLOSE_BLOCK,
    T_END
};

struct token {
    enum token_kind kind;
    const char *text; /* NUL-terminated copy; symbols by their spelling */
    size_t length;
    int64_t i;
    double f;
    int line;
};

/* All tokens, ended by T_END. */
struct token *jinja_lex(const char *text, const struct cap_jinja_options *options,
                        struct cap_arena *arena, struct cap_err *err);
struct node *jinja_parse(const struct token *tokens, struct cap_arena *arena, struct cap_err *err);

struct cap_jinja {
    struct cap_arena *arena;
    struct cap_jinja_options options;
    struct node *body;
};

/* ---- rendering ---- */

struct scope {
    struct scope *parent;
    struct dict *names;
};

struct run {
    const struct cap_jinja *jinja;
    struct cap_arena *arena;
    struct cap_buf *out;
    struct scope *globals;
    size_t work;      /* spent of RENDER_WORK_MAX */
    size_t next_stop; /* the work at which `stop` is asked again */
    const struct cap_jinja_stop *stop;
    int depth, line;
    struct cap_err *err;
};

/* Arguments of a call, filter or test. */
struct arguments {
    struct value *positional;
    size_t count;
    struct dict *named;
};

bool jinja_fail(struct run *run, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The budget. Whatever goes through a text or a list first charges the bytes it will touch; what is
 * done once for every node charges STEP_WORK. False, with a sentence, when the budget is used up,
 * when someone asked to stop, and for ever after any failure: a loop that charges ends by itself.
 */
bool jinja_charge(struct run *run, size_t work);
/* Before anything that calls itself: a node's operands, an item of a list. jinja_ascend() undoes
 * it. False past DEPTH_MAX, so a list that contains itself is an error and not the end of the
 * stack. */
bool jinja_descend(struct run *run);
void jinja_ascend(struct run *run);

/* value.c */
struct value jinja_str(const char *text, size_t length);
struct value jinja_cstr(const char *text);
struct value jinja_int(int64_t i);
struct value jinja_bool(bool b);
struct value jinja_none(void);
struct value jinja_list(struct run *run, size_t capacity, bool tuple);
struct value jinja_dict(struct run *run);
bool jinja_append(struct run *run, struct list *list, struct value item);
bool jinja_put(struct run *run, struct dict *dict, struct value key, struct value value);
bool jinja_find(struct run *run, const struct dict *dict, const char *key, size_t length,
                struct value *out);
bool jinja_truthy(const struct value *v);
bool jinja_equal(struct run *run, const struct value *a, const struct value *b);
/* False when the two cannot be ordered. */
bool jinja_compare(struct run *run, const struct value *a, const struct value *b, int *out_order);
bool jinja_from_json(struct run *run, const json_t *json, struct value *out);
void jinja_print(struct run *run, const struct value *v, struct cap_buf *out); /* as {{ v }} */
void jinja_repr(struct run *run, const struct value *v, struct cap_buf *out);  /* as in a list */
/* indent -1: on one line */
void jinja_to_json(struct run *run, const struct value *v, int64_t indent, struct cap_buf *out);
void jinja_pad(struct run *run, char c, int64_t count, struct cap_buf *out);
struct value jinja_take_buf(struct run *run, struct cap_buf *buf); /* a copy of its text */
/* A copy that ends with NUL, never NULL: "" after a failure. */
const char *jinja_copy(struct run *run, struct value text);
const char *jinja_kind_name(const struct value *v);

/* eval.c */
bool jinja_eval(struct run *run, const struct node *node, struct scope *scope, struct value *out);
/* The same, but in a strict template an undefined value is an error. */
bool jinja_eval_defined(struct run *run, const struct node *node, struct scope *scope,
                        struct value *out);
bool jinja_eval_arguments(struct run *run, const struct node *list, struct scope *scope,
                          struct arguments *out);
bool jinja_find_name(struct run *run, const struct scope *scope, const char *name,
                     struct value *out);
bool jinja_set_name(struct run *run, struct scope *scope, const char *name, struct value value);
struct scope jinja_open_scope(struct run *run, struct scope *parent);

/* operators.c: also the tests */
bool jinja_apply(struct run *run, enum binary_op op, const struct value *a, const struct value *b,
                 struct value *out);

/* exec.c */
enum flow { GO_ON, BREAK, CONTINUE, FAILED };
enum flow jinja_exec(struct run *run, const struct node *node, struct scope *scope);

/* filters.c, filters_text.c, methods.c */
bool jinja_filter(struct run *run, const char *name, struct value in, const struct arguments *args,
                  struct value *out);
bool jinja_has_filter(const char *name);
bool jinja_test(struct run *run, const char *name, struct value in, const struct arguments *args,
                bool *out);
bool jinja_has_test(const char *name);
bool jinja_method(struct run *run, struct value self, const char *name,
                  const struct arguments *args, struct value *out);
bool jinja_function(struct run *run, const char *name, const struct arguments *args,
                    struct value *out);
bool jinja_get(struct run *run, struct value from, struct value key, struct value *out);
/* The i-th positional argument or the named one; undefined when absent. */
struct value jinja_argument(const struct arguments *args, size_t index, const char *name);
/* Without the characters of `set` at its ends, or without blanks when that is not a text. */
struct value jinja_strip(struct run *run, struct value s, struct value set, bool left, bool right);
/* has letters, all of that case */
bool jinja_only_case(struct run *run, struct value s, bool upper);
/* The first `most` hits. */
struct value jinja_replace(struct run *run, struct value s, struct value from, struct value to,
                           int64_t most);

/* format.c */
/* Python's s % arguments; one dictionary may stand for them: "%(name)s". */
bool jinja_format_percent(struct run *run, struct value s, const struct arguments *args,
                          struct value *out);
/* Python's s.format(...). */
bool jinja_format_braces(struct run *run, struct value s, const struct arguments *args,
                         struct value *out);

/* value.c: characters */
size_t jinja_utf8_next(const char *text, size_t length); /* bytes of the first character */
size_t jinja_utf8_count(struct run *run, struct value s);
size_t jinja_utf8_offset(const char *text, size_t length, size_t characters);
bool jinja_utf8_is_letter(const char *text, size_t length);
struct value jinja_change_case(struct run *run, struct value s, bool upper);

/* filters_text.c, for the table in filters.c */
typedef bool filter_function(struct run *run, struct value in, const struct arguments *args,
                             struct value *out);

/* filters_text.c */
filter_function jinja_f_trim, jinja_f_upper, jinja_f_lower, jinja_f_string, jinja_f_capitalize,
    jinja_f_title, jinja_f_replace, jinja_f_indent, jinja_f_format, jinja_f_tojson,
    jinja_f_wordcount, jinja_f_escape, jinja_f_regex_replace, jinja_f_int, jinja_f_float,
    jinja_f_abs, jinja_f_round;

bool jinja_fail_kind(struct run *run, const char *filter, const struct value *v);

#endif
