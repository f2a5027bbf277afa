/* auto.h — the scope owns: a variable declared with CAP_AUTO is freed on every way out.
 *
 *     CAP_AUTO(cap_arena) arena = cap_arena_new(1 << 20);
 *     if (!fill(arena, err))
 *         return false;              // freed here
 *     *out_arena = cap_take(arena);  // or handed over
 */
#ifndef CAP_AUTO_H
#define CAP_AUTO_H

/* In the header of a type `struct T` that has `void T_free(struct T *)`, which accepts NULL. */
#define CAP_DEFINE_AUTO(T)                                                                         \
    static inline void T##_auto(struct T **p)                                                      \
    {                                                                                              \
        T##_free(*p);                                                                              \
    }

/* `unused`: clang does not count the release as a use. */
#define CAP_AUTO(T) __attribute__((unused, cleanup(T##_auto))) struct T *

/* The pointer, which the scope then no longer frees. */
#define cap_take(p)                                                                                \
    ({                                                                                             \
        __typeof__(p) cap_taken_ = (p);                                                            \
        (p) = NULL;                                                                                \
        cap_taken_;                                                                                \
    })

/* The same for plain heap memory, files and descriptors: CAP_AUTO_MEM char *s = strdup(x); */
#define CAP_AUTO_MEM __attribute__((unused, cleanup(cap_auto_mem_)))
#define CAP_AUTO_STREAM __attribute__((cleanup(cap_auto_stream_)))
#define CAP_AUTO_FD __attribute__((cleanup(cap_auto_fd_)))

void cap_auto_mem_(void *pointer_to_pointer);
void cap_auto_stream_(void *pointer_to_stream);
void cap_auto_fd_(int *fd); /* ignores negative ones */

#define CAP_COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#endif
