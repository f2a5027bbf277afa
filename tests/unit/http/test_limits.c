/* What a client may cost: time of each phase, size of each part, connections. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "http/server_inside.h"

/* Connections that the tests opened one after the other are closed a little later. */
enum { BIG_BYTES = 8 << 20, ANSWER_BYTES_MAX = 64 << 10, CONNECTIONS_MAX = 24, STREAMS_MAX = 4 };

static atomic_int streams_done;

static void hello(struct cap_http_request *request, void *self)
{
    (void)self;
    cap_http_reply(request, 200, "text/plain", "hello", 5);
}

/* Longer than a client may be silent. */
static void think(struct cap_http_request *request, void *self)
{
    (void)self;
    cap_sleep_ms(2500);
    cap_http_reply(request, 200, "text/plain", "thought", 7);
}

static void big(struct cap_http_request *request, void *self)
{
    char *body = calloc(1, BIG_BYTES);

    (void)self;
    assert_non_null(body);
    cap_http_reply(request, 200, "text/plain", body, BIG_BYTES);
    free(body);
}

static bool next_block(struct cap_http_request *request, void *state, struct cap_buf *out)
{
    static const char block[64 << 10];

    (void)request;
    (void)state;
    cap_buf_add(out, block, sizeof block);
    return true;
}

static void count_done(struct cap_http_request *request, void *state)
{
    (void)request;
    (void)state;
    streams_done++;
}

static void endless(struct cap_http_request *request, void *self)
{
    struct cap_http_stream stream = {.next = next_block, .done = count_done};

    (void)self;
    cap_http_reply_stream(request, 200, "text/event-stream", &stream);
}

static bool admit(struct cap_http_request *request, void *self)
{
    (void)self;
    cap_http_reply_header(request, "X-Seen", "yes");
    if (!cap_http_header(request, "X-Foreign"))
        return true;
    cap_http_reply_error(request, 403, "not from here");
    return false;
}

static void own_words(int status, const char *message, struct cap_buf *out)
{
    cap_buf_printf(out, "{\"own\": %d, \"words\": \"%s\"}", status, message);
}

static const struct cap_http_route routes[] = {
    {"GET", "/hello", hello},     {"POST", "/hello", hello}, {"GET", "/think", think},
    {"GET", "/endless", endless}, {"GET", "/big", big},
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
                                              .admit = admit,
                                              .error_body = own_words,
                                              .connections_max = CONNECTIONS_MAX,
                                              .streams_max = STREAMS_MAX,
                                              .url_bytes_max = 1024,
                                              .head_bytes_max = 4096,
                                              .body_bytes_max = 4096,
                                              .head_s_max = 1,
                                              .body_s_max = 1,
                                              .reply_s_max = 1,
                                              .idle_s_max = 1};
    struct cap_err err = {0};

    fixture->server = cap_http_server_start(&options, &fixture->port, &err);
    assert_non_null(fixture->server);
    streams_done = 0;
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

/* With a small window, so that a client that does not read is noticed. */
static int dial(const struct fixture *fixture)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)fixture->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), window = 4096;

    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &window, sizeof window);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* Reads until the server closes; the bytes that came. */
static size_t read_all(int fd, struct cap_buf *out)
{
    char block[4096];
    size_t total = 0;
    ssize_t length;

    while ((length = read(fd, block, sizeof block)) > 0) {
        total += (size_t)length;
        cap_buf_add(out, block, (size_t)length);
    }
    return total;
}

/* Sends `first`, then a byte now and then as slow attackers do, until the server has had enough. */
static void check_drip(const struct fixture *fixture, const char *first, const char *drop)
{
    CAP_AUTO_FD int fd = dial(fixture);
    CAP_AUTO_BUF(out, ANSWER_BYTES_MAX);
    int64_t started_ms = cap_clock_ms(cap_clock_system());

    say(fd, first);
    for (int i = 0; i < 100 && send(fd, drop, 1, MSG_NOSIGNAL) == 1; i++) {
        char byte;

        cap_sleep_ms(50);
        if (recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0)
            break;
    }
    read_all(fd, &out);
    assert_true(cap_clock_ms(cap_clock_system()) - started_ms < 3000);
    assert_non_null(strstr(out.data, "HTTP/1.1 408 Request Timeout\r\n"));
    assert_non_null(
        strstr(out.data, "{\"own\": 408, \"words\": \"the request did not arrive in time\"}"));
}

static void a_head_that_trickles_in_is_cut_off(void **state)
{
    check_drip(*state, "GET /hello HTTP/1.1\r\nHost: x\r\nX-Slow: ", "a");
    check_drip(*state, "", "G");
}

static void a_body_that_trickles_in_is_cut_off(void **state)
{
    check_drip(*state, "POST /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 4000\r\n\r\n", "b");
}

static void a_connection_without_a_next_request_is_closed_in_silence(void **state)
{
    CAP_AUTO_FD int fd = dial(*state);
    CAP_AUTO_BUF(out, ANSWER_BYTES_MAX);

    say(fd, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    read_all(fd, &out);
    assert_non_null(strstr(out.data, "200 OK"));
    assert_null(strstr(out.data, "408"));
}

static void a_handler_may_take_longer_than_a_client_may_be_silent(void **state)
{
    CAP_AUTO_FD int fd = dial(*state);
    CAP_AUTO_BUF(out, ANSWER_BYTES_MAX);

    say(fd, "GET /think HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    read_all(fd, &out);
    assert_non_null(strstr(out.data, "\r\n\r\nthought"));
}

static void a_client_that_does_not_read_its_reply_is_cut_off(void **state)
{
    CAP_AUTO_FD int fd = dial(*state);
    CAP_AUTO_BUF(out, ANSWER_BYTES_MAX);

    say(fd, "GET /big HTTP/1.1\r\nHost: x\r\n\r\n");
    cap_sleep_ms(2000);
    assert_true(read_all(fd, &out) < BIG_BYTES);
}

static void a_client_that_does_not_read_its_stream_is_cut_off(void **state)
{
    CAP_AUTO_FD int fd = dial(*state);

    say(fd, "GET /endless HTTP/1.1\r\nHost: x\r\n\r\n");
    for (int i = 0; i < 500 && !streams_done; i++)
        cap_sleep_ms(10);
    assert_int_equal(streams_done, 1);
}

static void check_answer(const struct fixture *fixture, const char *request, const char *status,
                         const char *words)
{
    CAP_AUTO_FD int fd = dial(fixture);
    CAP_AUTO_BUF(out, ANSWER_BYTES_MAX);

    say(fd, request);
    read_all(fd, &out);
    assert_non_null(strstr(out.data, status));
    assert_non_null(strstr(out.data, words));
}

static void each_part_of_a_request_has_a_size(void **state)
{
    CAP_AUTO_BUF(text, 1 << 20);

    cap_buf_add_str(&text, "GET /hello?x=");
    for (int i = 0; i < 2000; i++)
        cap_buf_add_char(&text, 'u');
    cap_buf_add_str(&text, " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    check_answer(*state, text.data, "414 URI Too Long\r\n",
                 "{\"own\": 414, \"words\": \"the path and query are larger than 1 KiB\"}");
    cap_buf_clear(&text);
    cap_buf_add_str(&text, "GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");
    for (int i = 0; i < 500; i++)
        cap_buf_printf(&text, "X-%d: many\r\n", i);
    cap_buf_add_str(&text, "\r\n");
    check_answer(*state, text.data, "431 Request Header Fields Too Large\r\n",
                 "{\"own\": 431, \"words\": \"the headers are larger than 4 KiB\"}");
    check_answer(*state,
                 "POST /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                 "Content-Length: 99999999999999999999\r\n\r\n",
                 "HTTP/1.1 4", "");
    check_answer(*state,
                 "POST /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                 "Content-Length: 99999999\r\n\r\n",
                 "413", "{\"own\": 413, \"words\": \"the body is larger than 4 KiB\"}");
}

static void an_endless_body_is_cut_off(void **state)
{
    CAP_AUTO_FD int fd = dial(*state);
    char piece[2048 + 16];
    int sent = 0;

    say(fd, "POST /hello HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    snprintf(piece, sizeof piece, "800\r\n%02048d\r\n", 0);
    while (sent < 1000 && send(fd, piece, strlen(piece), MSG_NOSIGNAL) > 0) {
        sent++;
        cap_sleep_ms(1);
    }
    assert_true(sent < 1000);
}

static void who_is_not_admitted_is_answered_before_the_body_is_read(void **state)
{
    check_answer(*state,
                 "POST /hello HTTP/1.1\r\nHost: x\r\nX-Foreign: 1\r\nContent-Length: 99999\r\n\r\n",
                 "403", "not from here");
    check_answer(*state, "GET /none HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
                 "X-Seen: yes", "{\"own\": 404");
}

static void assert_served(const struct fixture *fixture)
{
    check_answer(fixture, "GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
                 "HTTP/1.1 200 OK\r\n", "hello");
}

/* Twice as many as there are places: by what they have sent, none of them, or all they will. */
static void hold_places(const struct fixture *fixture, const char *sent, bool answered)
{
    enum { HELD = 2 * CONNECTIONS_MAX };
    int held[HELD];

    for (int i = 0; i < HELD; i++) {
        held[i] = dial(fixture);
        say(held[i], sent);
        if (answered) {
            char byte;

            assert_int_equal(recv(held[i], &byte, 1, MSG_PEEK), 1);
        }
        if (i % 8 == 0)
            assert_served(fixture);
    }
    for (int i = 0; i < 10; i++)
        assert_served(fixture);
    for (int i = 0; i < HELD; i++)
        close(held[i]);
}

static void connections_that_do_nothing_keep_nobody_out(void **state)
{
    hold_places(*state, "", false);
    hold_places(*state, "GET /hello HTTP/1.1\r\nHost: x\r\nX-Slow: ", false);
    hold_places(*state, "POST /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 4000\r\n\r\nb", false);
    hold_places(*state, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n", true);
    hold_places(*state, "GET /big HTTP/1.1\r\nHost: x\r\n\r\n", true); /* which nobody reads */
}

static void one_more_than_all_busy_connections_is_told_so(void **state)
{
    int held[CONNECTIONS_MAX];
    CAP_AUTO_BUF(out, ANSWER_BYTES_MAX);

    for (int i = 0; i < CONNECTIONS_MAX; i++) {
        held[i] = dial(*state);
        say(held[i], "GET /think HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    }
    cap_sleep_ms(300);
    check_answer(*state, "", "HTTP/1.1 503", "all connections are busy");
    read_all(held[0], &out);
    assert_non_null(strstr(out.data, "thought"));
    for (int i = 0; i < CONNECTIONS_MAX; i++)
        close(held[i]);
    for (int i = 0; i < 20; i++)
        assert_served(*state); /* the places have come back */
}

/* Who is refused a stream is sent away, and those who have one leave places for short requests. */
static void streams_leave_places_for_short_requests(void **state)
{
    enum { ASKED = 3 * CONNECTIONS_MAX };
    int held[ASKED], served = 0;
    char head[64];

    for (int i = 0; i < ASKED; i++) {
        held[i] = dial(*state);
        say(held[i], "GET /endless HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_true(recv(held[i], head, 15, MSG_WAITALL) == 15);
        if (strncmp(head, "HTTP/1.1 200 OK", 15) == 0) {
            served++;
        } else {
            CAP_AUTO_BUF(rest, ANSWER_BYTES_MAX);

            read_all(held[i], &rest); /* to its end, so it was closed */
            assert_non_null(strstr(rest.data, "onnection: close\r\n"));
            assert_non_null(strstr(rest.data, "too many streams are open"));
        }
        if (i % 8 == 0)
            assert_served(*state);
    }
    assert_int_equal(served, STREAMS_MAX);
    assert_served(*state);
    for (int i = 0; i < ASKED; i++)
        close(held[i]);
}

/* ---- peers, by addresses that this machine does not have ---- */

struct crowd {
    struct cap_http_server_options options;
    struct http_connections all;
};

/* A connection in this phase from 192.0.2.`last`, or from loopback for 0. */
static struct http_connection *arrive(struct crowd *crowd, int last, enum http_phase phase)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr =
                                      htonl(last ? 0xc0000200u + (unsigned)last : INADDR_LOOPBACK)};
    struct http_connection *connection;
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    close(ends[1]);
    connection =
        http_connection_add(&crowd->all, ends[0], (const struct sockaddr *)(void *)&address);
    if (connection->phase != HTTP_ENDED)
        http_connection_enter(&crowd->all, connection, phase);
    return connection;
}

static void an_address_has_its_share_and_this_machine_is_none(void **state)
{
    struct crowd crowd = {.options = {.connections_max = 100,
                                      .connections_per_peer_max = 3,
                                      .streams_max = 10,
                                      .head_s_max = 60,
                                      .idle_s_max = 60}};
    struct http_connection *busy[3], *idle, *more;

    (void)state;
    http_connections_init(&crowd.all, &crowd.options);
    for (int i = 0; i < 20; i++) /* loopback may have all */
        assert_int_equal(arrive(&crowd, 0, HTTP_HANDLE)->phase, HTTP_HANDLE);
    for (int i = 0; i < 2; i++)
        busy[i] = arrive(&crowd, 1, HTTP_HANDLE);
    idle = arrive(&crowd, 1, HTTP_IDLE);
    busy[2] = arrive(&crowd, 1, HTTP_HANDLE);
    assert_int_equal(idle->phase, HTTP_ENDED); /* made room */
    for (int i = 0; i < 3; i++)
        assert_int_equal(busy[i]->phase, HTTP_HANDLE);
    more = arrive(&crowd, 1, HTTP_HANDLE);
    assert_int_equal(more->phase, HTTP_ENDED); /* nobody could */
    assert_int_equal(arrive(&crowd, 2, HTTP_HANDLE)->phase, HTTP_HANDLE);
    while (crowd.all.first) {
        int fd = crowd.all.first->fd;

        http_connection_remove(&crowd.all, crowd.all.first);
        close(fd);
    }
    assert_int_equal(crowd.all.places, 0);
    http_connections_done(&crowd.all);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
    const struct CMUnitTest tests[] = {
        TEST(a_head_that_trickles_in_is_cut_off),
        TEST(a_body_that_trickles_in_is_cut_off),
        TEST(a_connection_without_a_next_request_is_closed_in_silence),
        TEST(a_handler_may_take_longer_than_a_client_may_be_silent),
        TEST(a_client_that_does_not_read_its_reply_is_cut_off),
        TEST(a_client_that_does_not_read_its_stream_is_cut_off),
        TEST(each_part_of_a_request_has_a_size),
        TEST(an_endless_body_is_cut_off),
        TEST(who_is_not_admitted_is_answered_before_the_body_is_read),
        TEST(connections_that_do_nothing_keep_nobody_out),
        TEST(one_more_than_all_busy_connections_is_told_so),
        TEST(streams_leave_places_for_short_requests),
        cmocka_unit_test(an_address_has_its_share_and_this_machine_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
