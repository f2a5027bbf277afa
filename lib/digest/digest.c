/* SHA-256 through OpenSSL's EVP interface. Files are read in pieces, and the caller may end a long
 * one between two pieces: digesting a model of hundreds of GB takes minutes. */
#include "digest/digest.h"
#include "base/file.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

struct cap_digest {
    EVP_MD_CTX *context;
};

/* OpenSSL fails here only when it has no memory or is broken. */
static void must(int ok)
{
    if (ok != 1)
        abort();
}

struct cap_digest *cap_digest_new(void)
{
    struct cap_digest *digest = malloc(sizeof *digest);

    if (!digest || !(digest->context = EVP_MD_CTX_new()))
        abort();
    must(EVP_DigestInit_ex(digest->context, EVP_sha256(), NULL));
    return digest;
}

void cap_digest_free(struct cap_digest *digest)
{
    if (!digest)
        return;
    EVP_MD_CTX_free(digest->context);
    free(digest);
}

void cap_digest_add(struct cap_digest *digest, const void *data, size_t length)
{
    must(EVP_DigestUpdate(digest->context, data, length));
}

void cap_digest_end(struct cap_digest *digest, uint8_t out[CAP_SHA256_BYTES])
{
    must(EVP_DigestFinal_ex(digest->context, out, NULL));
    must(EVP_DigestInit_ex(digest->context, EVP_sha256(), NULL));
}

void cap_sha256(const void *data, size_t length, uint8_t out[CAP_SHA256_BYTES])
{
    must(EVP_Digest(data, length, out, NULL, EVP_sha256(), NULL));
}

void cap_hex(const uint8_t *bytes, size_t length, char *out)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < length; i++) {
        *out++ = digits[bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15];
    }
    *out = '\0';
}

void cap_sha256_hex(const void *data, size_t length, char out[CAP_SHA256_HEX_BYTES])
{
    uint8_t bytes[CAP_SHA256_BYTES];

    cap_sha256(data, length, bytes);
    cap_hex(bytes, sizeof bytes, out);
}

bool cap_sha256_file_unless(const char *path, bool (*unwanted)(void *arg), void *arg,
                            char out[CAP_SHA256_HEX_BYTES], struct cap_err *err)
{
    enum { ASK_BYTES = 16 << 20 };
    CAP_AUTO(cap_digest) digest = cap_digest_new();
    CAP_AUTO_STREAM FILE *stream = cap_file_open_regular(path, err);
    uint8_t bytes[CAP_SHA256_BYTES];
    char piece[65536];
    size_t n, unasked = ASK_BYTES;

    if (!stream)
        return false;
    while ((n = fread(piece, 1, sizeof piece, stream)) > 0) {
        if ((unasked += n) >= ASK_BYTES) {
            unasked = 0;
            if (unwanted && unwanted(arg))
                return cap_fail(err, CAP_CANCELLED, "nobody waits for the digest any more");
        }
        cap_digest_add(digest, piece, n);
    }
    if (ferror(stream))
        return cap_fail(err, CAP_UNAVAILABLE, "could not read \"%s\": %s", path, strerror(errno));
    cap_digest_end(digest, bytes);
    cap_hex(bytes, sizeof bytes, out);
    return true;
}
