/* page.h — the page's files, put into the program by tools/cmake/embed.cmake. */
#ifndef GATE_PAGE_H
#define GATE_PAGE_H

#include <stddef.h>

struct gate_page_file {
    const char *path, *type;    /* "/", "text/html; charset=utf-8" */
    const char *caching, *etag; /* as the headers have them */
    const unsigned char *data;
    size_t length;
    const unsigned char *gzip; /* NULL: not compressed */
    size_t gzip_length;
};

extern const struct gate_page_file gate_page_files[];
extern const size_t gate_page_file_count;

/* The file of an address; "/runs/..." and other views are the page itself, which reads the address.
 * NULL: no such page. */
const struct gate_page_file *gate_page_find(const char *path);

#endif
