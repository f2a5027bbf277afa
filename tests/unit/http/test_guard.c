/* Who may ask a server of ours: not a browser that a foreign name or a foreign page led here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/guard.h"

/* ---- its parts ---- */

static void only_own_and_allowed_hosts_are_served(void **state)
{
    static const char *const own[] = {"localhost:7860", "localhost",  "LOCALHOST", "127.0.0.1",
                                      "127.0.0.1:1",    "[::1]:7860", "[::1]",     "localhost:"};
    static const char *const foreign[] = {"",
                                          "evil.example",
                                          "localhost.evil.example",
                                          "evil.example:7860",
                                          "[::1]evil.com",
                                          "[::1]evil.com:7860",
                                          "[::1].evil.com",
                                          "[::1]:7860.evil.com",
                                          "[::1",
                                          "localhost:7860.evil.com",
                                          "localhost:80@evil.com",
                                          "localhost:evil.com",
                                          "127.0.0.1.evil.com",
                                          "127.0.0.1:80:80",
                                          "localhost ",
                                          " localhost",
                                          "localhost,evil.com",
                                          "user@localhost",
                                          ":7860",
                                          "0.0.0.0"};

    (void)state;
    for (size_t i = 0; i < CAP_COUNT_OF(own); i++)
        if (!cap_http_host_allowed(own[i], ""))
            fail_msg("%s is refused", own[i]);
    for (size_t i = 0; i < CAP_COUNT_OF(foreign); i++)
        if (cap_http_host_allowed(foreign[i], ""))
            fail_msg("%s is served", foreign[i]);
    assert_true(cap_http_host_allowed("board.example:443", "a.example,board.example"));
    assert_false(cap_http_host_allowed("board.example.evil", "a.example,board.example"));
    assert_false(cap_http_host_allowed("board", "a.example,board.example"));
    assert_false(cap_http_host_allowed("", ",,"));
}

static void only_the_own_page_may_post_from_a_browser(void **state)
{
    (void)state;
    assert_true(cap_http_same_origin("http://localhost:7860", "localhost:7860"));
    assert_true(cap_http_same_origin("https://board.example", "board.example"));
    assert_false(cap_http_same_origin("http://evil.example", "localhost:7860"));
    assert_false(cap_http_same_origin("http://localhost:1", "localhost:7860"));
    assert_false(cap_http_same_origin("null", "localhost:7860"));
    assert_false(cap_http_same_origin("", "localhost:7860"));
}

static void json_is_told_from_what_a_page_may_post_without_asking(void **state)
{
    (void)state;
    assert_true(cap_http_type_is_json("application/json"));
    assert_true(cap_http_type_is_json("Application/JSON; charset=utf-8"));
    assert_false(cap_http_type_is_json("text/plain"));
    assert_false(cap_http_type_is_json("text/plain; application/json"));
    assert_false(cap_http_type_is_json("application/x-www-form-urlencoded"));
    assert_false(cap_http_type_is_json("application/json-not"));
    assert_false(cap_http_type_is_json(""));
    assert_false(cap_http_type_is_json(NULL));
}

/* ---- in a server ---- */

static void hello(struct cap_http_request *request, void *self)
{
    (void)self;
    if (strcmp(cap_http_method(request), "POST") == 0 && !cap_http_is_json(request))
        cap_http_reply_error(request, 415, "no JSON");
    else
        cap_http_reply(request, 200, "text/plain", "hello", 5);
}

static bool admit(struct cap_http_request *request, void *self)
{
    struct cap_err err = {0};

    (void)self;
    if (cap_http_guard(request, "board.example", "--allowed-hosts", &err))
        return true;
    cap_http_reply_error(request, 403, err.text);
    return false;
}

static const struct cap_http_route routes[] = {{"GET", "/", hello}, {"POST", "/", hello}};

static int ask(int port, const char *request)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    CAP_AUTO_FD int fd = socket(AF_INET, SOCK_STREAM, 0);
    char reply[4096] = "";
    size_t length = 0;
    ssize_t got;

    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), (ssize_t)strlen(request));
    while ((got = read(fd, reply + length, sizeof reply - length - 1)) > 0)
        length += (size_t)got;
    return strncmp(reply, "HTTP/1.", 7) == 0 ? atoi(reply + 9) : -1;
}

#define GET(headers) "GET / HTTP/1.1\r\nConnection: close\r\n" headers "\r\n"
#define POST(headers)                                                                              \
    "POST / HTTP/1.1\r\nConnection: close\r\nContent-Length: 2\r\n" headers "\r\n{}"
#define JSON "Content-Type: application/json\r\n"

static void a_browser_that_was_led_here_is_refused(void **state)
{
    static const struct {
        const char *request;
        int status;
    } rows[] = {
        {GET("Host: localhost\r\n"), 200},
        {GET("Host: board.example\r\nOrigin: http://evil.com\r\n"), 200}, /* not shown to it */
        {GET("Host: evil.com\r\n"), 403},
        {GET("Host: [::1]evil.com\r\n"), 403},
        {GET("Host: localhost\r\nHost: evil.com\r\n"), 403},
        {GET("Host: localhost\r\nhost: localhost\r\n"), 403},
        {"GET / HTTP/1.0\r\n\r\n", 403},
        {POST("Host: localhost\r\n" JSON), 200},
        {POST("Host: localhost\r\n" JSON "Origin: http://localhost\r\n"), 200},
        {POST("Host: localhost\r\n" JSON "Origin: http://evil.com\r\n"), 403},
        {POST("Host: localhost\r\n" JSON "Origin: null\r\n"), 403},
        {POST("Host: localhost\r\n" JSON "Origin: http://localhost\r\nOrigin: http://evil.com\r\n"),
         403},
        {POST("Host: localhost\r\nContent-Type: text/plain\r\n"), 415},
        {POST("Host: localhost\r\n" JSON "Content-Type: text/plain\r\n"), 415},
        {POST("Host: localhost\r\n"), 415},
    };
    const struct cap_http_server_options options = {
        .host = "127.0.0.1", .routes = routes, .route_count = CAP_COUNT_OF(routes), .admit = admit};
    struct cap_err err = {0};
    int port;
    CAP_AUTO(cap_http_server) server = cap_http_server_start(&options, &port, &err);

    (void)state;
    assert_non_null(server);
    for (size_t i = 0; i < CAP_COUNT_OF(rows); i++) {
        int status = ask(port, rows[i].request);

        if (status != rows[i].status)
            fail_msg("%d and not %d to: %s", status, rows[i].status, rows[i].request);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_own_and_allowed_hosts_are_served),
        cmocka_unit_test(only_the_own_page_may_post_from_a_browser),
        cmocka_unit_test(json_is_told_from_what_a_page_may_post_without_asking),
        cmocka_unit_test(a_browser_that_was_led_here_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
