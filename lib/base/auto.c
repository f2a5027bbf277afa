#include "base/auto.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void cap_auto_mem_(void *pointer_to_pointer)
{
    free(*(void **)pointer_to_pointer);
}

void cap_auto_stream_(void *pointer_to_stream)
{
    FILE *stream = *(FILE **)pointer_to_stream;

    if (stream)
        fclose(stream);
}

void cap_auto_fd_(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}
