/* spawn.h — what a child process must not inherit from us. */
#ifndef CAP_SPAWN_H
#define CAP_SPAWN_H

#include <spawn.h>

/* We block and ignore some signals for ourselves; a child starts with none blocked and none
 * ignored. `more_flags`: POSIX_SPAWN_SETPGROUP for a group of its own, or 0.
 * posix_spawnattr_destroy ends it. */
void cap_spawn_attributes(posix_spawnattr_t *attributes, short more_flags);

#endif
