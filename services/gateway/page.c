/* The page: files that are part of the program, compressed where the browser takes it, kept by the
 * browser for ever where the name holds a digest. */
#include <stdio.h>
#include <string.h>

#include "page.h"
#include "service.h"

/* The page's own addresses: its router shows the view. One that ends in "/" stands for all below
 * it. */
static const char *const views[] = {"/submit", "/queue",        "/nodes",  "/estimate",
                                    "/runs/",  "/evaluations/", "/tasks/", "/models/"};

static const struct gate_page_file *find_file(const char *path)
{
    for (size_t i = 0; i < gate_page_file_count; i++)
        if (strcmp(path, gate_page_files[i].path) == 0)
            return &gate_page_files[i];
    return NULL;
}

const struct gate_page_file *gate_page_find(const char *path)
{
    for (size_t i = 0; i < CAP_COUNT_OF(views); i++) {
        size_t length = strlen(views[i]);
        bool is_folder = views[i][length - 1] == '/';

        if (strncmp(path, views[i], length) == 0 && (is_folder || !path[length]))
            return find_file("/");
    }
    return find_file(path);
}

/* A browser with a wrong address gets the page, whose router says so beside its menu. */
static bool wants_page(struct cap_http_request *http)
{
    const char *accept = cap_http_header(http, "Accept");

    return accept && strstr(accept, "text/html") &&
           strncmp(cap_http_path(http), "/api/", strlen("/api/")) != 0;
}

static void serve_absent(struct cap_http_request *http)
{
    const struct gate_page_file *file = find_file("/");

    cap_http_reply_header(http, "Cache-Control", "no-store");
    cap_http_reply(http, 404, file->type, file->data, file->length);
}

static void serve(struct cap_http_request *http, const struct gate_page_file *file)
{
    bool packed = file->gzip && gate_takes_gzip(cap_http_header(http, "Accept-Encoding"));
    char etag[64];

    /* Weak: the bytes differ by encoding, what they mean does not. */
    snprintf(etag, sizeof etag, "W/%s", file->etag);
    cap_http_reply_header(http, "Cache-Control", file->caching);
    cap_http_reply_header(http, "ETag", etag);
    cap_http_reply_header(http, "Vary", "Accept-Encoding");
    if (gate_etag_known(cap_http_header(http, "If-None-Match"), file->etag)) {
        cap_http_reply(http, 304, file->type, "", 0);
        return;
    }
    if (packed)
        cap_http_reply_header(http, "Content-Encoding", "gzip");
    cap_http_reply(http, 200, file->type, packed ? file->gzip : file->data,
                   packed ? file->gzip_length : file->length);
}

void gate_page(struct cap_http_request *http, void *self)
{
    const char *path = cap_http_path(http);
    const struct gate_page_file *file = gate_page_find(path);
    struct cap_err err = {0};

    (void)self;
    if (file) {
        serve(http, file);
        return;
    }
    if (wants_page(http)) {
        serve_absent(http);
        return;
    }
    cap_fail(&err, CAP_NOT_FOUND, "page not found: \"%.100s\"", path);
    gate_reply_error(http, &err);
}
