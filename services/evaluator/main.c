#include <string.h>

#include "cmd_grade.h"

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "grade") == 0)
        return eval_cmd_grade(argc - 1, argv + 1);
    return 2;
}
