/* Who is connected, since when in which phase; and a thread that ends what takes too long. MHD's
 * own limit is on silence, so that a client which sends a byte now and then would keep its thread
 * for ever; here each phase as a whole has an end. A socket is only shut down here: MHD sees that,
 * ends the request and closes. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/wait.h"
#include "http/server_inside.h"
#include "log/log.h"

enum { LOOK_MS = 200, ERROR_BYTES_MAX = 4096 };

static int64_t limit_ms(const struct cap_http_server_options *options, enum http_phase phase)
{
    const int seconds[] = {
        [HTTP_HEAD] = options->head_s_max,
        [HTTP_BODY] = options->body_s_max,
        [HTTP_REPLY] = options->reply_s_max,
        [HTTP_IDLE] = options->idle_s_max,
        [HTTP_ENDED] = 0,
    };

    return seconds[phase] * (int64_t)1000;
}

static void enter_locked(struct http_connections *all, struct http_connection *connection,
                         enum http_phase phase)
{
    int64_t limit = limit_ms(all->options, phase);

    connection->phase = phase;
    connection->until_ms = limit > 0 ? cap_clock_ms(cap_clock_system()) + limit : INT64_MAX;
}

/* What does not fit the socket's buffer is lost, and with it a client that would not read. */
static void write_error(const struct http_connections *all, int fd, int status, const char *message)
{
    CAP_AUTO_BUF(body, ERROR_BYTES_MAX);
    CAP_AUTO_BUF(reply, 2 * ERROR_BYTES_MAX);

    http_error_body(all->options, status, message, &body);
    cap_buf_printf(&reply,
                   "HTTP/1.1 %d %s\r\nConnection: close\r\nContent-Type: application/json\r\n"
                   "Content-Length: %zu\r\n\r\n%s",
                   status, MHD_get_reason_phrase_for((unsigned)status), body.length, body.data);
    if (send(fd, reply.data, reply.length, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        cap_log(DEBUG, "refusal_lost", "status=%d", status);
}

static void end_locked(struct http_connections *all, struct http_connection *connection)
{
    bool asking = connection->phase == HTTP_HEAD || connection->phase == HTTP_BODY;

    cap_log(DEBUG, "connection_too_slow", "phase=%d", connection->phase);
    if (asking)
        write_error(all, connection->fd, 408, "the request did not arrive in time");
    enter_locked(all, connection, HTTP_ENDED);
    shutdown(connection->fd, SHUT_RDWR);
}

static void *watch(void *arg)
{
    struct http_connections *all = arg;

    pthread_mutex_lock(&all->lock);
    while (!all->ending) {
        struct timespec end = cap_wait_end(LOOK_MS);
        int64_t now_ms = cap_clock_ms(cap_clock_system());

        for (struct http_connection *c = all->first; c; c = c->next)
            if (c->until_ms <= now_ms)
                end_locked(all, c);
        cap_wait_until(&all->ending_now, &all->lock, &end);
    }
    pthread_mutex_unlock(&all->lock);
    return NULL;
}

void http_connections_init(struct http_connections *all,
                           const struct cap_http_server_options *options)
{
    *all = (struct http_connections){.options = options};
    pthread_mutex_init(&all->lock, NULL);
    pthread_cond_init(&all->ending_now, NULL);
    if (pthread_create(&all->thread, NULL, watch, all) != 0)
        abort();
}

void http_connections_done(struct http_connections *all)
{
    pthread_mutex_lock(&all->lock);
    all->ending = true;
    pthread_cond_signal(&all->ending_now);
    pthread_mutex_unlock(&all->lock);
    pthread_join(all->thread, NULL);
    pthread_cond_destroy(&all->ending_now);
    pthread_mutex_destroy(&all->lock);
}

struct http_connection *http_connection_add(struct http_connections *all, int fd)
{
    struct http_connection *connection = calloc(1, sizeof *connection);

    if (!connection)
        abort();
    pthread_mutex_lock(&all->lock);
    connection->fd = fd;
    connection->next = all->first;
    if (all->first)
        all->first->previous = connection;
    all->first = connection;
    enter_locked(all, connection, HTTP_HEAD);
    pthread_mutex_unlock(&all->lock);
    return connection;
}

void http_connection_remove(struct http_connections *all, struct http_connection *connection)
{
    pthread_mutex_lock(&all->lock);
    if (connection->previous)
        connection->previous->next = connection->next;
    else
        all->first = connection->next;
    if (connection->next)
        connection->next->previous = connection->previous;
    pthread_mutex_unlock(&all->lock);
    free(connection);
}

void http_connection_enter(struct http_connections *all, struct http_connection *connection,
                           enum http_phase phase)
{
    pthread_mutex_lock(&all->lock);
    if (connection->phase != HTTP_ENDED)
        enter_locked(all, connection, phase);
    pthread_mutex_unlock(&all->lock);
}

void http_connection_refuse(struct http_connections *all, struct http_connection *connection,
                            int status, const char *message)
{
    pthread_mutex_lock(&all->lock);
    write_error(all, connection->fd, status, message);
    enter_locked(all, connection, HTTP_ENDED);
    shutdown(connection->fd, SHUT_RDWR);
    pthread_mutex_unlock(&all->lock);
}
