/* A base URL is split by libcurl's own parser, which is also the one that asks it later: two
 * readers that disagree on where the host ends are how a check is passed by. What libcurl accepts
 * and we do not (a query, a password, port 0) is refused on top of that. */
#include "http/url.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <string.h>

#include "base/auto.h"

enum { SHOWN_MAX = 200 };

static bool fail(struct cap_err *err, const char *url, const char *why)
{
    return cap_fail(err, CAP_INVALID_ARGUMENT, "\"%.*s\" %s", SHOWN_MAX, url, why);
}

/* What is asked for is put after it, and a blank or a backslash is read in one way here and in
 * another there. */
static bool is_base(const char *url)
{
    for (; *url; url++)
        if ((unsigned char)*url <= ' ' || *url == 0x7f || strchr("?#\\", *url))
            return false;
    return true;
}

static bool read_url(CURLU *parts, const char *url, struct cap_err *err)
{
    CURLUcode code = curl_url_set(parts, CURLUPART_URL, url, 0);
    char *port = NULL;
    bool is_zero;

    if (code == CURLUE_BAD_PORT_NUMBER)
        return fail(err, url, "has a port that is not from 1 to 65535");
    if (code == CURLUE_NO_HOST)
        return fail(err, url, "names no host");
    if (code == CURLUE_BAD_IPV6)
        return fail(err, url, "holds an IPv6 address that cannot be read");
    if (code == CURLUE_BAD_HOSTNAME)
        return fail(err, url, "holds a host name that cannot be read");
    if (code != CURLUE_OK)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "\"%.*s\" cannot be read: %s", SHOWN_MAX, url,
                        curl_url_strerror(code));
    curl_url_get(parts, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT);
    is_zero = port && strcmp(port, "0") == 0;
    curl_free(port);
    return !is_zero || fail(err, url, "has a port that is not from 1 to 65535");
}

bool cap_url_check_base(const char *url, struct cap_err *err)
{
    const char *host = strstr(url, "://");
    CURLU *parts;
    bool ok;

    if (!host || (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0))
        return fail(err, url, "does not begin with http:// or https://");
    host += strlen("://");
    if (memchr(host, '@', strcspn(host, "/?#")))
        return cap_fail(err, CAP_INVALID_ARGUMENT,
                        "holds a user or a password, which every reader would see; keys are in "
                        "variables of the node: external.api_key_env");
    if (!is_base(url))
        return fail(err, url,
                    "holds a query, a blank or a backslash; it is the base of the addresses that "
                    "are asked");
    if (strchr("/:", *host)) /* also at the end; libcurl reads http:///x as http://x */
        return fail(err, url, "names no host");
    if (!(parts = curl_url()))
        return cap_fail(err, CAP_RESOURCE_EXHAUSTED, "cannot be read: no memory");
    ok = read_url(parts, url, err);
    curl_url_cleanup(parts);
    return ok;
}

static bool is_link_local_4(uint32_t address) /* in host order */
{
    return address >> 16 == 0xa9fe || address == 0x646464c8; /* 100.100.100.200: Alibaba Cloud */
}

bool cap_address_is_link_local(const char *address)
{
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff},
                               nat64[12] = {0, 0x64, 0xff, 0x9b},
                               aws[16] = {0xfd, 0, 0x0e, 0xc2, [14] = 0x02, [15] = 0x54};
    struct in6_addr six;
    struct in_addr four;
    uint32_t tail;

    if (inet_pton(AF_INET, address, &four) == 1)
        return is_link_local_4(ntohl(four.s_addr));
    if (inet_pton(AF_INET6, address, &six) != 1)
        return false;
    memcpy(&tail, six.s6_addr + 12, sizeof tail);
    if (memcmp(six.s6_addr, mapped, sizeof mapped) == 0 ||
        memcmp(six.s6_addr, nat64, sizeof nat64) == 0)
        return is_link_local_4(ntohl(tail));
    return IN6_IS_ADDR_LINKLOCAL(&six) || memcmp(six.s6_addr, aws, sizeof aws) == 0;
}

static bool is_metadata_name(const char *host)
{
    static const char *const names[] = {"metadata.google.internal", "metadata", "instance-data"};
    size_t length = strlen(host);

    if (length > 0 && host[length - 1] == '.')
        length--;
    for (size_t i = 0; i < CAP_COUNT_OF(names); i++)
        if (strlen(names[i]) == length && strncasecmp(names[i], host, length) == 0)
            return true;
    return false;
}

/* Judges the host as libcurl reads it, without the brackets of an IPv6 address; false for what is
 * not a URL. */
static bool judge_host(const char *url, bool (*judge)(const char *host))
{
    CURLU *parts = curl_url();
    char *host = NULL, *address;
    bool found = false;

    if (parts && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
        curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK) {
        address = host + (*host == '[');
        address[strcspn(address, "]%")] = '\0';
        found = judge(address);
    }
    curl_free(host);
    curl_url_cleanup(parts);
    return found;
}

static bool is_link_local_host(const char *host)
{
    return cap_address_is_link_local(host) || is_metadata_name(host);
}

bool cap_url_is_link_local(const char *url)
{
    return judge_host(url, is_link_local_host);
}

static bool is_loopback_host(const char *host)
{
    struct in6_addr six;
    struct in_addr four;

    if (inet_pton(AF_INET, host, &four) == 1)
        return ntohl(four.s_addr) >> 24 == 127;
    if (inet_pton(AF_INET6, host, &six) == 1)
        return IN6_IS_ADDR_LOOPBACK(&six) || (IN6_IS_ADDR_V4MAPPED(&six) && six.s6_addr[12] == 127);
    return strcasecmp(host, "localhost") == 0;
}

bool cap_url_is_loopback(const char *url)
{
    return judge_host(url, is_loopback_host);
}
