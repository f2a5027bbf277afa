/* Who is connected, since when in which phase; what has to go, and when.
 *
 * Too slow: MHD's own limit is on silence, so that a client which sends a byte now and then would
 * keep its thread for ever; here each phase as a whole has an end, which a thread keeps.
 *
 * Too many: a new client always gets a place while another one holds its own for nothing. When all
 * connections_max places are held, the connection that has waited longest between two requests
 * goes, then the one whose head, body or reading has taken longest. Running handlers and streams
 * stay; they have a limit of their own (streams_max), which leaves places for short requests. The
 * same holds among the connections of one address, when there are connections_per_peer_max; this
 * machine is not counted: one of its programs must not keep out the others. Where none can go, the
 * new one is answered with 503 or 429.
 *
 * One lock guards all of it; nothing blocks under it. A socket is only shut down here: MHD sees
 * that, ends the request, and closes. */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
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

/* The only writer of a phase, and of what it holds. */
static void enter_locked(struct http_connections *all, struct http_connection *connection,
                         enum http_phase phase)
{
    int64_t limit = limit_ms(all->options, phase);

    all->streams += (phase == HTTP_STREAM) - (connection->phase == HTTP_STREAM);
    all->places -= phase == HTTP_ENDED && connection->phase != HTTP_ENDED;
    connection->phase = phase;
    connection->since_ms = cap_clock_ms(cap_clock_system());
    connection->until_ms = limit > 0 ? connection->since_ms + limit : INT64_MAX;
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

/* ---- too many ---- */

/* This machine's addresses give nothing. */
static void read_peer(const struct sockaddr *address, uint8_t out[HTTP_PEER_BYTES])
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;

    if (!address)
        return;
    if (address->sa_family == AF_INET && ntohl(v4->sin_addr.s_addr) >> 24 != IN_LOOPBACKNET)
        memcpy(out, &v4->sin_addr, sizeof v4->sin_addr);
    else if (address->sa_family == AF_INET6 && !IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr))
        memcpy(out, &v6->sin6_addr, sizeof v6->sin6_addr);
}

static bool is_same_peer(const struct http_connection *a, const struct http_connection *b)
{
    return memcmp(a->peer, b->peer, HTTP_PEER_BYTES) == 0;
}

/* The lowest goes first; negative ones stay. */
static int order_of_leaving(enum http_phase phase)
{
    static const int orders[] = {
        [HTTP_IDLE] = 0,    [HTTP_HEAD] = 1,    [HTTP_BODY] = 1,   [HTTP_REPLY] = 1,
        [HTTP_HANDLE] = -1, [HTTP_STREAM] = -1, [HTTP_ENDED] = -1,
    };

    return orders[phase];
}

/* The one besides `but` that should go, of the same peer or of all; NULL when all do something. */
static struct http_connection *find_idlest_locked(const struct http_connections *all,
                                                  const struct http_connection *but, bool of_peer)
{
    struct http_connection *found = NULL;

    for (struct http_connection *c = all->first; c; c = c->next) {
        int order = order_of_leaving(c->phase);

        if (order < 0 || c == but || (of_peer && !is_same_peer(c, but)))
            continue;
        if (!found || order < order_of_leaving(found->phase) ||
            (order == order_of_leaving(found->phase) && c->since_ms <= found->since_ms))
            found = c;
    }
    return found;
}

static int count_peer_locked(const struct http_connections *all,
                             const struct http_connection *connection)
{
    static const uint8_t this_machine[HTTP_PEER_BYTES];
    int count = 0;

    if (memcmp(connection->peer, this_machine, HTTP_PEER_BYTES) == 0)
        return 0;
    for (const struct http_connection *c = all->first; c; c = c->next)
        count += c->phase != HTTP_ENDED && is_same_peer(c, connection);
    return count;
}

static void refuse_locked(struct http_connections *all, struct http_connection *connection,
                          int status, const char *message)
{
    write_error(all, connection->fd, status, message);
    enter_locked(all, connection, HTTP_ENDED);
    shutdown(connection->fd, SHUT_RDWR);
}

/* Another one goes, or the new one. */
static void make_room_locked(struct http_connections *all, struct http_connection *connection,
                             bool of_peer)
{
    struct http_connection *idlest = find_idlest_locked(all, connection, of_peer);

    if (idlest)
        end_locked(all, idlest);
    else if (of_peer)
        refuse_locked(all, connection, 429, "too many connections from this address");
    else
        refuse_locked(all, connection, 503, "all connections are busy; try again");
}

struct http_connection *http_connection_add(struct http_connections *all, int fd,
                                            const struct sockaddr *address)
{
    struct http_connection *connection = calloc(1, sizeof *connection);

    if (!connection)
        abort();
    pthread_mutex_lock(&all->lock);
    connection->fd = fd;
    read_peer(address, connection->peer);
    connection->next = all->first;
    if (all->first)
        all->first->previous = connection;
    all->first = connection;
    all->places++;
    enter_locked(all, connection, HTTP_HEAD);
    if (count_peer_locked(all, connection) > all->options->connections_per_peer_max)
        make_room_locked(all, connection, true);
    if (all->places > all->options->connections_max)
        make_room_locked(all, connection, false);
    pthread_mutex_unlock(&all->lock);
    return connection;
}

bool http_connection_stream(struct http_connections *all, struct http_connection *connection)
{
    bool free;

    pthread_mutex_lock(&all->lock);
    free = all->streams < all->options->streams_max;
    if (free && connection->phase != HTTP_ENDED)
        enter_locked(all, connection, HTTP_STREAM);
    pthread_mutex_unlock(&all->lock);
    return free;
}

void http_connection_remove(struct http_connections *all, struct http_connection *connection)
{
    pthread_mutex_lock(&all->lock);
    enter_locked(all, connection, HTTP_ENDED);
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
    refuse_locked(all, connection, status, message);
    pthread_mutex_unlock(&all->lock);
}
