/* The life of a program: service.h gives the order. What has begun is ended in the opposite order,
 * whichever step fails. SIGTERM and SIGINT are blocked before any thread exists; the main thread
 * alone waits for them, but for a thread that watches the start. */
#include "service/service.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "base/exit.h"
#include "base/file.h"
#include "base/plain.h"
#include "log/log.h"

enum {
    CONFIG_ARENA_BYTES = 1 << 20,
    ROWS_MAX = 128,
    DRAIN_MS_DEFAULT = 5000,
    START_WATCH_MS = 10,
    START_STOP_MS = 8000, /* a start that was told to stop has as long to end by itself */
};

struct arguments {
    const char *listen, *ready_file, *log_levels;
    bool die_with_parent;
};

/* ---- the flags that every program has ---- */

static void print_help(const struct cap_service_spec *spec)
{
    CAP_AUTO_BUF(help, 1 << 20);

    cap_config_help(&spec->config, &help);
    printf("moecap-%s: %s\n\nusage: moecap-%s [flags]\n\n"
           "  --help, --version\n"
           "  --config FILE        settings from a file (see --print-config)\n",
           spec->name, spec->summary, spec->name);
    if (spec->default_listen)
        printf("  --listen ADDRESS     where to serve; default %s, port 0 = any free one\n",
               spec->default_listen);
    printf(
        "  --ready-file FILE    written with the address once it serves\n"
        "  --die-with-parent    end when the program that started this one ends\n"
        "  --log LEVELS         e.g. info,queue:debug; else MOECAP_LOG\n"
        "  --check ADDRESS      ask the one that serves there whether it is well, then end (0 or "
        "1)\n"
        "  --print-config       a commented sample of the settings, then end\n"
        "  --print-docs         the settings as Markdown, then end\n"
        "  --print-counters     the counters as Markdown, then end\n\n"
        "Settings (as flag, in the file, or in the environment as MOECAP_PROGRAM_NAME):\n%s",
        help.data);
}

static void print_table(const struct cap_service_spec *spec, const char *what)
{
    CAP_AUTO_BUF(text, 1 << 20);

    if (strcmp(what, "--print-config") == 0)
        cap_config_sample(&spec->config, &text);
    else if (strcmp(what, "--print-docs") == 0)
        cap_config_markdown(&spec->config, &text);
    else if (spec->metrics)
        cap_metrics_markdown(spec->metrics, &text);
    fputs(text.data, stdout);
}

/* True when the flag was one that prints and ends. */
static bool answer_print_flag(const struct cap_service_spec *spec, const char *flag)
{
    if (strcmp(flag, "--help") == 0 || strcmp(flag, "-h") == 0)
        print_help(spec);
    else if (strcmp(flag, "--version") == 0)
        printf("moecap-%s %s\n", spec->name, MOECAP_VERSION);
    else if (strcmp(flag, "--print-config") == 0 || strcmp(flag, "--print-docs") == 0 ||
             strcmp(flag, "--print-counters") == 0)
        print_table(spec, flag);
    else
        return false;
    return true;
}

static int answer_check(const struct cap_service_spec *spec, const char *address)
{
    struct cap_err err = {0};

    if (!address || !*address) {
        fprintf(stderr, "moecap-%s: --check needs an address\n", spec->name);
        return CAP_EXIT_USAGE;
    }
    if (cap_check_health(address, &err)) {
        printf("serving\n");
        return CAP_EXIT_OK;
    }
    cap_plain_line(stdout, "not serving: %s", err.text);
    return CAP_EXIT_FAILED;
}

/* "--name VALUE" or "--name=VALUE" at *io_index. */
static bool take_value(char **argv, int count, int *io_index, const char *name,
                       const char **out_value, struct cap_err *err)
{
    size_t length = strlen(name);
    const char *argument = argv[*io_index];

    if (strncmp(argument, name, length) != 0)
        return false;
    if (argument[length] == '=') {
        *out_value = argument + length + 1;
        return true;
    }
    if (argument[length] != '\0')
        return false;
    if (*io_index + 1 == count)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "%s needs a value", name);
    *out_value = argv[++*io_index];
    return true;
}

static bool read_arguments(char **rest, int count, struct arguments *out, struct cap_err *err)
{
    for (int i = 0; i < count; i++) {
        if (take_value(rest, count, &i, "--listen", &out->listen, err) ||
            take_value(rest, count, &i, "--ready-file", &out->ready_file, err) ||
            take_value(rest, count, &i, "--log", &out->log_levels, err))
            continue;
        if (err->code != CAP_OK)
            return false;
        if (strcmp(rest[i], "--die-with-parent") == 0)
            out->die_with_parent = true;
        else
            return cap_fail(err, CAP_INVALID_ARGUMENT, "unknown argument \"%s\"; see --help",
                            rest[i]);
    }
    return true;
}

/* ---- running ---- */

/* Before any thread exists, so that only sigwait sees them. */
static void block_signals(sigset_t *out_set)
{
    sigemptyset(out_set);
    sigaddset(out_set, SIGINT);
    sigaddset(out_set, SIGTERM);
    pthread_sigmask(SIG_BLOCK, out_set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static bool listen_on(struct cap_service *service, const char *address, struct cap_err *err)
{
    const char *colon;
    int port;

    assert(address); /* a program with a server has a default */
    colon = strrchr(address, ':');
    if (!cap_rpc_server_listen(service->server, address, &port, err))
        return false;
    if (strncmp(address, "unix:", 5) == 0 || !colon)
        snprintf(service->address, sizeof service->address, "%s", address);
    else
        snprintf(service->address, sizeof service->address, "%.*s:%d", (int)(colon - address),
                 address, port);
    return true;
}

static bool write_ready_file(const struct cap_service *service, const char *path,
                             struct cap_err *err)
{
    char text[320];
    int length = snprintf(text, sizeof text, "%s\n", service->address);

    return !path || cap_file_write(path, text, (size_t)length, err);
}

static void count_call(void *arg, const char *path, enum cap_code code, int64_t duration_us)
{
    const struct cap_service_spec *spec = arg;

    cap_metric_add(spec->metrics, spec->calls_row, 1);
    if (code == CAP_OK)
        return;
    cap_metric_add(spec->metrics, spec->failed_calls_row, 1);
    cap_log(DEBUG, "call_failed", "path=%s code=%s us=%lld", path, cap_code_name(code),
            (long long)duration_us);
}

static struct cap_rpc_server *new_server(const struct cap_service_spec *spec)
{
    struct cap_rpc_server_options options = spec->server_options;

    if (spec->counts_calls) {
        options.done = count_call;
        options.done_arg = (void *)spec;
    }
    return cap_rpc_server_new(&options);
}

static bool start_service(struct cap_service *service, const struct arguments *arguments,
                          struct cap_admin *admin, struct cap_err *err)
{
    const struct cap_service_spec *spec = service->spec;
    const char *address = arguments->listen ? arguments->listen : spec->default_listen;

    if (spec->default_listen) {
        service->server = new_server(spec);
        cap_admin_add(service->server, admin);
    }
    if (!spec->start(service, err))
        return false;
    if (service->server) {
        if (!listen_on(service, address, err))
            return false;
        cap_rpc_server_start(service->server);
    }
    return (!spec->serving || spec->serving(service, err)) &&
           write_ready_file(service, arguments->ready_file, err);
}

static void stop_service(struct cap_service *service)
{
    const struct cap_service_spec *spec = service->spec;

    if (spec->draining)
        spec->draining(service);
    if (service->server)
        cap_rpc_server_drain(service->server, spec->drain_ms ? spec->drain_ms : DRAIN_MS_DEFAULT);
    spec->stop(service);
    cap_rpc_server_free(service->server);
}

/* While a service starts it reads files of others, which may never answer (a dead network drive, a
 * device). A signal that comes then waits for the end of the start, but not for ever. */
struct start_watch {
    pthread_t thread;
    const sigset_t *signals;
    atomic_bool started;
    int signal_number; /* that came meanwhile; 0 = none */
};

static void *watch_start(void *arg)
{
    static const struct timespec step = {.tv_nsec = START_WATCH_MS * 1000000L};
    struct start_watch *watch = arg;
    int waited_ms = 0;

    while (!watch->started) {
        if (!watch->signal_number) {
            int number = sigtimedwait(watch->signals, NULL, &step);

            watch->signal_number = number > 0 ? number : 0;
            continue;
        }
        nanosleep(&step, NULL);
        waited_ms += START_WATCH_MS;
        if (waited_ms >= START_STOP_MS) {
            cap_log(ERROR, "start_failed", "reason=%s signal=%d",
                    CAP_LOG_Q("it was told to stop and its start does not end"),
                    watch->signal_number);
            _exit(CAP_EXIT_FAILED);
        }
    }
    return NULL;
}

static void begin_watch(struct start_watch *watch, const sigset_t *signals)
{
    *watch = (struct start_watch){.signals = signals};
    if (pthread_create(&watch->thread, NULL, watch_start, watch) != 0)
        abort();
}

/* The signal that came meanwhile; 0 = none. */
static int end_watch(struct start_watch *watch)
{
    watch->started = true;
    pthread_join(watch->thread, NULL);
    return watch->signal_number;
}

static bool serve_until_signal(struct cap_service *service, const struct arguments *arguments,
                               struct cap_admin *admin, const sigset_t *signals)
{
    struct start_watch watch;
    struct cap_err err = {0};
    int signal_number;
    bool ok;

    cap_rpc_init();
    begin_watch(&watch, signals);
    ok = start_service(service, arguments, admin, &err);
    signal_number = end_watch(&watch);
    if (ok) {
        cap_log(INFO, "ready", "address=%s version=%s", *service->address ? service->address : "-",
                MOECAP_VERSION);
        if (!signal_number)
            sigwait(signals, &signal_number);
        cap_log(INFO, "stopping", "signal=%d", signal_number);
    } else {
        cap_log(ERROR, "start_failed", "reason=%s", CAP_LOG_Q(err.text));
    }
    stop_service(service);
    cap_rpc_shutdown();
    return ok;
}

static int run(struct cap_service *service, const struct arguments *arguments,
               struct cap_admin *admin)
{
    const struct cap_service_spec *spec = service->spec;
    struct cap_err err = {0};
    sigset_t signals;
    bool ok;

    block_signals(&signals);
    if (spec->before && !spec->before(service, &err)) {
        cap_log(ERROR, "start_failed", "reason=%s", CAP_LOG_Q(err.text));
        return CAP_EXIT_FAILED;
    }
    ok = serve_until_signal(service, arguments, admin, &signals);
    if (spec->after)
        spec->after(service);
    cap_log(INFO, "stopped", "ok=%d", ok);
    return ok ? CAP_EXIT_OK : CAP_EXIT_FAILED;
}

static int complain(const struct cap_service_spec *spec, const struct cap_err *err)
{
    cap_plain_line(stderr, "moecap-%s: %s", spec->name, err->text);
    return CAP_EXIT_USAGE;
}

int cap_service_main(const struct cap_service_spec *spec, int argc, char **argv)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(CONFIG_ARENA_BYTES);
    enum cap_config_source sources[ROWS_MAX];
    const struct cap_config_target settings = {spec->values, arena, sources};
    struct cap_config_words words = {argv + 1, argc - 1};
    struct cap_service service = {.spec = spec};
    struct cap_admin admin = {spec, sources};
    struct arguments arguments = {.log_levels = getenv("MOECAP_LOG")};
    struct cap_err err = {0};

    for (int i = 1; i < argc; i++) {
        if (answer_print_flag(spec, argv[i]))
            return CAP_EXIT_OK;
        if (strcmp(argv[i], "--check") == 0)
            return answer_check(spec, argv[i + 1]);
    }
    if (!cap_config_read(&spec->config, &settings, &words, &err) ||
        !read_arguments(words.items, words.count, &arguments, &err) ||
        (arguments.log_levels && !cap_log_set_levels(arguments.log_levels, &err)))
        return complain(spec, &err);
    if (arguments.die_with_parent)
        prctl(PR_SET_PDEATHSIG, SIGTERM);
    cap_log_init(spec->name);
    return run(&service, &arguments, &admin);
}
