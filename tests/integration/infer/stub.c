/* A scripted HTTP server: a test says what it answers to which request, piece by piece and with pauses,
 * and reads afterwards what it was asked. */
#include "stub.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/clock.h"

enum { PATHS_MAX = 16, REPLIES_MAX = 64, ASKED_MAX = 512, HEAD_BYTES_MAX = 16384 };

struct path {
    const char *name;
    struct stub_reply replies[REPLIES_MAX];
    int reply_count, used;
};

struct asked {
    char *path, *headers, *body;
};

struct stub {
    int socket;
    char url[64];
    pthread_t thread;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    bool ending;
    int connections, abandoned;
    struct path paths[PATHS_MAX];
    int path_count;
    struct asked asked[ASKED_MAX];
    int asked_count;
};

struct connection {
    struct stub *stub;
    int socket;
};

/* ---- one request ---- */

static bool read_some(int socket, char *buffer, size_t room, size_t *length)
{
    ssize_t got = read(socket, buffer + *length, room - *length - 1);

    if (got <= 0)
        return false;
    *length += (size_t)got;
    buffer[*length] = '\0';
    return true;
}

static size_t content_length(const char *head)
{
    const char *at = strcasestr(head, "\r\nContent-Length:");

    return at ? (size_t)strtoul(at + strlen("\r\nContent-Length:"), NULL, 10) : 0;
}

/* Head and body as one text; NULL when the client left. *out_body points behind the head. */
static char *read_request(int socket, char **out_body)
{
    char *text = calloc(1, HEAD_BYTES_MAX);
    size_t length = 0, whole;
    char *end;

    while (!(end = strstr(text, "\r\n\r\n")))
        if (length + 1 >= HEAD_BYTES_MAX || !read_some(socket, text, HEAD_BYTES_MAX, &length)) {
            free(text);
            return NULL;
        }
    whole = (size_t)(end - text) + 4 + content_length(text);
    text = realloc(text, whole + HEAD_BYTES_MAX);
    assert(text);
    while (length < whole)
        if (!read_some(socket, text, whole + HEAD_BYTES_MAX, &length)) {
            free(text);
            return NULL;
        }
    *out_body = strstr(text, "\r\n\r\n") + 4;
    return text;
}

static void keep_request(struct stub *stub, const char *path, const char *text, const char *body)
{
    pthread_mutex_lock(&stub->lock);
    assert(stub->asked_count < ASKED_MAX);
    stub->asked[stub->asked_count++] =
        (struct asked){strdup(path), strndup(text, (size_t)(body - text)), strdup(body)};
    pthread_mutex_unlock(&stub->lock);
}

static struct path *find_path(struct stub *stub, const char *name)
{
    for (int i = 0; i < stub->path_count; i++)
        if (strcmp(stub->paths[i].name, name) == 0)
            return &stub->paths[i];
    return NULL;
}

static struct stub_reply next_reply(struct stub *stub, const char *name)
{
    struct stub_reply reply = {.status = 404, .body = "{\"detail\":\"Not Found\"}"};
    struct path *path;

    pthread_mutex_lock(&stub->lock);
    path = find_path(stub, name);
    if (path) {
        reply = path->replies[path->used];
        path->used += path->used + 1 < path->reply_count;
    }
    pthread_mutex_unlock(&stub->lock);
    return reply;
}

/* ---- the reply ---- */

static bool send_text(int socket, const char *text, size_t length)
{
    while (length > 0) {
        ssize_t sent = send(socket, text, length, MSG_NOSIGNAL);

        if (sent <= 0)
            return false;
        text += sent;
        length -= (size_t)sent;
    }
    return true;
}

/* False when the client has gone meanwhile. */
static bool pause_for(int socket, int ms)
{
    struct pollfd fd = {.fd = socket, .events = POLLIN | POLLRDHUP};

    return poll(&fd, 1, ms) == 0;
}

static bool send_head(int socket, const struct stub_reply *reply)
{
    const char *type = reply->pieces ? "text/event-stream; charset=utf-8" : "application/json";
    char length[64] = "", head[2048];
    int bytes;

    if (!reply->pieces)
        snprintf(length, sizeof length, "Content-Length: %zu\r\n", strlen(reply->body));
    bytes = snprintf(head, sizeof head,
                     "HTTP/1.1 %d X\r\nContent-Type: %s\r\n%s%sConnection: close\r\n\r\n",
                     reply->status ? reply->status : 200, reply->type ? reply->type : type, length,
                     reply->extra ? reply->extra : "");
    return send_text(socket, head, (size_t)bytes);
}

static bool send_reply(int socket, const struct stub_reply *reply)
{
    if (reply->silent_ms && !pause_for(socket, reply->silent_ms))
        return false;
    if (!send_head(socket, reply))
        return false;
    if (!reply->pieces)
        return send_text(socket, reply->body, strlen(reply->body));
    for (const char *const *piece = reply->pieces; *piece; piece++)
        if (!pause_for(socket, reply->pause_ms) || !send_text(socket, *piece, strlen(*piece)))
            return false;
    return true;
}

static void end_connection(int socket, bool broken)
{
    struct linger at_once = {.l_onoff = 1};

    if (broken)
        setsockopt(socket, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(socket);
}

static void answer(struct stub *stub, int socket, char *text, char *body)
{
    char method[16] = "", path[256] = "";
    struct stub_reply reply;
    bool complete;

    assert(sscanf(text, "%15s %255s", method, path) == 2);
    keep_request(stub, path, text, body);
    reply = next_reply(stub, path);
    complete = send_reply(socket, &reply);
    pthread_mutex_lock(&stub->lock);
    stub->abandoned += !complete;
    pthread_mutex_unlock(&stub->lock);
    end_connection(socket, reply.broken);
}

static void *run_connection(void *arg)
{
    struct connection *connection = arg;
    struct stub *stub = connection->stub;
    char *body = NULL, *text = read_request(connection->socket, &body);

    if (text)
        answer(stub, connection->socket, text, body);
    else
        close(connection->socket);
    free(text);
    free(connection);
    pthread_mutex_lock(&stub->lock);
    stub->connections--;
    pthread_cond_broadcast(&stub->changed);
    pthread_mutex_unlock(&stub->lock);
    return NULL;
}

/* ---- the server ---- */

static bool is_ending(struct stub *stub)
{
    bool ending;

    pthread_mutex_lock(&stub->lock);
    ending = stub->ending;
    pthread_mutex_unlock(&stub->lock);
    return ending;
}

static void accept_one(struct stub *stub)
{
    struct connection *connection;
    pthread_t thread;
    int socket = accept(stub->socket, NULL, NULL);

    if (socket < 0)
        return;
    connection = calloc(1, sizeof *connection);
    assert(connection);
    *connection = (struct connection){stub, socket};
    pthread_mutex_lock(&stub->lock);
    stub->connections++;
    pthread_mutex_unlock(&stub->lock);
    assert(pthread_create(&thread, NULL, run_connection, connection) == 0);
    pthread_detach(thread);
}

static void *run_stub(void *arg)
{
    struct stub *stub = arg;

    while (!is_ending(stub)) {
        struct pollfd fd = {.fd = stub->socket, .events = POLLIN};

        if (poll(&fd, 1, 20) > 0)
            accept_one(stub);
    }
    close(stub->socket);
    return NULL;
}

struct stub *stub_start(void)
{
    struct stub *stub = calloc(1, sizeof *stub);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;

    assert(stub);
    pthread_mutex_init(&stub->lock, NULL);
    pthread_cond_init(&stub->changed, NULL);
    stub->socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert(stub->socket >= 0);
    assert(bind(stub->socket, (struct sockaddr *)&address, sizeof address) == 0);
    assert(listen(stub->socket, 64) == 0);
    assert(getsockname(stub->socket, (struct sockaddr *)&address, &length) == 0);
    snprintf(stub->url, sizeof stub->url, "http://127.0.0.1:%d", ntohs(address.sin_port));
    assert(pthread_create(&stub->thread, NULL, run_stub, stub) == 0);
    return stub;
}

void stub_hang_up(struct stub *stub)
{
    if (is_ending(stub))
        return;
    pthread_mutex_lock(&stub->lock);
    stub->ending = true;
    pthread_mutex_unlock(&stub->lock);
    pthread_join(stub->thread, NULL);
}

void stub_stop(struct stub *stub)
{
    stub_hang_up(stub);
    pthread_mutex_lock(&stub->lock);
    while (stub->connections > 0)
        pthread_cond_wait(&stub->changed, &stub->lock);
    pthread_mutex_unlock(&stub->lock);
    for (int i = 0; i < stub->asked_count; i++) {
        free(stub->asked[i].path);
        free(stub->asked[i].headers);
        free(stub->asked[i].body);
    }
    pthread_mutex_destroy(&stub->lock);
    pthread_cond_destroy(&stub->changed);
    free(stub);
}

const char *stub_url(const struct stub *stub)
{
    return stub->url;
}

void stub_reply(struct stub *stub, const char *name, const struct stub_reply *reply)
{
    struct path *path;

    pthread_mutex_lock(&stub->lock);
    path = find_path(stub, name);
    if (!path) {
        assert(stub->path_count < PATHS_MAX);
        path = &stub->paths[stub->path_count++];
        path->name = name;
    }
    assert(path->reply_count < REPLIES_MAX);
    path->replies[path->reply_count++] = *reply;
    pthread_mutex_unlock(&stub->lock);
}

/* ---- what it was asked ---- */

static struct asked *find_asked(struct stub *stub, const char *path, int nth)
{
    for (int i = 0; i < stub->asked_count; i++)
        if (strcmp(stub->asked[i].path, path) == 0 && nth-- == 0)
            return &stub->asked[i];
    return NULL;
}

int stub_count(struct stub *stub, const char *path)
{
    int count = 0;

    pthread_mutex_lock(&stub->lock);
    while (find_asked(stub, path, count))
        count++;
    pthread_mutex_unlock(&stub->lock);
    return count;
}

const char *stub_asked(struct stub *stub, const char *path, int nth)
{
    struct asked *asked;

    pthread_mutex_lock(&stub->lock);
    asked = find_asked(stub, path, nth);
    pthread_mutex_unlock(&stub->lock);
    return asked ? asked->body : "";
}

const char *stub_headers(struct stub *stub, const char *path, int nth)
{
    struct asked *asked;

    pthread_mutex_lock(&stub->lock);
    asked = find_asked(stub, path, nth);
    pthread_mutex_unlock(&stub->lock);
    return asked ? asked->headers : "";
}

int stub_abandoned(struct stub *stub)
{
    int abandoned;

    pthread_mutex_lock(&stub->lock);
    abandoned = stub->abandoned;
    pthread_mutex_unlock(&stub->lock);
    return abandoned;
}
