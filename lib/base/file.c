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

static bool fail_errno(struct cap_err *err, const char *verb, const char *path)
{
    enum cap_code code = errno == ENOENT || errno == ENOTDIR ? CAP_NOT_FOUND
                         : errno == EACCES                   ? CAP_PERMISSION_DENIED
                                                             : CAP_UNAVAILABLE;

    return cap_fail(err, code, "could not %s \"%s\": %s", verb, path, strerror(errno));
}

static char *read_all(FILE *stream, const char *path, const struct stat *info, size_t bytes_max,
                      size_t *out_length, struct cap_err *err)
{
    CAP_AUTO_MEM char *data = NULL;
    size_t size, length;

    /* pipes and /proc files have no size: read them up to the limit */
    size = S_ISREG(info->st_mode) && info->st_size > 0 ? (size_t)info->st_size : bytes_max;
    if (size > bytes_max) {
        cap_fail(err, CAP_RESOURCE_EXHAUSTED, "\"%s\" has %zu bytes, more than %zu", path, size,
                 bytes_max);
        return NULL;
    }
    data = malloc(size + 1);
    if (!data)
        abort();
    length = fread(data, 1, size, stream);
    if (ferror(stream)) {
        fail_errno(err, "read", path);
        return NULL;
    }
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

/* fopen() itself would wait for a pipe's other end. */
static FILE *open_without_waiting(const char *path)
{
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    FILE *stream = fd < 0 ? NULL : fdopen(fd, "rb");

    if (!stream && fd >= 0)
        close(fd);
    return stream;
}

char *cap_file_read_regular(const char *path, size_t bytes_max, size_t *out_length,
                            struct cap_err *err)
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
