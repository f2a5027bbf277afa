/* Which device a text means.
 *
 * People, drivers and lspci spell one device in many ways. The text is cut into words (lower case,
 * letters and digits), and a row is meant when
 *   1. all of its `words` are there;
 *   2. no word names another build: a form of other rows only, or one of `other_builds`, whose
 *      devices the table does not have ("H100 NVL" is neither H100 of the table);
 *   3. its memory is that of the text, or of the caller, within what drivers differ in.
 * All other words say nothing. Exactly one row must be left; a processor that is named beside a
 * graphics card is its host. */
#include "hardware/hardware.h"

#include <ctype.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/buf.h"
#include "base/near.h"

enum { WORDS_MAX = 96, WORD_BYTES = 24, NEAREST_MAX = 6 };

/* One device reports 79.6, 80 and 85.5 "GB": GiB, the label, and MiB read as 10^6 bytes. */
static const double memory_tolerance = 0.08;

static const char other_builds[] = "nvl nvl72 mig vgpu grid ti super laptop mobile max maxq ada "
                                   "workstation cnx sxm2 sxm3 d v h";
static const char makers[] = "nvidia amd intel geforce rtx instinct radeon tesla epyc xeon gpu";
/* A size of memory before one of these is not the device's. */
static const char of_the_host[] = "ram dram ddr4 ddr5 system host";

struct words {
    char items[WORDS_MAX][WORD_BYTES];
    size_t count;
};

/* ---- lists: words with blanks between them, each "a" or "a|b" ---- */

static bool next_item(const char **io_list, char out[2 * WORD_BYTES])
{
    size_t length;

    *io_list += strspn(*io_list, " ");
    length = strcspn(*io_list, " ");
    snprintf(out, 2 * WORD_BYTES, "%.*s", (int)length, *io_list);
    *io_list += length;
    return length > 0;
}

/* `word` is the item, or one of its alternatives. */
static bool item_is(const char *item, const char *word)
{
    size_t length = strlen(word);

    for (; *item; item += strcspn(item, "|"), item += *item == '|')
        if (strcspn(item, "|") == length && strncmp(item, word, length) == 0)
            return true;
    return false;
}

static bool list_has(const char *list, const char *word)
{
    char item[2 * WORD_BYTES];

    while (next_item(&list, item))
        if (item_is(item, word))
            return true;
    return false;
}

/* ---- from the text to words ---- */

static bool is_form(const char *word)
{
    size_t count;
    const struct cap_device *devices = cap_hardware_devices(&count);

    for (size_t i = 0; i < count; i++)
        if (list_has(devices[i].forms, word))
            return true;
    return list_has(other_builds, word);
}

static bool is_known(const char *word)
{
    size_t count;
    const struct cap_device *devices = cap_hardware_devices(&count);

    for (size_t i = 0; i < count; i++)
        if (list_has(devices[i].words, word))
            return true;
    return is_form(word) || list_has(makers, word);
}

/* "8x" or "x8" */
static bool is_times(const char *word)
{
    size_t length = strlen(word), digits = strspn(word + (*word == 'x'), "0123456789");

    return digits > 0 && digits + 1 == length && (*word == 'x' || word[length - 1] == 'x');
}

static void add_piece(struct words *words, const char *text, size_t length)
{
    if (words->count < WORDS_MAX)
        snprintf(words->items[words->count++], WORD_BYTES, "%.*s", (int)length, text);
}

/* Takes apart what is written together: "8xh100", "h100sxm5", "rtx4090", "h100x8". */
static void add_word(struct words *words, const char *word)
{
    size_t length = strlen(word), times = strspn(word, "0123456789") + 1;
    char head[WORD_BYTES];

    if (times > 1 && times < length && word[times - 1] == 'x') {
        add_piece(words, word, times);
        add_word(words, word + times);
        return;
    }
    for (size_t at = length - 1; at > 0 && !is_known(word); at--) {
        snprintf(head, sizeof head, "%.*s", (int)at, word);
        if (is_known(head) && (is_known(word + at) || is_times(word + at))) {
            add_piece(words, word, at);
            word += at;
            break;
        }
    }
    add_piece(words, word, strlen(word));
}

static void cut(const char *text, struct words *out)
{
    out->count = 0;
    while (*text) {
        char word[WORD_BYTES];
        size_t length = 0;

        for (; isalnum((unsigned char)*text); text++)
            if (length + 1 < sizeof word)
                word[length++] = (char)tolower((unsigned char)*text);
        if (strncmp(text, "×", strlen("×")) == 0) {
            if (length + 1 < sizeof word)
                word[length++] = 'x';
            text += strlen("×") - 1;
        }
        word[length] = '\0';
        if (length > 0)
            add_word(out, word);
        if (*text)
            text++;
    }
}

/* ---- one row ---- */

/* Where the words have this item, as one word or as two ("cs" "3"); words->count when nowhere. */
static size_t where_is(const struct words *words, const char *item)
{
    for (size_t i = 0; i < words->count; i++) {
        char both[2 * WORD_BYTES];

        snprintf(both, sizeof both, "%s%s", words->items[i],
                 i + 1 < words->count ? words->items[i + 1] : "");
        if (item_is(item, words->items[i]) || item_is(item, both))
            return i;
    }
    return words->count;
}

/* Where the name stands: at the last of its words; words->count when one of them is missing. */
static size_t where_named(const struct cap_device *device, const struct words *words)
{
    const char *list = device->words;
    char item[2 * WORD_BYTES];
    size_t last = 0;

    while (next_item(&list, item)) {
        size_t at = where_is(words, item);

        if (at == words->count)
            return at;
        last = at > last ? at : last;
    }
    return last;
}

static bool is_of_bus(const struct words *words, size_t at)
{
    return at + 1 < words->count && strcmp(words->items[at], "pcie") == 0 &&
           strncmp(words->items[at + 1], "gen", 3) == 0;
}

/* "480gb" is in GH200's name, and anywhere else a size of memory. */
static bool is_size(const char *word)
{
    return strcmp(word + strspn(word, "0123456789"), "gb") == 0;
}

static bool is_another_build(const struct cap_device *device, const struct words *words)
{
    for (size_t i = 0; i < words->count; i++) {
        const char *word = words->items[i];

        if (is_form(word) && !list_has(device->forms, word) && !list_has(device->words, word) &&
            !is_of_bus(words, i) && !is_size(word))
            return true;
    }
    return false;
}

/* "80gb", "80g", "80" "gb", "81559mib" */
static bool is_memory(const struct words *words, size_t at, double *out_gb)
{
    char *unit;
    double size = strtod(words->items[at], &unit);
    const char *next = at + 1 < words->count ? words->items[at + 1] : "";

    if (unit == words->items[at] || size <= 0)
        return false;
    if (*unit == '\0') {
        unit = (char *)next;
        next = at + 2 < words->count ? words->items[at + 2] : "";
    }
    if (list_has(of_the_host, next))
        return false;
    if (list_has("mb mib", unit))
        size /= 1000;
    else if (!list_has("g gb gib", unit))
        return false;
    *out_gb = size;
    return true;
}

static bool is_near(double said_gb, double memory_gb)
{
    return fabs(said_gb - memory_gb) <= memory_tolerance * memory_gb;
}

static bool has_memory(const struct cap_device *device, const struct words *words, double memory_gb)
{
    bool said = false;
    double gb;

    if (device->memory_gb <= 0) /* of a processor it is the machine's */
        return true;
    for (size_t i = 0; i < words->count; i++)
        if (!list_has(device->forms, words->items[i]) && is_memory(words, i, &gb)) {
            if (is_near(gb, device->memory_gb))
                return true;
            said = true;
        }
    return !said && (memory_gb <= 0 || is_near(memory_gb, device->memory_gb));
}

/* ---- how many ---- */

static bool begins_a_name(const struct words *words, size_t at)
{
    return is_known(words->items[at]) && !is_form(words->items[at]) &&
           !list_has(makers, words->items[at]);
}

static bool set_count(unsigned long *out, const char *digits)
{
    *out = strtoul(digits, NULL, 10);
    return true;
}

/* Reads the number that stands nearest before the name, else behind it; 0 when there is another
 * word in its place ("N/A x H100"). False when there is none. */
static bool read_count(const struct words *words, size_t named, unsigned long *out)
{
    for (size_t i = named; i-- > 0 && !begins_a_name(words, i);) {
        const char *word = words->items[i];
        const char *next = words->items[i + 1];
        bool plain = strspn(word, "0123456789") == strlen(word);

        if (is_times(word) || (plain && (strcmp(next, "x") == 0 || (i == 0 && is_known(next)))))
            return set_count(out, word + (*word == 'x'));
        if (strcmp(word, "x") == 0 && strcspn(words->items[i - (i > 0)], "0123456789") > 0)
            return set_count(out, "0");
    }
    for (size_t i = named + 1; i < words->count && !begins_a_name(words, i); i++) {
        if (is_times(words->items[i]) && *words->items[i] == 'x')
            return set_count(out, words->items[i] + 1);
        if (strcmp(words->items[i], "x") == 0 && i + 1 < words->count)
            return set_count(out, words->items[i + 1]);
    }
    return false;
}

/* "-1x", "1.5 x": no count of devices, and cut in words they would be another one. */
static bool begins_with_no_count(const char *text)
{
    const char *const digits = "0123456789", *at = text + strspn(text, " ");
    bool negative = *at == '-', part = false;

    at += negative;
    at += strspn(at, digits);
    if ((*at == '.' || *at == ',') && strspn(at + 1, digits) > 0) {
        part = true;
        at += 1 + strspn(at + 1, digits);
    }
    at += strspn(at, " ");
    return (negative || part) && (*at == 'x' || *at == 'X' || strncmp(at, "×", strlen("×")) == 0);
}

/* ---- the whole ---- */

/* How many of the text's letters are wrong in the word of this row that it comes nearest to: 0 when
 * the word is there. */
static size_t distance(const struct cap_device *device, const struct words *words)
{
    size_t least = SIZE_MAX;

    for (size_t i = 0; i < words->count; i++) {
        struct cap_near near = {.word = words->items[i]};
        const char *list = device->words;
        char item[2 * WORD_BYTES];

        while (!list_has(makers, words->items[i]) && next_item(&list, item)) {
            cap_near_try(&near, item);
            if (near.best && near.edits < least)
                least = near.edits;
        }
    }
    return least;
}

static bool fail_unknown(const char *text, const struct words *words, struct cap_err *err)
{
    size_t count, listed = 0, least = SIZE_MAX;
    const struct cap_device *devices = cap_hardware_devices(&count);
    CAP_AUTO_BUF(names, CAP_ERR_TEXT_BYTES_MAX);

    for (size_t i = 0; i < count; i++)
        if (distance(&devices[i], words) < least)
            least = distance(&devices[i], words);
    for (size_t i = 0; i < count && least < SIZE_MAX && listed < NEAREST_MAX; i++)
        if (distance(&devices[i], words) == least)
            cap_buf_printf(&names, "%s%s", listed++ ? ", " : "", devices[i].name);
    return cap_fail(err, CAP_NOT_FOUND,
                    "unknown device \"%.120s\"%s%s; `moecap hardware` lists all", text,
                    listed ? ", nearest: " : "", names.data);
}

static bool fail_ambiguous(const char *text, const struct cap_device *const *found, size_t count,
                           struct cap_err *err)
{
    CAP_AUTO_BUF(names, CAP_ERR_TEXT_BYTES_MAX);

    for (size_t i = 0; i < count; i++)
        cap_buf_printf(&names, "%s%s", i ? ", " : "", found[i]->name);
    return cap_fail(err, CAP_NOT_FOUND, "\"%.120s\" may be %s; say which", text, names.data);
}

/* Rows that are left. A processor beside a card, even one of a build that is unknown, is its host.
 */
static size_t candidates(const struct words *words, double memory_gb,
                         const struct cap_device **out_found, bool *out_mixed)
{
    size_t count, found = 0;
    const char *card = NULL;
    const struct cap_device *devices = cap_hardware_devices(&count);

    for (size_t i = 0; i < count; i++) {
        const struct cap_device *device = &devices[i];
        bool processor = device->kind == CAP_DEVICE_CPU; /* these rows are the last */

        if (where_named(device, words) == words->count || (processor && card))
            continue;
        *out_mixed = *out_mixed || (card && strcmp(card, device->words) != 0);
        card = processor ? NULL : device->words;
        if (processor || (!is_another_build(device, words) && has_memory(device, words, memory_gb)))
            out_found[found++] = device;
    }
    return found;
}

bool cap_hardware_find(const char *text, double memory_gb, struct cap_hardware *out,
                       struct cap_err *err)
{
    const struct cap_device *found[64];
    struct words words;
    unsigned long times = 1;
    bool mixed = false, counted;
    size_t count;

    cut(text, &words);
    count = candidates(&words, memory_gb, found, &mixed);
    if (mixed)
        return cap_fail(err, CAP_NOT_FOUND, "\"%.120s\" names devices of two kinds; give one",
                        text);
    if (count == 0)
        return fail_unknown(text, &words, err);
    if (count > 1)
        return fail_ambiguous(text, found, count, err);
    counted = read_count(&words, where_named(found[0], &words), &times);
    if (begins_with_no_count(text) || times < 1 || times > CAP_HARDWARE_COUNT_MAX)
        return cap_fail(err, CAP_NOT_FOUND, "\"%.120s\" is not from 1 to %d devices", text,
                        CAP_HARDWARE_COUNT_MAX);
    *out = (struct cap_hardware){found[0], (unsigned)times, counted};
    return true;
}
