/* A trie of the tokens' bytes, walked from every place where one can begin. */
#include "text/inside.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

struct edge {
    unsigned char byte;
    int target;
};

struct state {
    struct edge *edges; /* few for most states: searched in order */
    int edge_count, edge_capacity;
    int token; /* index + 1; 0 = none ends here */
};

struct infer_added {
    const struct infer_added_token **tokens; /* borrowed */
    size_t count, capacity;
    struct state *states; /* states[0] is the root */
    int state_count, state_capacity;
    bool begins[256]; /* some token starts with this byte */
};

static int new_state(struct infer_added *added)
{
    if (added->state_count == added->state_capacity) {
        added->state_capacity = added->state_capacity ? 2 * added->state_capacity : 64;
        added->states =
            realloc(added->states, (size_t)added->state_capacity * sizeof *added->states);
        if (!added->states)
            abort();
    }
    added->states[added->state_count] = (struct state){0};
    return added->state_count++;
}

struct infer_added *infer_added_new(void)
{
    struct infer_added *added = calloc(1, sizeof *added);

    if (!added)
        abort();
    new_state(added);
    return added;
}

void infer_added_free(struct infer_added *added)
{
    if (!added)
        return;
    for (int i = 0; i < added->state_count; i++)
        free(added->states[i].edges);
    free(added->tokens);
    free(added->states);
    free(added);
}

/* -1 = no edge */
static int follow(const struct infer_added *added, int from, unsigned char byte)
{
    const struct state *state = &added->states[from];

    for (int i = 0; i < state->edge_count; i++)
        if (state->edges[i].byte == byte)
            return state->edges[i].target;
    return -1;
}

static int follow_or_add(struct infer_added *added, int from, unsigned char byte)
{
    int target = follow(added, from, byte);
    struct state *state;

    if (target >= 0)
        return target;
    target = new_state(added);
    state = &added->states[from];
    if (state->edge_count == state->edge_capacity) {
        state->edge_capacity = state->edge_capacity ? 2 * state->edge_capacity : 2;
        state->edges = realloc(state->edges, (size_t)state->edge_capacity * sizeof *state->edges);
        if (!state->edges)
            abort();
    }
    state->edges[state->edge_count++] = (struct edge){byte, target};
    return target;
}

void infer_added_put(struct infer_added *added, const struct infer_added_token *token,
                     const char *match, size_t match_length)
{
    int at = 0;

    if (match_length == 0)
        return;
    if (added->count == added->capacity) {
        added->capacity = added->capacity ? 2 * added->capacity : 16;
        added->tokens = realloc(added->tokens, added->capacity * sizeof *added->tokens);
        if (!added->tokens)
            abort();
    }
    added->tokens[added->count++] = token;
    for (size_t i = 0; i < match_length; i++)
        at = follow_or_add(added, at, (unsigned char)match[i]);
    added->states[at].token = (int)added->count;
    added->begins[(unsigned char)match[0]] = true;
}

/* ---- characters beside a token ---- */

static int32_t character_at(const char *text, size_t length, size_t *out_bytes)
{
    utf8proc_int32_t character = -1;
    utf8proc_ssize_t bytes =
        utf8proc_iterate((const uint8_t *)text, (utf8proc_ssize_t)length, &character);

    *out_bytes = bytes > 0 ? (size_t)bytes : 1;
    return character;
}

static int32_t character_before(const char *text, size_t at, size_t *out_bytes)
{
    size_t start = at - 1;

    while (start > 0 && at - start < 4 && ((unsigned char)text[start] & 0xc0) == 0x80)
        start--;
    return character_at(text + start, at - start, out_bytes);
}

static bool is_space(int32_t c)
{
    return (c >= 9 && c <= 13) || c == 0x85 ||
           (c >= 0 && utf8proc_category(c) >= UTF8PROC_CATEGORY_ZS &&
            utf8proc_category(c) <= UTF8PROC_CATEGORY_ZP);
}

static bool is_word(int32_t c)
{
    utf8proc_category_t k = c < 0 ? UTF8PROC_CATEGORY_CN : utf8proc_category(c);

    return (k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_ND) || k == UTF8PROC_CATEGORY_PC;
}

static bool stands_alone(const char *text, size_t length, size_t from, size_t to)
{
    size_t bytes;

    return (from == 0 || !is_word(character_before(text, from, &bytes))) &&
           (to == length || !is_word(character_at(text + to, length - to, &bytes)));
}

static size_t skip_space_left(const char *text, size_t floor, size_t at)
{
    size_t bytes;

    while (at > floor && is_space(character_before(text, at, &bytes)))
        at -= bytes < at - floor ? bytes : at - floor;
    return at;
}

static size_t skip_space_right(const char *text, size_t length, size_t at)
{
    size_t bytes;

    while (at < length && is_space(character_at(text + at, length - at, &bytes)))
        at += bytes;
    return at;
}

/* ---- searching ---- */

/* The longest token that begins exactly here. */
static const struct infer_added_token *match_here(const struct infer_added *added, const char *text,
                                                  size_t length, size_t *out_length)
{
    const struct infer_added_token *best = NULL;
    int state = 0;

    for (size_t i = 0; i < length; i++) {
        state = follow(added, state, (unsigned char)text[i]);
        if (state < 0)
            break;
        if (added->states[state].token) {
            best = added->tokens[added->states[state].token - 1];
            *out_length = i + 1;
        }
    }
    return best;
}

/* The next token from c->at on, as [out_from, out_to) with the space it swallows. */
static const struct infer_added_token *find(const struct infer_added *added,
                                            const struct infer_added_cursor *c, size_t *out_from,
                                            size_t *out_to)
{
    for (size_t i = c->at; i < c->length; i++) {
        const struct infer_added_token *token;
        size_t length = 0;

        if (!added->begins[(unsigned char)c->text[i]])
            continue;
        token = match_here(added, c->text + i, c->length - i, &length);
        if (!token)
            continue;
        if (token->single_word && !stands_alone(c->text, c->length, i, i + length)) {
            i += length - 1; /* the search goes on after a token that was turned down */
            continue;
        }
        *out_from = token->lstrip ? skip_space_left(c->text, c->at, i) : i;
        *out_to = token->rstrip ? skip_space_right(c->text, c->length, i + length) : i + length;
        return token;
    }
    return NULL;
}

bool infer_added_next(const struct infer_added *added, struct infer_added_cursor *cursor,
                      struct infer_added_piece *out)
{
    const struct infer_added_token *token;
    size_t start = cursor->at, from = cursor->length, to = from;

    if (cursor->has_pending) {
        *out = cursor->pending;
        cursor->has_pending = false;
        return true;
    }
    if (start == cursor->length)
        return false;
    token = find(added, cursor, &from, &to);
    cursor->at = to;
    if (token)
        cursor->pending = (struct infer_added_piece){cursor->text + from, to - from, token};
    if (from == start) {
        *out = cursor->pending;
        return true;
    }
    *out = (struct infer_added_piece){cursor->text + start, from - start, NULL};
    cursor->has_pending = token != NULL;
    return true;
}
