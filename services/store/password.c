#include "password.h"

#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/file.h"

enum { FILE_BYTES_MAX = 4096 };

/* Blanks at its end are part of a password; line ends are not. */
static bool is_one_line(const char *text, size_t line, size_t length)
{
    return line + strspn(text + line, "\r\n") == length;
}

char *store_password_read(const char *path, struct cap_err *err)
{
    size_t length = 0, line;
    CAP_AUTO_MEM char *text = cap_file_read(path, FILE_BYTES_MAX, &length, err);

    if (!text) {
        cap_fail_in(err, "postgres_password_file");
        return NULL;
    }
    line = strcspn(text, "\r\n");
    if (line == 0)
        cap_fail(err, CAP_INVALID_ARGUMENT, "postgres_password_file: \"%s\" begins with no text",
                 path);
    else if (!is_one_line(text, line, length))
        cap_fail(err, CAP_INVALID_ARGUMENT,
                 "postgres_password_file: \"%s\" is not one line of text", path);
    if (err->code != CAP_OK)
        return NULL;
    text[line] = '\0';
    return cap_take(text);
}
