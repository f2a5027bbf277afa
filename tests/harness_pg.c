/* The fixture `pg` of ctest: harness-pg start|stop STATE_FILE */
#include <stdio.h>
#include <string.h>

#include "harness.h"

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: harness-pg start|stop STATE_FILE\n");
        return 2;
    }
    if (strcmp(argv[1], "start") == 0)
        harness_cluster_start(argv[2]);
    else
        harness_cluster_stop(argv[2]);
    return 0;
}
