/* digest.h — SHA-256, whole or piece by piece; hexadecimal in lower case.
 *
 * A digest object has one user at a time; the one-shot forms may be called from any thread.
 */
#ifndef CAP_DIGEST_H
#define CAP_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"

enum { CAP_SHA256_BYTES = 32, CAP_SHA256_HEX_BYTES = 65 };

struct cap_digest;

struct cap_digest *cap_digest_new(void);
void cap_digest_free(struct cap_digest *digest);
CAP_DEFINE_AUTO(cap_digest)

void cap_digest_add(struct cap_digest *digest, const void *data, size_t length);
/* Ends the digest; it then starts again. */
void cap_digest_end(struct cap_digest *digest, uint8_t out[CAP_SHA256_BYTES]);

void cap_sha256(const void *data, size_t length, uint8_t out[CAP_SHA256_BYTES]);
void cap_sha256_hex(const void *data, size_t length, char out[CAP_SHA256_HEX_BYTES]);
void cap_hex(const uint8_t *bytes, size_t length, char *out); /* 2 * length + 1 bytes */
/* Of a file's content, read in pieces, unless `unwanted` (may be NULL), asked every 16 MiB, says
 * so: then CANCELLED. A pipe or a device is refused, never waited for. */
bool cap_sha256_file_unless(const char *path, bool (*unwanted)(void *arg), void *arg,
                            char out[CAP_SHA256_HEX_BYTES], struct cap_err *err);

#endif
