/* The HTTP server, spoken to over plain sockets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "http/server.h"

static atomic_int streams_waiting, streams_done, seen_gone;

static void hello(struct cap_http_request *request, void *self)
{
    const char *name = cap_http_query(request, "name");
    char text[64];

    (void)self;
    snprintf(text, sizeof text, "hello %s", name ? name : "nobody");
    cap_http_reply_header(request, "X-Test", "yes");
    cap_http_reply(request, 200, "text/plain", text, strlen(text));
}

static void echo(struct cap_http_request *request, void *self)
{
    size_t length;
    const char *body = cap_http_body(request, &length);

    (void)self;
    cap_http_reply(request, 200, "text/plain", body, length);
}

static bool next_line(struct cap_http_request *request, void *state, struct cap_buf *out)
{
    int *left = state;

    (void)request;
    cap_buf_printf(out, "line %d\n", *left);
    return --*left > 0;
}

static void count_done(struct cap_http_request *request, void *state)
{
    (void)request;
    (void)state;
    streams_done++;
}

static void lines(struct cap_http_request *request, void *self)
{
    int *left = cap_arena_alloc(cap_http_arena(request), sizeof *left);
    struct cap_http_stream stream = {.next = next_line, .done = count_done, .state = left};

    (void)self;
    *left = 3;
    cap_http_reply_stream(request, 200, "text/event-stream", &stream);
}

enum { SLOW_MS = 5000 };

static bool next_slowly(struct cap_http_request *request, void *state, struct cap_buf *out)
{
    (void)state;
    streams_waiting++;
    for (int i = 0; i < SLOW_MS / 5 && !cap_http_gone(request); i++)
        cap_sleep_ms(5);
    seen_gone += cap_http_gone(request);
    cap_buf_add_str(out, "late\n");
    return true;
}

static void slow(struct cap_http_request *request, void *self)
{
    struct cap_http_stream stream = {.next = next_slowly, .done = count_done};

    (void)self;
    cap_http_reply_stream(request, 200, "text/event-stream", &stream);
}

static bool print_parameter(void *arg, const char *name, const char *value, size_t length)
{
    cap_buf_printf(arg, "%s=%s(%zu) ", name, value, length);
    return true;
}

static void parameters(struct cap_http_request *request, void *self)
{
    CAP_AUTO_BUF(text, 4096);

    (void)self;
    cap_http_query_each(request, print_parameter, &text);
    cap_http_reply(request, 200, "text/plain", text.data, text.length);
}

static const struct cap_http_route routes[] = {
    {NULL, "/any/*", hello}, {"GET", "/parameters", parameters}, {"GET", "/hello", hello},
    {"POST", "/echo", echo}, {"GET", "/lines", lines},           {"GET", "/slow", slow},
};

struct fixture {
    struct cap_http_server *server;
    int port;
};

static int start(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    struct cap_http_server_options options = {.host = "127.0.0.1",
                                              .routes = routes,
                                              .route_count = CAP_COUNT_OF(routes),
                                              .body_bytes_max = 4096};
    struct cap_err err = {0};

    fixture->server = cap_http_server_start(&options, &fixture->port, &err);
    assert_non_null(fixture->server);
    streams_waiting = streams_done = seen_gone = 0;
    *state = fixture;
    return 0;
}

static int stop(void **state)
{
    struct fixture *fixture = *state;

    cap_http_server_free(fixture->server);
    free(fixture);
    return 0;
}

static int dial(const struct fixture *fixture)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)fixture->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void await_one(const atomic_int *count)
{
    for (int i = 0; i < SLOW_MS && *count == 0; i++)
        cap_sleep_ms(1);
    assert_int_equal(*count, 1);
}

/* Sends the text and reads until the server closes. */
static void talk(const struct fixture *fixture, const char *text, struct cap_buf *out)
{
    CAP_AUTO_FD int fd = dial(fixture);
    char block[4096];
    ssize_t length;

    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    while ((length = read(fd, block, sizeof block)) > 0)
        cap_buf_add(out, block, (size_t)length);
}

static void a_route_answers_with_query_and_headers(void **state)
{
    CAP_AUTO_BUF(out, 10000);

    talk(*state, "GET /hello?name=you HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", &out);
    assert_non_null(strstr(out.data, "HTTP/1.1 200 OK"));
    assert_non_null(strstr(out.data, "X-Test: yes"));
    assert_non_null(strstr(out.data, "\r\n\r\nhello you"));
}

static void head_is_get_without_a_body(void **state)
{
    CAP_AUTO_BUF(out, 10000);

    talk(*state, "HEAD /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", &out);
    assert_non_null(strstr(out.data, "200 OK"));
    assert_null(strstr(out.data, "hello nobody"));
}

static void a_body_arrives_whole(void **state)
{
    CAP_AUTO_BUF(out, 10000);

    talk(*state,
         "POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\nabcde",
         &out);
    assert_non_null(strstr(out.data, "\r\n\r\nabcde"));
}

static void a_body_past_the_limit_is_refused(void **state)
{
    CAP_AUTO_BUF(out, 10000);
    CAP_AUTO_BUF(request, 20000);

    talk(*state,
         "POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 50000\r\n\r\n",
         &out);
    assert_non_null(strstr(out.data, "413"));
    assert_non_null(strstr(out.data, "the body is larger than 4 KiB"));
    cap_buf_clear(&out);
    cap_buf_add_str(&request, "POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                              "Transfer-Encoding: chunked\r\n\r\n1400\r\n");
    for (int i = 0; i < 0x1400; i++)
        cap_buf_add_char(&request, 'x');
    cap_buf_add_str(&request, "\r\n0\r\n\r\n");
    talk(*state, request.data, &out);
    assert_non_null(strstr(out.data, "413"));
}

static void what_no_route_takes_is_a_json_error(void **state)
{
    CAP_AUTO_BUF(out, 10000);

    talk(*state, "GET /no\"where HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", &out);
    assert_non_null(strstr(out.data, "404"));
    assert_non_null(strstr(out.data, "\"message\": \"GET /no\\\"where does not exist\""));
    cap_buf_clear(&out);
    talk(*state, "GET /no%ffwhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", &out);
    assert_non_null(strstr(out.data, "GET /no?where does not exist"));
    cap_buf_clear(&out);
    talk(*state, "DELETE /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", &out);
    assert_non_null(strstr(out.data, "405"));
    assert_non_null(strstr(out.data, "Allow: GET, HEAD, OPTIONS\r\n"));
    cap_buf_clear(&out);
    talk(*state, "HEAD /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", &out);
    assert_non_null(strstr(out.data, "405"));
    assert_non_null(strstr(out.data, "Allow: POST, OPTIONS\r\n"));
}

static void options_says_what_is_allowed(void **state)
{
    CAP_AUTO_BUF(out, 10000);

    talk(*state, "OPTIONS /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", &out);
    assert_non_null(strstr(out.data, "204 No Content"));
    assert_non_null(strstr(out.data, "Allow: GET, HEAD, OPTIONS\r\n"));
    cap_buf_clear(&out);
    talk(*state, "OPTIONS /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", &out);
    assert_non_null(strstr(out.data, "404"));
    cap_buf_clear(&out);
    talk(*state, "BREW /any/thing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", &out);
    assert_non_null(strstr(out.data, "hello nobody")); /* a route for every method */
}

static void parameters_come_one_by_one_with_their_length(void **state)
{
    CAP_AUTO_BUF(out, 10000);

    talk(*state, "GET /parameters?a=1&b&a=%00x&c= HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
         &out);
    assert_non_null(strstr(out.data, "\r\n\r\na=1(1) b=(0) a=(2) c=(0) "));
}

static void a_stream_arrives_in_pieces_and_ends(void **state)
{
    CAP_AUTO_BUF(out, 10000);

    talk(*state, "GET /lines HTTP/1.0\r\nHost: x\r\n\r\n", &out);
    assert_non_null(strstr(out.data, "line 3\nline 2\nline 1\n"));
    await_one(&streams_done);
}

static void a_client_that_hangs_up_ends_its_stream(void **state)
{
    static const char text[] = "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n";
    int fd = dial(*state);

    assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
    await_one(&streams_waiting);
    close(fd);
    await_one(&streams_done);
    assert_true(seen_gone > 0);
}

static void ending_the_server_ends_its_streams(void **state)
{
    struct fixture *fixture = *state;
    static const char text[] = "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n";
    CAP_AUTO_FD int fd = dial(fixture);
    int64_t started_ms;

    assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
    await_one(&streams_waiting);
    started_ms = cap_clock_ms(cap_clock_system());
    cap_http_server_free(fixture->server);
    fixture->server = NULL;
    assert_true(cap_clock_ms(cap_clock_system()) - started_ms < SLOW_MS);
    assert_int_equal(streams_done, 1);
}

static void a_taken_port_is_a_sentence(void **state)
{
    struct fixture *fixture = *state;
    struct cap_http_server_options options = {.host = "127.0.0.1", .port = fixture->port};
    struct cap_err err = {0};
    int port;

    assert_null(cap_http_server_start(&options, &port, &err));
    assert_non_null(strstr(err.text, "the port may be taken"));
    cap_err_clear(&err);
    options.host = "localhost";
    assert_null(cap_http_server_start(&options, &port, &err));
    assert_string_equal(err.text, "\"localhost\" is not an IPv4 or IPv6 address");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
    const struct CMUnitTest tests[] = {
        TEST(a_route_answers_with_query_and_headers),
        TEST(head_is_get_without_a_body),
        TEST(a_body_arrives_whole),
        TEST(a_body_past_the_limit_is_refused),
        TEST(what_no_route_takes_is_a_json_error),
        TEST(options_says_what_is_allowed),
        TEST(parameters_come_one_by_one_with_their_length),
        TEST(a_stream_arrives_in_pieces_and_ends),
        TEST(a_client_that_hangs_up_ends_its_stream),
        TEST(ending_the_server_ends_its_streams),
        TEST(a_taken_port_is_a_sentence),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
