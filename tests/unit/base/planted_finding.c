/* A mistake that the sanitizer of this build finds: the test is that the program then ends and
 * fails. Built with a sanitizer only (CMakeLists.txt), one mistake for each. */
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static int shared;

static void *add(void *argument)
{
    (void)argument;
    for (int i = 0; i < 1000; i++)
        shared++;
    return NULL;
}

/* ThreadSanitizer: two threads, one number, no lock. */
static void race(void)
{
    pthread_t other;

    pthread_create(&other, NULL, add, NULL);
    add(NULL);
    pthread_join(other, NULL);
}

/* UndefinedBehaviorSanitizer: a sum that no int holds. */
static void overflow(int one)
{
    printf("%d\n", INT_MAX + one);
}

/* AddressSanitizer: memory that was given back. */
static void use_after_free(void)
{
    volatile char *text = malloc(8);

    free((void *)text);
    printf("%d\n", text[0]);
}

int main(int argc, char **argv)
{
    const char kind = argc > 1 ? argv[1][0] : '?';

    if (kind == 't')
        race();
    else if (kind == 'u')
        overflow(argc - 1);
    else if (kind == 'a')
        use_after_free();
    return 0; /* the finding did not end the program: ctest expects a failure */
}
