/* file.h — whole small files, read and written with a limit and a sentence. */
#ifndef CAP_FILE_H
#define CAP_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/err.h"

/* The file's bytes and a NUL after them, the caller's to free(); NULL on failure, also when the
 * file is larger than bytes_max. A pipe is read to its end, and waited for. */
char *cap_file_read(const char *path, size_t bytes_max, size_t *out_length, struct cap_err *err);
/* The same of a text: a zero byte would end it early, so it is refused. */
char *cap_file_read_text(const char *path, size_t bytes_max, struct cap_err *err);
/* The same for folders that others fill: a pipe or a device is refused, never waited for. */
char *cap_file_read_regular(const char *path, size_t bytes_max, size_t *out_length,
                            struct cap_err *err);

/* Opened for reading; NULL when it is a pipe or a device. The caller's to fclose(). What is in
 * /proc and would keep a reader waiting fails when it is read. */
FILE *cap_file_open_regular(const char *path, struct cap_err *err);

/* Writes beside `path`, then renames: readers see the old file or the whole new one. */
bool cap_file_write(const char *path, const void *data, size_t length, struct cap_err *err);

bool cap_file_exists(const char *path);
/* Makes the directory and its parents; an existing one is fine. */
bool cap_dir_make(const char *path, struct cap_err *err);

#endif
