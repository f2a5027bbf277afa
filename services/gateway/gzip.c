#include "gzip.h"

#include <string.h>
#include <zlib.h>

enum {
    LEVEL = 1, /* a board of 1,000 rows: 3.3 times as fast as level 6, an eighth more bytes */
    GZIP_WINDOW_BITS = 15 + 16,
    MEMORY_LEVEL = 8,
};

/* "gzip;q=0" is a refusal, as is a list without gzip and "*". */
bool gate_takes_gzip(const char *accept_encoding)
{
    const char *item = accept_encoding ? accept_encoding : "";

    while (*item) {
        size_t length, name;

        item += strspn(item, " \t,");
        length = strcspn(item, ",");
        name = strcspn(item, " \t,;");
        if ((name == 4 && strncasecmp(item, "gzip", 4) == 0) || (name == 1 && *item == '*')) {
            const char *weight = memmem(item, length, "q=0", 3);

            return !weight || strspn(weight + 3, ".0") != (size_t)(item + length - (weight + 3));
        }
        item += length;
    }
    return false;
}

bool gate_gzip(const char *text, size_t length, struct cap_buf *out)
{
    z_stream stream = {.next_in = (z_const Bytef *)text};
    char piece[16384];
    int status;

    if (deflateInit2(&stream, LEVEL, Z_DEFLATED, GZIP_WINDOW_BITS, MEMORY_LEVEL,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        return false;
    stream.avail_in = (uInt)length;
    do {
        stream.next_out = (Bytef *)piece;
        stream.avail_out = sizeof piece;
        status = deflate(&stream, Z_FINISH);
        cap_buf_add(out, piece, sizeof piece - stream.avail_out);
    } while (status == Z_OK);
    deflateEnd(&stream);
    return status == Z_STREAM_END && !out->overflowed;
}
