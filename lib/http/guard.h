/* guard.h — keeping foreign pages away from a server of ours that a browser can reach.
 *
 * A server on loopback is open to every page that this machine's browsers show, in two ways. A name
 * of the page's site may be made to lead to 127.0.0.1 (DNS rebinding): then the Host header has
 * that name, so only names that are known are served. And a page may post to us without asking, as
 * a form or plain text: then Origin is the page's, and the type is not JSON, for which the browser
 * would have to ask first. Programs send no Origin and are not concerned by it.
 *
 *     static bool admit(struct cap_http_request *request, void *self)
 *     {
 *         if (!cap_http_guard(request, names, "--allowed-hosts", &err))
 *             ... answer with 403, return false ...
 */
#ifndef CAP_HTTP_GUARD_H
#define CAP_HTTP_GUARD_H

#include "http/server.h"

/* False, with a sentence, for a request that a foreign name or a foreign page may have led here.
 * `allowed_hosts`: names besides this machine's own (localhost, 127.0.0.1, [::1]), separated by
 * commas; `setting` is where they come from, for the sentence. Only a POST is asked for its Origin:
 * nothing else changes anything, and what it answers a browser does not show to another site's
 * page. */
bool cap_http_guard(const struct cap_http_request *request, const char *allowed_hosts,
                    const char *setting, struct cap_err *err);
/* True when the body says that it is application/json, with parameters or without. */
bool cap_http_is_json(const struct cap_http_request *request);

/* ---- its parts, pure ---- */

/* Host is one of the names, with a port or without, and nothing after that. */
bool cap_http_host_allowed(const char *host, const char *allowed_hosts);
/* Origin is the page that is served under this Host. */
bool cap_http_same_origin(const char *origin, const char *host);
bool cap_http_type_is_json(const char *type);

#endif
