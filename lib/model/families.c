/* The table of families. A test that needs another one links a table of its own in its place. */
#include "model/family.h"

const struct cap_family *const cap_families[] = {
    &cap_family_qwen3_moe,
    NULL,
};
