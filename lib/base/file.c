/* Whole files. A file's size promises nothing: it may be a pipe, stand in /proc, or grow and shrink
 * while it is read, so reading goes on to the end and stops at the limit. Whether a file is a
 * regular one is asked of the open descriptor, which was opened without waiting: the name may mean
 * another file by then. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"

/* What asking again may mend is unavailable; a loop of links or a socket stays what it is. */
static enum cap_code code_of_errno(int number)
{
    switch (number) {
    case ENOENT:
    case ENOTDIR:
        return CAP_NOT_FOUND;
    case EACCES:
    case EPERM:
        return CAP_PERMISSION_DENIED;
    case ELOOP:
    case ENXIO: /* a socket, opened as a file */
    case EISDIR:
    case EROFS:
    case ENAMETOOLONG:
        return CAP_FAILED_PRECONDITION;
    default:
        return CAP_UNAVAILABLE;
    }
}

static bool fail_errno(struct cap_err *err, const char *verb, const char *path)
{
    enum cap_code code = code_of_errno(errno);

    return cap_fail(err, code, "could not %s \"%s\": %s", verb, path, strerror(errno));
}

static char *fail_larger(const char *path, size_t bytes_max, struct cap_err *err)
{
    cap_fail(err, CAP_RESOURCE_EXHAUSTED, "\"%s\" has more than %zu bytes", path, bytes_max);
    return NULL;
}

/* To the end, whatever the file says of its size: it may be a pipe, or grow while it is read. */
static char *read_all(FILE *stream, const char *path, const struct stat *info, size_t bytes_max,
                      size_t *out_length, struct cap_err *err)
{
    CAP_AUTO_MEM char *data = NULL;
    size_t length = 0, room = 4096;

    if (S_ISREG(info->st_mode) && info->st_size > 0)
        room = (size_t)info->st_size + 1; /* the last one finds the end */
    if (room > bytes_max + 1)
        room = bytes_max + 1;
    if (S_ISREG(info->st_mode) && (size_t)info->st_size > bytes_max)
        return fail_larger(path, bytes_max, err);
    if (!(data = malloc(room + 1)))
        abort();
    while (!feof(stream) && !ferror(stream)) {
        if (length > bytes_max)
            return fail_larger(path, bytes_max, err);
        if (length == room) {
            room *= 2;
            data = realloc(data, room + 1);
            if (!data)
                abort();
        }
        length += fread(data + length, 1, room - length, stream);
    }
    if (ferror(stream)) {
        fail_errno(err, "read", path);
        return NULL;
    }
    if (length > bytes_max)
        return fail_larger(path, bytes_max, err);
    data[length] = '\0';
    if (out_length)
        *out_length = length;
    return cap_take(data);
}

char *cap_file_read(const char *path, size_t bytes_max, size_t *out_length, struct cap_err *err)
{
    CAP_AUTO_STREAM FILE *stream = fopen(path, "rb");
    struct stat info;

    if (!stream || fstat(fileno(stream), &info) != 0) {
        fail_errno(err, "open", path);
        return NULL;
    }
    if (S_ISDIR(info.st_mode)) {
        cap_fail(err, CAP_INVALID_ARGUMENT, "cannot read \"%s\": it is a directory", path);
        return NULL;
    }
    return read_all(stream, path, &info, bytes_max, out_length, err);
}

char *cap_file_read_text(const char *path, size_t bytes_max, struct cap_err *err)
{
    size_t length;
    char *text = cap_file_read(path, bytes_max, &length, err);

    if (!text || strlen(text) == length)
        return text;
    cap_fail(err, CAP_INVALID_ARGUMENT, "\"%.200s\" has a zero byte: it is no text", path);
    free(text);
    return NULL;
}

/* fopen() itself would wait for a pipe's other end. */
static FILE *open_without_waiting(const char *path)
{
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    FILE *stream = fd < 0 ? NULL : fdopen(fd, "rb");

    if (!stream && fd >= 0)
        close(fd);
    return stream;
}

FILE *cap_file_open_regular(const char *path, struct cap_err *err)
{
    CAP_AUTO_STREAM FILE *stream = open_without_waiting(path);
    struct stat info;

    if (!stream || fstat(fileno(stream), &info) != 0) {
        fail_errno(err, "open", path);
        return NULL;
    }
    if (!S_ISREG(info.st_mode)) {
        cap_fail(err, CAP_INVALID_ARGUMENT, "cannot read \"%s\": it is not a regular file", path);
        return NULL;
    }
    return cap_take(stream);
}

char *cap_file_read_regular(const char *path, size_t bytes_max, size_t *out_length,
                            struct cap_err *err)
{
    CAP_AUTO_STREAM FILE *stream = cap_file_open_regular(path, err);
    struct stat info;

    if (!stream)
        return NULL;
    if (fstat(fileno(stream), &info) != 0) {
        fail_errno(err, "open", path);
        return NULL;
    }
    return read_all(stream, path, &info, bytes_max, out_length, err);
}

bool cap_file_write(const char *path, const void *data, size_t length, struct cap_err *err)
{
    char beside[PATH_MAX];
    bool written;
    FILE *stream;

    if (snprintf(beside, sizeof beside, "%s.new-%d", path, (int)getpid()) >= (int)sizeof beside)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "path \"%.80s...\" is too long", path);
    stream = fopen(beside, "wb");
    if (!stream)
        return fail_errno(err, "create", beside);
    written = fwrite(data, 1, length, stream) == length;
    written = fclose(stream) == 0 && written;
    if (!written || rename(beside, path) != 0) {
        fail_errno(err, "write", path);
        unlink(beside);
        return false;
    }
    return true;
}

bool cap_file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

bool cap_dir_make(const char *path, struct cap_err *err)
{
    char part[PATH_MAX];
    size_t length = strlen(path);

    if (length >= sizeof part)
        return cap_fail(err, CAP_INVALID_ARGUMENT, "path \"%.80s...\" is too long", path);
    memcpy(part, path, length + 1);
    for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(part, 0777) != 0 && errno != EEXIST)
            return fail_errno(err, "make directory", part);
        *slash = '/';
    }
    if (mkdir(part, 0777) != 0 && errno != EEXIST)
        return fail_errno(err, "make directory", part);
    return true;
}
