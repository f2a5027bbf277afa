/* One transfer is one request: libcurl's handle and what was read of the reply. It is in
 * client->transfers from add until libcurl has ended it or it is cancelled. libcurl calls
 * take_bytes inside wait() only, which queues events; wait() hands them out one by one. */
#include "http/client.h"

#include <arpa/inet.h>
#include <assert.h>
#include <ctype.h>
#include <curl/curl.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/clock.h"
#include "http/sse.h"
#include "http/url.h"

enum {
    DEADLINE_MS = 600000,
    CONNECT_MS = 10000,
    IDLE_CONNECTIONS_MAX = 256,
    RETRY_PAUSE_MS_MIN = 200,
    RETRY_PAUSE_MS_MAX = 5000,
    HEADER_BYTES_MAX = 1 << 20,
    TYPE_BYTES = 64,
    UNSTREAMED_BYTES_MAX = 64 << 10, /* kept of a stream that has no event yet */
    MARKED_END_MS_MAX = 100,         /* from [DONE] to the end of the reply */
};
static const size_t reply_bytes_default = 64 << 20;
static const size_t event_bytes_default = 4 << 20;

/* Small: a server may send millions of empty events. */
struct queued {
    struct cap_http_event event;
    struct queued *next;
    struct cap_err *failure; /* owned, like the next; the event points to both */
    char *data;              /* data, NUL, name or type, NUL */
};

struct transfer {
    struct cap_http_client *client;
    struct transfer *next;
    uint64_t id;
    char *url; /* for sentences */
    CURL *easy;
    struct curl_slist *headers;
    char error_text[CURL_ERROR_SIZE];
    int64_t deadline_ms;
    struct cap_buf body;
    struct cap_sse sse;
    size_t read_bytes, reply_bytes_max, header_bytes;
    bool whole, head_seen, streamed, has_event, marked_end;
    int64_t marked_ns;                      /* when [DONE] was read */
    struct cap_err failure;                 /* of our own: a limit passed */
    char refused_address[INET6_ADDRSTRLEN]; /* link-local, "" = none */
};

static atomic_bool link_local_allowed;

void cap_http_allow_link_local(bool allowed)
{
    link_local_allowed = allowed;
}

struct cap_http_client {
    CURLM *multi;
    struct transfer *transfers;
    int pending; /* requests whose last event was not handed out */
    struct queued *first, **last;
    struct queued *handed_out; /* what the caller looks at */
};

static void init_curl(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

static int64_t now_ms(void)
{
    return cap_clock_ms(cap_clock_system());
}

/* ---- events ---- */

static struct queued *queue_event(struct transfer *t, enum cap_http_event_kind kind)
{
    struct queued *q = calloc(1, sizeof *q);

    if (!q)
        abort();
    q->event.kind = kind;
    q->event.id = t->id;
    q->event.at_ns = cap_clock_ns(cap_clock_system());
    q->event.name = q->event.type = "";
    q->event.retry_after_s = -1;
    *t->client->last = q;
    t->client->last = &q->next;
    return q;
}

static void free_queued(struct queued *q)
{
    if (!q)
        return;
    free(q->failure);
    free(q->data);
    free(q);
}

/* `words`: the name of an event, or the type of a body; the event's pointer to it is `*out`. */
static void give_data(struct queued *q, const char *data, size_t length, const char *words,
                      const char **out)
{
    size_t more = strlen(words) + 1;

    q->data = malloc(length + 1 + more);
    if (!q->data)
        abort();
    memcpy(q->data, data, length);
    q->data[length] = '\0';
    memcpy(q->data + length + 1, words, more);
    q->event.data = q->data;
    q->event.length = length;
    *out = q->data + length + 1;
}

/* "[DONE]", with blanks around it or without. */
static bool is_end_mark(const char *data)
{
    static const char mark[] = "[DONE]";

    data += strspn(data, " \t");
    return strncmp(data, mark, sizeof mark - 1) == 0 &&
           data[sizeof mark - 1 + strspn(data + sizeof mark - 1, " \t")] == '\0';
}

static void take_sse_event(void *self, const char *name, const char *data, size_t length)
{
    struct transfer *t = self;
    struct queued *q;

    if (!t->has_event)
        cap_buf_clear(&t->body);
    t->has_event = true;
    if (t->marked_end)
        return;
    if (is_end_mark(data)) {
        t->marked_end = true;
        t->marked_ns = cap_clock_ns(cap_clock_system());
        return;
    }
    q = queue_event(t, CAP_HTTP_PIECE);
    give_data(q, data, length, name, &q->event.name);
}

/* True when the last event of the request was among them. */
static bool drop_events_of(struct cap_http_client *client, uint64_t id)
{
    struct queued **at = &client->first;
    bool ended = false;

    while (*at) {
        struct queued *q = *at;

        if (q->event.id != id) {
            at = &q->next;
            continue;
        }
        *at = q->next;
        ended = ended || q->event.kind != CAP_HTTP_PIECE;
        free_queued(q);
    }
    client->last = at;
    return ended;
}

/* ---- what libcurl calls ---- */

static int status_of(CURL *easy)
{
    long status = 0;

    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    return (int)status;
}

static void see_head(struct transfer *t)
{
    const char *type = NULL;
    int status = status_of(t->easy);

    curl_easy_getinfo(t->easy, CURLINFO_CONTENT_TYPE, &type);
    t->head_seen = true;
    t->streamed = !t->whole && status >= 200 && status < 300 && type &&
                  strncasecmp(type, "text/event-stream", 17) == 0;
}

static size_t take_bytes(char *bytes, size_t size, size_t count, void *arg)
{
    struct transfer *t = arg;
    size_t length = size * count;

    if (!t->head_seen)
        see_head(t);
    t->read_bytes += length;
    if (t->read_bytes > t->reply_bytes_max) {
        cap_fail(&t->failure, CAP_RESOURCE_EXHAUSTED, "the reply of %s is larger than %zu KiB",
                 t->url, t->reply_bytes_max >> 10);
        return 0;
    }
    if (!t->streamed || (!t->has_event && t->body.length + length <= UNSTREAMED_BYTES_MAX))
        cap_buf_add(&t->body, bytes, length);
    if (t->streamed)
        return cap_sse_add(&t->sse, bytes, length, &t->failure) ? length : 0;
    return length;
}

/* libcurl limits the headers before a body but keeps all that come after one. */
static size_t take_header(char *bytes, size_t size, size_t count, void *arg)
{
    struct transfer *t = arg;

    (void)bytes;
    t->header_bytes += size * count;
    if (t->header_bytes <= HEADER_BYTES_MAX)
        return size * count;
    if (t->failure.code == CAP_OK)
        cap_fail(&t->failure, CAP_RESOURCE_EXHAUSTED, "the headers of %s are larger than %d KiB",
                 t->url, HEADER_BYTES_MAX >> 10);
    return 0;
}

/* A name may lead to any address; this is the one that would be asked. */
static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *to)
{
    struct transfer *t = arg;
    char address[NI_MAXHOST] = "";

    (void)purpose;
    getnameinfo(&to->addr, to->addrlen, address, sizeof address, NULL, 0, NI_NUMERICHOST);
    address[strcspn(address, "%")] = '\0'; /* fe80::1%eth0 */
    if (link_local_allowed || !cap_address_is_link_local(address))
        return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
    snprintf(t->refused_address, sizeof t->refused_address, "%.45s", address);
    return CURL_SOCKET_BAD;
}

static bool fail_link_local(struct cap_err *err, const char *url, const char *address)
{
    return cap_fail(err, CAP_INVALID_ARGUMENT,
                    "%.200s leads to %s, which is link-local, where clouds keep a machine's "
                    "credentials; the node's setting link_local allows it",
                    url, address);
}

/* ---- setting up a transfer ---- */

/* The address without a query, which may hold a secret. */
static char *printable_url(const char *url)
{
    char *copy = strndup(url, strcspn(url, "?#"));

    if (!copy)
        abort();
    return copy;
}

static bool check_url(const char *url, struct cap_err *err)
{
    CURLU *parsed = curl_url();
    char *scheme = NULL;
    bool ok = parsed && curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK &&
              curl_url_get(parsed, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
              (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);

    curl_free(scheme);
    curl_url_cleanup(parsed);
    return ok || cap_fail(err, CAP_INVALID_ARGUMENT, "\"%.200s\" is not an http or https URL", url);
}

static bool has_header(const struct cap_http_ask *ask, const char *name)
{
    size_t length = strlen(name);

    for (const char *const *h = ask->headers; h && *h; h++)
        if (strncasecmp(*h, name, length) == 0 && (*h)[length] == ':')
            return true;
    return false;
}

static void add_header(struct transfer *t, const char *header)
{
    struct curl_slist *list = curl_slist_append(t->headers, header);

    if (!list)
        abort();
    t->headers = list;
}

static void set_headers(struct transfer *t, const struct cap_http_ask *ask)
{
    if (ask->body && !has_header(ask, "Content-Type"))
        add_header(t, "Content-Type: application/json");
    add_header(t, "Expect:"); /* else a large body waits a second for "100 Continue" */
    for (const char *const *h = ask->headers; h && *h; h++)
        add_header(t, *h);
    curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers);
}

/* no_proxy of the environment, and this machine. */
static void set_no_proxy(CURL *easy)
{
    const char *variable = getenv("no_proxy");
    char list[2048];

    if (!variable)
        variable = getenv("NO_PROXY");
    if (variable && strcmp(variable, "*") == 0)
        snprintf(list, sizeof list, "*");
    else
        snprintf(list, sizeof list, "localhost,127.0.0.1,::1%s%.1900s", variable ? "," : "",
                 variable ? variable : "");
    curl_easy_setopt(easy, CURLOPT_NOPROXY, list);
}

static void set_limits(struct transfer *t, const struct cap_http_ask *ask)
{
    CURL *easy = t->easy;

    t->deadline_ms = ask->deadline_ms ? ask->deadline_ms : DEADLINE_MS;
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)t->deadline_ms);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                     (long)(ask->connect_ms_max ? ask->connect_ms_max : CONNECT_MS));
    if (ask->silence_s_max) {
        curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
        curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, (long)ask->silence_s_max);
    }
}

static void set_request(struct transfer *t, const struct cap_http_ask *ask)
{
    CURL *easy = t->easy;

    curl_easy_setopt(easy, CURLOPT_URL, ask->url);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "moecap/" MOECAP_VERSION);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, t->error_text);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, t);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, t);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_bytes);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, t);
    if (ask->body) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(ask->body));
        curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, ask->body);
    }
    if (ask->method && strcmp(ask->method, "HEAD") == 0)
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    else if (ask->method)
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, ask->method);
    set_headers(t, ask);
    set_no_proxy(easy);
    set_limits(t, ask);
}

static struct transfer *find_transfer(const struct cap_http_client *client, uint64_t id)
{
    struct transfer *t = client->transfers;

    while (t && t->id != id)
        t = t->next;
    return t;
}

bool cap_http_client_add(struct cap_http_client *client, const struct cap_http_ask *ask,
                         struct cap_err *err)
{
    struct transfer *t;

    if (!check_url(ask->url, err))
        return false;
    if (!link_local_allowed && cap_url_is_link_local(ask->url)) /* a proxy would go there */
        return fail_link_local(err, ask->url, "an address");
    if (find_transfer(client, ask->id))
        return cap_fail(err, CAP_ALREADY_EXISTS, "request %llu is in flight already",
                        (unsigned long long)ask->id);
    t = calloc(1, sizeof *t);
    if (!t || !(t->easy = curl_easy_init()))
        abort();
    t->client = client;
    t->id = ask->id;
    t->whole = ask->whole;
    t->url = printable_url(ask->url);
    t->reply_bytes_max = ask->reply_bytes_max ? ask->reply_bytes_max : reply_bytes_default;
    cap_buf_init(&t->body, t->reply_bytes_max);
    cap_sse_init(&t->sse, ask->event_bytes_max ? ask->event_bytes_max : event_bytes_default,
                 take_sse_event, t);
    set_request(t, ask);
    t->next = client->transfers;
    client->transfers = t;
    client->pending++;
    curl_multi_add_handle(client->multi, t->easy);
    return true;
}

static void free_transfer(struct transfer *t)
{
    struct transfer **at = &t->client->transfers;

    while (*at != t)
        at = &(*at)->next;
    *at = t->next;
    curl_multi_remove_handle(t->client->multi, t->easy);
    curl_easy_cleanup(t->easy);
    curl_slist_free_all(t->headers);
    cap_buf_done(&t->body);
    cap_sse_done(&t->sse);
    free(t->url);
    free(t);
}

/* ---- how it ended ---- */

/* The system's word ("connection refused"), where it has one: libcurl's sentence repeats the
 * address and is longer than what it says. */
static const char *why_not_connected(const struct transfer *t, CURLcode code, const char *reason,
                                     char out[CURL_ERROR_SIZE])
{
    long number = 0;

    if (code == CURLE_COULDNT_RESOLVE_HOST)
        return "its host name is unknown";
    if (code == CURLE_COULDNT_RESOLVE_PROXY)
        return "the proxy's host name is unknown";
    curl_easy_getinfo(t->easy, CURLINFO_OS_ERRNO, &number);
    if (number == 0)
        return reason;
    snprintf(out, CURL_ERROR_SIZE, "%s", strerror((int)number));
    *out = (char)tolower((unsigned char)*out);
    return out;
}

/* Length of "http://host:port": a connection that fails has nothing to do with the path. */
static int origin_length(const char *url)
{
    const char *host = strstr(url, "://");

    host = host ? host + 3 : url;
    return (int)(host - url) + (int)strcspn(host, "/");
}

static void explain(const struct transfer *t, CURLcode code, struct cap_err *err)
{
    char words[CURL_ERROR_SIZE];
    const char *reason = *t->error_text ? t->error_text : curl_easy_strerror(code);

    if (*t->refused_address && code == CURLE_COULDNT_CONNECT) {
        fail_link_local(err, t->url, t->refused_address);
        return;
    }
    if (t->failure.code != CAP_OK) {
        *err = t->failure;
        return;
    }
    switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
        cap_fail(err, CAP_DEADLINE_EXCEEDED, "%s did not answer in time: %s", t->url, reason);
        break;
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        cap_fail(err, CAP_UNAVAILABLE, "could not connect to %.*s (%s)", origin_length(t->url),
                 t->url, why_not_connected(t, code, reason, words));
        break;
    case CURLE_SSL_CONNECT_ERROR:
        if (strstr(reason, "wrong version number") || strstr(reason, "packet length too long"))
            cap_fail(err, CAP_FAILED_PRECONDITION, "%.*s does not speak TLS; try http://",
                     origin_length(t->url), t->url);
        else
            cap_fail(err, CAP_FAILED_PRECONDITION,
                     "no TLS connection to %.*s: %s; if it does not speak TLS, try http://",
                     origin_length(t->url), t->url, reason);
        break;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
        cap_fail(err, CAP_FAILED_PRECONDITION, "cannot trust %s: %s", t->url, reason);
        break;
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
        cap_fail(err, CAP_FAILED_PRECONDITION, "%s does not speak HTTP: %s", t->url, reason);
        break;
    default:
        cap_fail(err, CAP_UNAVAILABLE, "the connection to %s broke: %s", t->url, reason);
    }
}

static void queue_failure(struct transfer *t, CURLcode code)
{
    struct queued *q = queue_event(t, CAP_HTTP_FAILED);

    q->event.status = status_of(t->easy);
    q->event.streamed = t->streamed;
    q->failure = calloc(1, sizeof *q->failure);
    if (!q->failure)
        abort();
    explain(t, code, q->failure);
    q->event.failure = q->failure;
}

/* "text/html" of "text/html; charset=utf-8". */
static void read_type(CURL *easy, char out[TYPE_BYTES])
{
    const char *type = NULL;

    curl_easy_getinfo(easy, CURLINFO_CONTENT_TYPE, &type);
    snprintf(out, TYPE_BYTES, "%.*s", type ? (int)strcspn(type, "; \t") : 0, type ? type : "");
    for (char *at = out; *at; at++)
        if (!isalnum((unsigned char)*at) && !strchr("/+-.", *at))
            *at = '?';
}

static void queue_done(struct transfer *t)
{
    curl_off_t retry_after = 0;
    char type[TYPE_BYTES];
    struct queued *q;

    if (!t->head_seen) /* no body */
        see_head(t);
    if (t->streamed)
        cap_sse_end(&t->sse); /* may queue a last piece */
    q = queue_event(t, CAP_HTTP_DONE);
    q->event.status = status_of(t->easy);
    q->event.streamed = t->streamed;
    q->event.marked_end = t->marked_end;
    if (t->marked_end)
        q->event.at_ns = t->marked_ns;
    if (curl_easy_getinfo(t->easy, CURLINFO_RETRY_AFTER, &retry_after) == CURLE_OK &&
        retry_after > 0)
        q->event.retry_after_s = (int)retry_after;
    read_type(t->easy, type);
    give_data(q, t->body.data, t->body.length, type, &q->event.type);
}

static void collect_ended(struct cap_http_client *client)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(client->multi, &left)) != NULL) {
        struct transfer *t = NULL;
        CURLcode code = message->data.result;

        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &t);
        if (code == CURLE_OK || t->marked_end)
            queue_done(t);
        else
            queue_failure(t, code);
        free_transfer(t);
    }
}

/* A stream is whole at [DONE]. A server that does not end its reply then (it keeps the connection
 * open, or sends on) is not waited for; the pause lets the others' connections be used again.
 * Returns how long the next one may still take, at most `left_ms`. */
static int64_t end_marked(struct cap_http_client *client, int64_t left_ms)
{
    struct transfer *next;

    for (struct transfer *t = client->transfers; t; t = next) {
        int64_t waited_ms = (cap_clock_ns(cap_clock_system()) - t->marked_ns) / 1000000;

        next = t->next;
        if (!t->marked_end)
            continue;
        if (waited_ms >= MARKED_END_MS_MAX) {
            queue_done(t);
            free_transfer(t);
        } else if (MARKED_END_MS_MAX - waited_ms < left_ms)
            left_ms = MARKED_END_MS_MAX - waited_ms;
    }
    return left_ms;
}

/* ---- the client ---- */

struct cap_http_client *cap_http_client_new(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct cap_http_client *client = calloc(1, sizeof *client);

    pthread_once(&once, init_curl);
    if (!client || !(client->multi = curl_multi_init()))
        abort();
    client->last = &client->first;
    curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, (long)IDLE_CONNECTIONS_MAX);
    return client;
}

void cap_http_client_free(struct cap_http_client *client)
{
    if (!client)
        return;
    while (client->transfers)
        free_transfer(client->transfers);
    while (client->first)
        drop_events_of(client, client->first->event.id);
    free_queued(client->handed_out);
    curl_multi_cleanup(client->multi);
    free(client);
}

void cap_http_client_cancel(struct cap_http_client *client, uint64_t id)
{
    struct transfer *t = find_transfer(client, id);

    if (t)
        free_transfer(t);
    if (drop_events_of(client, id) || t)
        client->pending--;
}

int cap_http_client_pending(const struct cap_http_client *client)
{
    return client->pending;
}

static bool hand_out(struct cap_http_client *client, struct cap_http_event *out_event)
{
    struct queued *q = client->first;

    free_queued(client->handed_out);
    client->handed_out = q;
    if (!q)
        return false;
    client->first = q->next;
    if (!client->first)
        client->last = &client->first;
    *out_event = q->event;
    client->pending -= q->event.kind != CAP_HTTP_PIECE;
    return true;
}

bool cap_http_client_wait(struct cap_http_client *client, int wait_ms,
                          struct cap_http_event *out_event)
{
    int64_t until = now_ms() + wait_ms;
    int running;

    if (hand_out(client, out_event))
        return true;
    while (client->transfers) {
        int64_t left;

        curl_multi_perform(client->multi, &running);
        collect_ended(client);
        left = end_marked(client, until - now_ms());
        if (hand_out(client, out_event))
            return true;
        if (left <= 0)
            return false;
        curl_multi_poll(client->multi, NULL, 0, (int)left, NULL);
    }
    return false;
}

/* ---- one blocking request ---- */

static bool try_once(const struct cap_http_ask *ask, struct cap_arena *arena,
                     struct cap_http_reply *out_reply, struct cap_err *err)
{
    CAP_AUTO(cap_http_client) client = cap_http_client_new();
    struct cap_http_event event;
    char *body, *type;

    if (!cap_http_client_add(client, ask, err))
        return false;
    while (!cap_http_client_wait(client, 1000, &event))
        assert(client->pending > 0);
    if (event.kind == CAP_HTTP_FAILED) {
        *err = *event.failure;
        return false;
    }
    body = cap_arena_alloc(arena, event.length + 1);
    type = cap_arena_strdup(arena, event.type);
    if (!body || !type)
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "a reply of %zu bytes does not fit in memory",
                        event.length);
    memcpy(body, event.data, event.length);
    *out_reply =
        (struct cap_http_reply){event.status, body, event.length, type, event.retry_after_s};
    return true;
}

/* How long to wait before another try; negative: this outcome is final. */
static int64_t pause_before_retry(bool ok, const struct cap_http_reply *reply,
                                  const struct cap_err *err, int64_t pause_ms)
{
    if (!ok)
        return err->code == CAP_UNAVAILABLE ? pause_ms : -1;
    if (reply->status != 429 && reply->status != 503)
        return -1;
    return reply->retry_after_s >= 0 ? (int64_t)reply->retry_after_s * 1000 : pause_ms;
}

bool cap_http_fetch(const struct cap_http_ask *ask, struct cap_arena *arena,
                    struct cap_http_reply *out_reply, struct cap_err *err)
{
    int64_t end_ms = now_ms() + (ask->deadline_ms ? ask->deadline_ms : DEADLINE_MS);
    int64_t pause_ms = RETRY_PAUSE_MS_MIN;
    struct cap_http_ask again = *ask;

    again.whole = true;
    for (int tries = 1;; tries++) {
        struct cap_http_reply reply = {0};
        int64_t left = end_ms - now_ms(), wait;
        bool ok;

        again.deadline_ms = left > 1 ? left : 1;
        ok = try_once(&again, arena, &reply, err);
        wait = pause_before_retry(ok, &reply, err, pause_ms);
        if (wait < 0 || tries >= ask->tries_max || now_ms() + wait >= end_ms) {
            if (ok)
                *out_reply = reply;
            return ok;
        }
        cap_err_clear(err);
        cap_sleep_ms(wait);
        pause_ms = pause_ms * 2 < RETRY_PAUSE_MS_MAX ? pause_ms * 2 : RETRY_PAUSE_MS_MAX;
    }
}
