/* hardware: the table of lib/hardware, and which of its devices a text means. Needs no suite. */
#include "base/auto.h"
#include "base/buf.h"
#include "cmd.h"
#include "hardware/hardware.h"
#include "out.h"

/* ---- JSON: a number that nobody knows is null ---- */

static json_t *number_of(double value)
{
    return value > 0 ? json_real(value) : json_null();
}

static json_t *device_json(const struct cap_device *device)
{
    json_t *peaks = json_object();

    for (int i = 0; i < CAP_COMPUTE_COUNT; i++)
        json_object_set_new(peaks, cap_compute_word((enum cap_compute)i),
                            number_of(device->tflops[i]));
    return json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:s}", "name",
                     device->name, "vendor", device->vendor, "kind",
                     cap_device_kind_word(device->kind), "cores",
                     device->cores ? json_integer(device->cores) : json_null(), "memory_gb",
                     number_of(device->memory_gb), "bandwidth_gb_s",
                     number_of(device->bandwidth_gb_s), "link_gb_s", number_of(device->link_gb_s),
                     "peak_tflops", peaks, "board_w", number_of(device->board_w), "price_usd",
                     number_of(device->price_usd), "source", device->source, "date", device->date);
}

/* ---- for people ---- */

static void add_number(struct cli_table_out *table, double value)
{
    if (value > 0)
        cli_table_addf(table, "%.7g", value);
    else
        cli_table_add(table, "-");
}

static void print_all(const struct cap_device *devices, size_t count)
{
    static const char *const head[] = {"device", "kind", "GB",   "GB/s", "f32", "bf16",
                                       "fp8",    "fp4",  "int8", "W",    "USD"};
    /* least important first */
    static const size_t order[] = {4, 7, 8, 1, 2};
    static const enum cap_compute shown[] = {CAP_COMPUTE_F32, CAP_COMPUTE_BF16, CAP_COMPUTE_FP8,
                                             CAP_COMPUTE_FP4, CAP_COMPUTE_INT8};
    CAP_AUTO_BUF(out, 1 << 20);
    struct cli_table_out table;

    cli_table_init(&table, CAP_COUNT_OF(head), ~3u);
    for (size_t i = 0; i < CAP_COUNT_OF(head); i++)
        cli_table_add(&table, head[i]);
    for (size_t i = 0; i < count; i++) {
        cli_table_add(&table, devices[i].name);
        cli_table_add(&table, cap_device_kind_word(devices[i].kind));
        add_number(&table, devices[i].memory_gb);
        add_number(&table, devices[i].bandwidth_gb_s);
        for (size_t k = 0; k < CAP_COUNT_OF(shown); k++)
            add_number(&table, devices[i].tflops[shown[k]]);
        add_number(&table, devices[i].board_w);
        add_number(&table, devices[i].price_usd);
    }
    cli_table_fit(&table, cli_is_terminal() ? cli_terminal_width() : 0, order, CAP_COUNT_OF(order));
    cli_table_print(&table, &out);
    fputs(out.data, stdout);
    cli_say("peaks are dense, of one device, in 10^12 operations a second; - is not known");
    cli_table_done(&table);
}

static void say_number(const char *label, double value, const char *unit)
{
    if (value > 0)
        cli_say("%-12s%.7g %s", label, value, unit);
    else
        cli_say("%-12snot known", label);
}

static void print_one(const struct cap_hardware *found)
{
    const struct cap_device *d = found->device;

    cli_say("device      %s, %s, %s", d->name, d->vendor, cap_device_kind_word(d->kind));
    if (found->count > 1)
        cli_say("count       %u; what follows is of one", found->count);
    if (d->cores)
        cli_say("cores       %u; a machine with fewer has a part of it", d->cores);
    else
        say_number("memory", d->memory_gb, "GB");
    say_number("bandwidth", d->bandwidth_gb_s, "GB/s");
    say_number("host link", d->link_gb_s, "GB/s");
    for (int i = 0; i < CAP_COMPUTE_COUNT; i++)
        if (d->tflops[i] > 0)
            cli_say("peak %-7s%.7g T%s/s, dense", cap_compute_word((enum cap_compute)i),
                    d->tflops[i], i < CAP_COMPUTE_INT8 ? "FLOP" : "OP");
    say_number("board", d->board_w, "W");
    say_number("list price", d->price_usd, "USD");
    cli_say("source      %s (%s)", d->source, d->date);
}

int cli_cmd_hardware(struct cli_context *context, const struct cli_words *words,
                     struct cap_err *err)
{
    size_t count;
    const struct cap_device *devices = cap_hardware_devices(&count);
    CAP_AUTO_BUF(text, CAP_HARDWARE_TEXT_MAX);
    struct cap_hardware found;

    for (int i = 0; i < words->count; i++)
        cap_buf_printf(&text, "%s%s", i ? " " : "", words->items[i]);
    if (words->count > 0 && !cap_hardware_find(text.data, 0, &found, err))
        return cli_exit_of(err->code);
    if (words->count > 0 && context->globals.json) {
        cli_print_json(json_pack("{s:i, s:o}", "count", (int)found.count, "device",
                                 device_json(found.device)));
    } else if (words->count > 0) {
        print_one(&found);
    } else if (context->globals.json) {
        for (size_t i = 0; i < count; i++)
            cli_print_json(device_json(&devices[i]));
    } else {
        print_all(devices, count);
    }
    return CLI_OK;
}
