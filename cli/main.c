/* moecap: the command line. Its commands are rows in commands.c. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "log/log.h"
#include "rpc/rpc.h"
#include "suite.h"

/* The other programs are beside this one. */
static void find_program_dir(char out[CLI_PATH_BYTES])
{
    ssize_t length = readlink("/proc/self/exe", out, CLI_PATH_BYTES - 1);

    out[length > 0 ? length : 0] = '\0';
    if (length > 0)
        *strrchr(out, '/') = '\0'; /* an absolute path has one */
}

int main(int argc, char **argv)
{
    static char program_dir[CLI_PATH_BYTES];
    struct cli_context context = {.program_dir = program_dir};
    struct cap_err ignored = {0};
    const char *levels = getenv("MOECAP_LOG");
    int status;

    find_program_dir(program_dir);
    cap_log_init("cli");
    cap_log_set_levels(levels ? levels : "warn", &ignored);
    signal(SIGPIPE, SIG_IGN);
    cap_rpc_init();
    status = cli_dispatch(&context, argc - 1, argv + 1);
    fflush(stdout);
    cap_rpc_shutdown();
    return status;
}
