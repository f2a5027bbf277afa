/* url.h — whether text is the base of addresses that a node may ask. libcurl reads it, as it does
 * when the node asks, so that an address has one meaning. Pure; any thread. */
#ifndef CAP_HTTP_URL_H
#define CAP_HTTP_URL_H

#include <stdbool.h>

#include "base/err.h"

/* http or https, a host, a port from 1 to 65535, no user or password, no query or fragment, no
 * blank or backslash. The sentence goes on behind the name of whatever holds the URL: `"http:///x"
 * names no host`. */
bool cap_url_check_base(const char *url, struct cap_err *err);

/* The host, as libcurl reads it, is link-local (169.254.0.0/16, fe80::/10) or is where a cloud
 * tells a machine its credentials; a name is judged as it stands, not looked up. False for what is
 * not a URL. */
bool cap_url_is_link_local(const char *url);

/* The host is this machine itself: localhost, 127.0.0.0/8, ::1. A name is judged as it stands. */
bool cap_url_is_loopback(const char *url);

/* The same as cap_url_is_link_local of an address, "169.254.169.254" or "fe80::1". */
bool cap_address_is_link_local(const char *address);

#endif
