/* checkpoint.h — makes small checkpoints, whole and broken in one place, for tests.
 *
 *     struct checkpoint c;
 *     checkpoint_make(&c);                          a sound qwen3_moe in a fresh directory
 *     json_object_del(c.header, "model.norm.weight");
 *     checkpoint_write(&c);
 *     ... cap_tensors_open(c.dir, &err) ...
 *     checkpoint_done(&c);
 */
#ifndef TEST_CHECKPOINT_H
#define TEST_CHECKPOINT_H

#include <jansson.h>
#include <stddef.h>

struct checkpoint {
    char dir[64];
    json_t *config;
    json_t *header; /* of the safetensors file: change it before writing */
    unsigned char *data;
    size_t bytes;
    /* what the file is made of, when not what the header says */
    const char *header_text; /* instead of the header; NULL = as it is */
    long long header_length; /* instead of its length; -1 = as it is */
    long long file_bytes;    /* the file is cut to it; -1 = whole */
    const char *tensor_file; /* name; "model.safetensors" */
};

void checkpoint_make(struct checkpoint *c);
void checkpoint_write(const struct checkpoint *c);
void checkpoint_put(const struct checkpoint *c, const char *name, const char *text);
/* Gives a tensor another shape and as many bytes as it needs, and moves all others along. */
void checkpoint_reshape(struct checkpoint *c, const char *name, json_t *shape);
void checkpoint_drop(struct checkpoint *c, const char *name);
void checkpoint_add(struct checkpoint *c, const char *name, const char *dtype, json_t *shape);
void checkpoint_done(struct checkpoint *c); /* removes the directory */

#endif
