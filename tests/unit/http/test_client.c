/* The HTTP client against a server that says, byte by byte, what a test tells it to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "http/client.h"
#include "http/server.h"
#include "http/sse.h"
#include "http/url.h"

/* ---- the parser ---- */

static void join_events(void *self, const char *name, const char *data, size_t length)
{
    struct cap_buf *out = self;

    cap_buf_add_str(out, name);
    cap_buf_add_char(out, '<');
    cap_buf_add(out, data, length);
    cap_buf_add_char(out, '>');
}

/* Every way of cutting the stream in two gives the same events. */
static void check_events(const char *stream, const char *expected)
{
    size_t length = strlen(stream);

    for (size_t cut = 0; cut <= length; cut++) {
        CAP_AUTO_BUF(out, 10000);
        struct cap_err err = {0};
        struct cap_sse sse;

        cap_sse_init(&sse, 1000, join_events, &out);
        assert_true(cap_sse_add(&sse, stream, cut, &err));
        assert_true(cap_sse_add(&sse, stream + cut, length - cut, &err));
        cap_sse_end(&sse);
        cap_sse_done(&sse);
        assert_string_equal(out.data, expected);
    }
}

static void events_are_the_same_however_the_bytes_are_cut(void **state)
{
    (void)state;
    check_events("data: a\n\ndata: b\n\n", "<a><b>");
    check_events("data: a\r\n\r\ndata: b\r\n\r\n", "<a><b>");
    check_events("data: a\r\rdata: b\r\r", "<a><b>");
    check_events("data:a\n\n", "<a>");
    check_events("data:  a\n\n", "< a>");
    check_events("data: one\ndata: two\n\n", "<one\ntwo>");
    check_events("data\n\n", "<>");
    check_events("\xef\xbb\xbf"
                 "data: bom\n\n",
                 "<bom>");
    check_events("data: gr\xc3\xbc\xc3\x9f\n\n", "<gr\xc3\xbc\xc3\x9f>");
}

static void comments_and_other_fields_say_nothing(void **state)
{
    (void)state;
    check_events(": ping\n\nid: 7\nretry: 10\ndata: a\n\n:\n\n\n\n", "<a>");
    check_events("database: no\ndata: yes\n\n", "<yes>");
}

static void a_name_belongs_to_its_event_only(void **state)
{
    char name[CAP_SSE_NAME_BYTES * 2], stream[CAP_SSE_NAME_BYTES * 3], cut[CAP_SSE_NAME_BYTES + 8];

    (void)state;
    check_events("event: error\ndata: a\n\ndata: b\n\n", "error<a><b>");
    check_events("data: a\nevent:ping\n\n", "ping<a>");
    check_events("event: a\nevent: b\r\ndata: x\n\n", "b<x>");
    check_events("event: error\n\ndata: a\n\n", "error<><a>");
    check_events("event\ndata: a\n\nevents: no\n\n", "<a>");
    check_events("data: a\n\nevent: error", "<a>error<>");
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    snprintf(stream, sizeof stream, "event: %s\ndata: a\n\n", name);
    snprintf(cut, sizeof cut, "%.*s<a>", CAP_SSE_NAME_BYTES - 1, name);
    check_events(stream, cut);
}

static void a_bare_object_is_data(void **state)
{
    (void)state;
    check_events("{\"error\": \"x\"}\n\n", "<{\"error\": \"x\"}>");
    check_events("data: a\n\n{\"error\": \"x\"}", "<a><{\"error\": \"x\"}>");
    check_events("{\n\"error\": \"x\"\n}\n\ndata: b\n\n", "<b>"); /* several lines are none */
}

static void an_event_without_its_empty_line_is_not_lost(void **state)
{
    (void)state;
    check_events("data: a\n\ndata: [DONE]", "<a><[DONE]>");
    check_events("data: a\n\ndata: b\n", "<a><b>");
}

static void an_event_past_the_limit_is_refused(void **state)
{
    CAP_AUTO_BUF(out, 100000);
    struct cap_err err = {0};
    struct cap_sse sse;
    bool ok = true;

    (void)state;
    cap_sse_init(&sse, 2048, join_events, &out);
    for (int i = 0; ok && i < 100; i++)
        ok = cap_sse_add(&sse, "data: 0123456789012345678901234567890123456789\n", 47, &err);
    assert_false(ok);
    assert_string_equal(err.text, "the server sent an event of more than 2 KiB");
    cap_sse_done(&sse);
    cap_err_clear(&err);
    cap_sse_init(&sse, 1024, join_events, &out);
    for (ok = true; ok && out.length == 0;)
        ok = cap_sse_add(&sse, "endless", 7, &err);
    assert_false(ok);
    cap_sse_done(&sse);
}

/* ---- a server with a script ---- */

struct script {
    const char *const *pieces; /* sent one by one, with a pause between; NULL at the end */
    int pause_ms;
    bool keep_open; /* after the last piece, until the client hangs up */
    bool any_bytes; /* the first that come are the request */
    int connections;
    int listener, port;
    atomic_int hung_up;
    char request[65536]; /* the last one */
    pthread_t thread;
};

static void read_request(int fd, struct script *s)
{
    size_t length = 0, want = 0;

    while (length + 1 < sizeof s->request && (want == 0 || length < want)) {
        ssize_t n = read(fd, s->request + length, sizeof s->request - 1 - length);
        char *end, *field;

        if (n <= 0)
            return;
        length += (size_t)n;
        s->request[length] = '\0';
        if (s->any_bytes)
            return;
        end = strstr(s->request, "\r\n\r\n");
        field = strstr(s->request, "Content-Length: ");
        if (end)
            want = (size_t)(end + 4 - s->request) + (field ? strtoul(field + 16, NULL, 10) : 0);
    }
}

static void *play(void *arg)
{
    struct script *s = arg;

    for (int i = 0; i < s->connections; i++) {
        int fd = accept(s->listener, NULL, NULL);
        char byte;

        read_request(fd, s);
        for (const char *const *piece = s->pieces; *piece; piece++) {
            if (send(fd, *piece, strlen(*piece), MSG_NOSIGNAL) < 0)
                break;
            cap_sleep_ms(s->pause_ms);
        }
        while (s->keep_open && read(fd, &byte, 1) > 0)
            continue;
        atomic_fetch_add(&s->hung_up, 1);
        close(fd);
    }
    return NULL;
}

static void start_script(struct script *s)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;

    if (s->connections == 0)
        s->connections = 1;
    s->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(s->listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(s->listener, 64), 0);
    assert_int_equal(getsockname(s->listener, (struct sockaddr *)&address, &length), 0);
    s->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&s->thread, NULL, play, s), 0);
}

static void end_script(struct script *s)
{
    pthread_join(s->thread, NULL);
    close(s->listener);
}

static const char *url_of(int port, const char *path)
{
    static char url[128];

    snprintf(url, sizeof url, "http://127.0.0.1:%d%s", port, path);
    return url;
}

/* Runs one ask to its end; pieces are joined in `out`. Returns the last event, whose failure stays
 * until the next run. */
static struct cap_http_event run(const struct cap_http_ask *ask, struct cap_buf *out)
{
    static struct cap_err failure;
    CAP_AUTO(cap_http_client) client = cap_http_client_new();
    struct cap_http_event event = {0};
    struct cap_err err = {0};

    assert_true(cap_http_client_add(client, ask, &err));
    for (;;) {
        if (!cap_http_client_wait(client, 2000, &event))
            continue;
        assert_int_equal(event.id, ask->id);
        if (event.kind == CAP_HTTP_PIECE)
            join_events(out, event.name, event.data, event.length);
        else
            break;
    }
    if (event.kind == CAP_HTTP_DONE)
        cap_buf_add(out, event.data, event.length);
    assert_int_equal(cap_http_client_pending(client), 0);
    event.data = NULL;
    if (event.failure) {
        failure = *event.failure;
        event.failure = &failure;
    }
    return event;
}

#define STREAM_HEAD "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"

static void a_stream_arrives_event_by_event(void **state)
{
    static const char *const pieces[] = {STREAM_HEAD "Transfer-Encoding: chunked\r\n\r\n",
                                         "9\r\ndata: a\n\n\r\n",
                                         "5\r\ndata:\r\n",
                                         "4\r\n b\n\n\r\n",
                                         "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n",
                                         NULL};
    struct script s = {.pieces = pieces, .pause_ms = 20};
    CAP_AUTO_BUF(out, 10000);
    struct cap_http_event last;

    (void)state;
    start_script(&s);
    last = run(&(struct cap_http_ask){.id = 7, .url = url_of(s.port, "/v1"), .body = "{}"}, &out);
    end_script(&s);
    assert_int_equal(last.kind, CAP_HTTP_DONE);
    assert_int_equal(last.status, 200);
    assert_true(last.streamed && last.marked_end);
    assert_string_equal(out.data, "<a><b>");
    assert_non_null(strstr(s.request, "POST /v1 HTTP/1.1\r\n"));
    assert_non_null(strstr(s.request, "Content-Type: application/json\r\n"));
    assert_null(strstr(s.request, "Expect"));
}

static void a_stream_is_whole_at_its_mark_however_the_reply_ends(void **state)
{
    static const char *const broken[] = {
        STREAM_HEAD "Transfer-Encoding: chunked\r\n\r\n17\r\ndata: a\n\ndata: [DONE]\n\n\r\n",
        "9\r\ndat", NULL};
    static const char *goes_on[200] = {
        STREAM_HEAD "Transfer-Encoding: chunked\r\n\r\n17\r\ndata: a\n\ndata: [DONE]\n\n\r\n"};
    const char *const *scripts[] = {broken, goes_on};

    (void)state;
    for (size_t i = 1; i < CAP_COUNT_OF(goes_on) - 1; i++)
        goes_on[i] = "4\r\n: a\n\r\n";
    for (size_t i = 0; i < CAP_COUNT_OF(scripts); i++) {
        struct script s = {.pieces = scripts[i], .pause_ms = 20};
        CAP_AUTO_BUF(out, 10000);
        struct cap_http_event last;

        start_script(&s);
        last = run(&(struct cap_http_ask){.id = 1, .url = url_of(s.port, "/")}, &out);
        end_script(&s);
        assert_int_equal(last.kind, CAP_HTTP_DONE);
        assert_true(last.marked_end);
        assert_string_equal(out.data, "<a>");
    }
}

static void a_stream_that_just_closes_is_done_without_a_mark(void **state)
{
    static const char *const pieces[] = {STREAM_HEAD "\r\ndata: a\n\n", "data: b", NULL};
    struct script s = {.pieces = pieces, .pause_ms = 5};
    CAP_AUTO_BUF(out, 10000);
    struct cap_http_event last;

    (void)state;
    start_script(&s);
    last = run(&(struct cap_http_ask){.id = 1, .url = url_of(s.port, "/")}, &out);
    end_script(&s);
    assert_int_equal(last.kind, CAP_HTTP_DONE);
    assert_false(last.marked_end);
    assert_string_equal(out.data, "<a><b>");
}

static void a_stream_that_is_cut_is_a_failure(void **state)
{
    static const char *const pieces[] = {
        STREAM_HEAD "Transfer-Encoding: chunked\r\n\r\n9\r\ndata: a\n\n\r\n9\r\ndat", NULL};
    struct script s = {.pieces = pieces, .pause_ms = 5};
    CAP_AUTO_BUF(out, 10000);
    struct cap_http_event last;

    (void)state;
    start_script(&s);
    last = run(&(struct cap_http_ask){.id = 1, .url = url_of(s.port, "/a?key=secret")}, &out);
    end_script(&s);
    assert_int_equal(last.kind, CAP_HTTP_FAILED);
    assert_int_equal(last.failure->code, CAP_UNAVAILABLE);
    assert_non_null(strstr(last.failure->text, "/a broke: "));
    assert_null(strstr(last.failure->text, "secret"));
    assert_string_equal(out.data, "<a>");
}

static void an_error_status_is_an_answer(void **state)
{
    static const char *const pieces[] = {
        "HTTP/1.1 429 Slow Down\r\nContent-Type: text/event-stream\r\nRetry-After: 3\r\n"
        "Content-Length: 9\r\n\r\ndata: no\n",
        NULL};
    struct script s = {.pieces = pieces};
    CAP_AUTO_BUF(out, 10000);
    struct cap_http_event last;

    (void)state;
    start_script(&s);
    last = run(&(struct cap_http_ask){.id = 1, .url = url_of(s.port, "/")}, &out);
    end_script(&s);
    assert_int_equal(last.kind, CAP_HTTP_DONE);
    assert_int_equal(last.status, 429);
    assert_int_equal(last.retry_after_s, 3);
    assert_false(last.streamed);
    assert_string_equal(out.data, "data: no\n");
}

static void nobody_there_is_unavailable(void **state)
{
    static const char *const pieces[] = {"", NULL};
    struct script s = {.pieces = pieces};
    CAP_AUTO_BUF(out, 10000);
    struct cap_http_event last;

    (void)state;
    start_script(&s);
    last = run(&(struct cap_http_ask){.id = 1, .url = url_of(s.port, "/")}, &out);
    end_script(&s); /* accepts and says nothing */
    assert_int_equal(last.failure->code, CAP_UNAVAILABLE);
    assert_non_null(strstr(last.failure->text, "broke: "));
    last = run(&(struct cap_http_ask){.id = 2, .url = url_of(s.port, "/")}, &out);
    assert_int_equal(last.failure->code, CAP_UNAVAILABLE); /* the port is closed now */
    assert_non_null(strstr(last.failure->text, "could not connect to http://127.0.0.1:"));
}

static void what_is_no_http_is_said_so(void **state)
{
    static const char *const pieces[] = {"220 mail.example ESMTP\r\n", NULL};
    struct script s = {.pieces = pieces};
    CAP_AUTO_BUF(out, 10000);
    struct cap_http_event last;

    (void)state;
    start_script(&s);
    last = run(&(struct cap_http_ask){.id = 1, .url = url_of(s.port, "/")}, &out);
    end_script(&s);
    assert_int_equal(last.failure->code, CAP_FAILED_PRECONDITION);
    assert_non_null(strstr(last.failure->text, "does not speak HTTP"));
}

static void a_deadline_ends_a_silent_reply(void **state)
{
    static const char *const pieces[] = {STREAM_HEAD "\r\ndata: a\n\n", NULL};
    struct script s = {.pieces = pieces, .keep_open = true};
    int64_t started_ms = cap_clock_ms(cap_clock_system());
    CAP_AUTO_BUF(out, 10000);
    struct cap_http_event last;

    (void)state;
    start_script(&s);
    last =
        run(&(struct cap_http_ask){.id = 1, .url = url_of(s.port, "/"), .deadline_ms = 200}, &out);
    end_script(&s);
    assert_int_equal(last.failure->code, CAP_DEADLINE_EXCEEDED);
    assert_string_equal(out.data, "<a>");
    assert_true(cap_clock_ms(cap_clock_system()) - started_ms < 2000);
}

static void a_reply_past_its_limit_is_refused(void **state)
{
    static const char *const pieces[] = {"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n",
                                         "0123456789012345678901234567890123456789", NULL};
    struct script s = {.pieces = pieces, .pause_ms = 5};
    CAP_AUTO_BUF(out, 10000);
    struct cap_http_event last;

    (void)state;
    start_script(&s);
    last = run(&(struct cap_http_ask){.id = 1, .url = url_of(s.port, "/"), .reply_bytes_max = 16},
               &out);
    end_script(&s);
    assert_int_equal(last.failure->code, CAP_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(last.failure->text, "is larger than 0 KiB"));
}

/* libcurl keeps every line that comes behind the last chunk. */
static void trailers_without_end_are_refused(void **state)
{
    enum { LINES = 300, LINE_BYTES = 4000 };
    static char line[LINE_BYTES + 1];
    const char *pieces[LINES + 2] = {
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"};
    struct script s = {.pieces = pieces};
    CAP_AUTO_BUF(out, 100);
    struct cap_http_event last;

    (void)state;
    memset(line, 'x', LINE_BYTES);
    memcpy(line, "T: ", 3);
    memcpy(line + LINE_BYTES - 2, "\r\n", 2);
    for (int i = 1; i <= LINES; i++)
        pieces[i] = line;
    start_script(&s);
    last = run(&(struct cap_http_ask){.id = 1, .url = url_of(s.port, "/")}, &out);
    end_script(&s);
    assert_int_equal(last.failure->code, CAP_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(last.failure->text, "are larger than 1024 KiB"));
}

static void what_is_no_url_is_refused_at_once(void **state)
{
    CAP_AUTO(cap_http_client) client = cap_http_client_new();
    static const char *const bad[] = {"", "host:80", "ftp://host/", "file:///etc/passwd",
                                      "http://"};

    (void)state;
    for (size_t i = 0; i < CAP_COUNT_OF(bad); i++) {
        struct cap_err err = {0};

        assert_false(cap_http_client_add(client, &(struct cap_http_ask){.url = bad[i]}, &err));
        assert_int_equal(err.code, CAP_INVALID_ARGUMENT);
        assert_non_null(strstr(err.text, "is not an http or https URL"));
    }
}

/* There clouds keep a machine's credentials. The address is judged as libcurl reads it, and where a
 * connection would go: here, to a proxy of the environment, as a name would lead there. */
static void loopback_is_told_from_what_only_looks_like_it(void **state)
{
    static const char *const here[] = {"http://localhost:8000",  "http://127.0.0.1",
                                       "https://127.8.9.1:1/v1", "http://[::1]:8000",
                                       "http://LOCALHOST/",      "http://[::ffff:127.0.0.1]"};
    static const char *const away[] = {"http://localhost.example.org",
                                       "http://128.0.0.1",
                                       "http://10.0.0.1:8000",
                                       "http://[::2]",
                                       "http://127.0.0.1.example.org",
                                       "",
                                       "localhost"};

    (void)state;
    for (size_t i = 0; i < CAP_COUNT_OF(here); i++)
        if (!cap_url_is_loopback(here[i]))
            fail_msg("%s is this machine", here[i]);
    for (size_t i = 0; i < CAP_COUNT_OF(away); i++)
        if (cap_url_is_loopback(away[i]))
            fail_msg("%s is not this machine", away[i]);
}

static void a_link_local_address_is_asked_only_when_that_is_allowed(void **state)
{
    static const char *const bad[] = {"http://169.254.169.254/latest", "http://2852039166/",
                                      "http://[fe80::1]:80/", "http://[::ffff:169.254.169.254]/",
                                      "http://metadata.google.internal/"};
    CAP_AUTO(cap_http_client) client = cap_http_client_new();
    struct cap_http_event event;
    struct cap_err err = {0};

    (void)state;
    for (size_t i = 0; i < CAP_COUNT_OF(bad); i++) {
        cap_err_clear(&err);
        assert_false(cap_http_client_add(client, &(struct cap_http_ask){.url = bad[i]}, &err));
        assert_int_equal(err.code, CAP_INVALID_ARGUMENT);
        assert_non_null(strstr(err.text, "which is link-local"));
    }
    cap_err_clear(&err);
    setenv("http_proxy", "http://169.254.1.1:9", 1);
    assert_true(cap_http_client_add(client, &(struct cap_http_ask){.url = "http://h.test/"}, &err));
    while (!cap_http_client_wait(client, 100, &event))
        continue;
    unsetenv("http_proxy");
    assert_int_equal(event.kind, CAP_HTTP_FAILED);
    assert_non_null(strstr(event.failure->text, "http://h.test/ leads to 169.254.1.1, which is"));
    cap_http_allow_link_local(true);
    assert_true(cap_http_client_add(client, &(struct cap_http_ask){.url = bad[0]}, &err));
    cap_http_client_cancel(client, 0);
    cap_http_allow_link_local(false);
}

static void cancelling_hangs_up_and_no_event_follows(void **state)
{
    static const char *const pieces[] = {STREAM_HEAD "\r\ndata: a\n\ndata: b\n\n", NULL};
    struct script s = {.pieces = pieces, .keep_open = true};
    CAP_AUTO(cap_http_client) client = cap_http_client_new();
    struct cap_http_ask ask = {.id = 3};
    struct cap_http_event event;
    struct cap_err err = {0};

    (void)state;
    start_script(&s);
    ask.url = url_of(s.port, "/");
    assert_true(cap_http_client_add(client, &ask, &err));
    assert_false(cap_http_client_add(client, &ask, &err));
    assert_int_equal(err.code, CAP_ALREADY_EXISTS);
    assert_true(cap_http_client_wait(client, 5000, &event));
    assert_string_equal(event.data, "a");
    cap_http_client_cancel(client, 3);
    assert_int_equal(cap_http_client_pending(client), 0);
    assert_false(cap_http_client_wait(client, 10, &event));
    end_script(&s); /* returns, because the server saw the end */
    assert_int_equal(s.hung_up, 1);
}

/* ---- many at once, against our own server ---- */

static bool next_event(struct cap_http_request *request, void *state, struct cap_buf *out)
{
    int *left = state;

    (void)request;
    cap_sleep_ms(2);
    if (*left > 0)
        cap_buf_printf(out, "data: %d\n\n", (*left)--);
    else
        cap_buf_add_str(out, "data: [DONE]\n\n");
    return strstr(out->data, "DONE") == NULL;
}

static void count_down(struct cap_http_request *request, void *self)
{
    int *left = cap_arena_alloc(cap_http_arena(request), sizeof *left);
    struct cap_http_stream stream = {.next = next_event, .state = left};

    (void)self;
    *left = 20;
    cap_http_reply_stream(request, 200, "text/event-stream", &stream);
}

static atomic_int calls;

static void fail_twice(struct cap_http_request *request, void *self)
{
    (void)self;
    if (++calls < 3)
        cap_http_reply_error(request, 503, "warming up");
    else
        cap_http_reply(request, 200, "text/plain", "ready", 5);
}

static const struct cap_http_route routes[] = {{"POST", "/stream", count_down},
                                               {"GET", "/retry", fail_twice}};

static struct cap_http_server *start_server(int *out_port)
{
    struct cap_http_server_options options = {
        .host = "127.0.0.1", .routes = routes, .route_count = CAP_COUNT_OF(routes)};
    struct cap_err err = {0};
    struct cap_http_server *server = cap_http_server_start(&options, out_port, &err);

    assert_non_null(server);
    return server;
}

static void one_thread_drives_many_streams(void **state)
{
    enum { STREAMS = 32, EVENTS = 20 };
    int port, pieces[STREAMS] = {0}, done = 0;
    int64_t last_ns[STREAMS] = {0};
    CAP_AUTO(cap_http_server) server = start_server(&port);
    CAP_AUTO(cap_http_client) client = cap_http_client_new();
    struct cap_err err = {0};

    (void)state;
    for (uint64_t i = 0; i < STREAMS; i++)
        assert_true(cap_http_client_add(
            client, &(struct cap_http_ask){.id = i, .url = url_of(port, "/stream"), .body = "{}"},
            &err));
    while (done < STREAMS) {
        struct cap_http_event event;

        if (!cap_http_client_wait(client, 5000, &event))
            fail_msg("no event for 5 s");
        assert_true(event.at_ns >= last_ns[event.id]);
        last_ns[event.id] = event.at_ns;
        if (event.kind == CAP_HTTP_PIECE) {
            assert_int_equal(atoi(event.data), EVENTS - pieces[event.id]++);
            continue;
        }
        assert_int_equal(event.kind, CAP_HTTP_DONE);
        assert_true(event.marked_end);
        assert_int_equal(pieces[event.id], EVENTS);
        done++;
    }
    assert_int_equal(cap_http_client_pending(client), 0);
}

/* What a fetch over TLS says of a server that has none. */
static void say_without_tls(struct script *s, struct cap_err *err)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 20);
    struct cap_http_reply reply;
    char url[64];

    s->any_bytes = true;
    start_script(s);
    snprintf(url, sizeof url, "https://127.0.0.1:%d/", s->port);
    assert_false(cap_http_fetch(&(struct cap_http_ask){.url = url}, arena, &reply, err));
    end_script(s);
}

static void a_server_without_tls_is_told_from_one_that_is_not_trusted(void **state)
{
    static const char *const refusal[] = {"HTTP/1.1 400 Bad Request\r\n\r\n", NULL};
    static const char *const silence[] = {NULL};
    struct script answers = {.pieces = refusal, .keep_open = true};
    struct script hangs_up = {.pieces = silence};
    struct cap_err err = {0};
    char said[96];

    (void)state;
    say_without_tls(&answers, &err);
    snprintf(said, sizeof said, "https://127.0.0.1:%d does not speak TLS; try http://",
             answers.port);
    assert_string_equal(err.text, said);
    cap_err_clear(&err);
    say_without_tls(&hangs_up, &err);
    snprintf(said, sizeof said, "no TLS connection to https://127.0.0.1:%d: ", hangs_up.port);
    assert_memory_equal(err.text, said, strlen(said));
    assert_non_null(strstr(err.text, "; if it does not speak TLS, try http://"));
}

static void a_fetch_waits_for_a_server_that_warms_up(void **state)
{
    int port;
    CAP_AUTO(cap_http_server) server = start_server(&port);
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 20);
    struct cap_http_reply reply;
    struct cap_err err = {0};

    (void)state;
    calls = 0;
    assert_true(
        cap_http_fetch(&(struct cap_http_ask){.url = url_of(port, "/retry"), .tries_max = 5}, arena,
                       &reply, &err));
    assert_int_equal(reply.status, 200);
    assert_string_equal(reply.body, "ready");
    calls = 0;
    assert_true(
        cap_http_fetch(&(struct cap_http_ask){.url = url_of(port, "/retry")}, arena, &reply, &err));
    assert_int_equal(reply.status, 503);
}

static void the_deadline_of_a_fetch_holds_for_all_its_tries(void **state)
{
    CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 20);
    int64_t started_ms = cap_clock_ms(cap_clock_system());
    struct cap_http_reply reply;
    struct cap_err err = {0};

    (void)state;
    assert_false(cap_http_fetch(&(struct cap_http_ask){.url = "http://127.0.0.1:1/",
                                                       .tries_max = 1000,
                                                       .deadline_ms = 1000},
                                arena, &reply, &err));
    assert_int_equal(err.code, CAP_UNAVAILABLE);
    assert_true(cap_clock_ms(cap_clock_system()) - started_ms < 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_are_the_same_however_the_bytes_are_cut),
        cmocka_unit_test(comments_and_other_fields_say_nothing),
        cmocka_unit_test(a_name_belongs_to_its_event_only),
        cmocka_unit_test(a_bare_object_is_data),
        cmocka_unit_test(an_event_without_its_empty_line_is_not_lost),
        cmocka_unit_test(an_event_past_the_limit_is_refused),
        cmocka_unit_test(a_stream_arrives_event_by_event),
        cmocka_unit_test(a_stream_is_whole_at_its_mark_however_the_reply_ends),
        cmocka_unit_test(a_stream_that_just_closes_is_done_without_a_mark),
        cmocka_unit_test(a_stream_that_is_cut_is_a_failure),
        cmocka_unit_test(an_error_status_is_an_answer),
        cmocka_unit_test(nobody_there_is_unavailable),
        cmocka_unit_test(what_is_no_http_is_said_so),
        cmocka_unit_test(a_deadline_ends_a_silent_reply),
        cmocka_unit_test(a_reply_past_its_limit_is_refused),
        cmocka_unit_test(trailers_without_end_are_refused),
        cmocka_unit_test(what_is_no_url_is_refused_at_once),
        cmocka_unit_test(loopback_is_told_from_what_only_looks_like_it),
        cmocka_unit_test(a_link_local_address_is_asked_only_when_that_is_allowed),
        cmocka_unit_test(cancelling_hangs_up_and_no_event_follows),
        cmocka_unit_test(one_thread_drives_many_streams),
        cmocka_unit_test(a_server_without_tls_is_told_from_one_that_is_not_trusted),
        cmocka_unit_test(a_fetch_waits_for_a_server_that_warms_up),
        cmocka_unit_test(the_deadline_of_a_fetch_holds_for_all_its_tries),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
