/* models.h — the model directories that this node offers.
 *
 * Given directories, each either a model itself (it has a config.json) or a folder of models. A
 * model is known by its folder's name; of two with one name the first wins. A directory that cannot
 * be loaded is offered with its problem, never fatal. The digest is over the sorted file names and
 * their digests, which are cached in the state folder by size and modification time, so that a
 * large model is read once. Filled at start by one thread and then fixed, but for digests that come
 * later: they are read with infer_models_sha256 and have a lock. Any thread.
 */
#ifndef INFER_MODELS_H
#define INFER_MODELS_H

#include "base/auto.h"
#include "base/err.h"
#include "digest/digest.h"

#include <pthread.h>
#include <stdint.h>

struct infer_model {
    char *name, *path;
    char *family;        /* config.json's model_type; "" = could not be read */
    char *problem;       /* "" = none known */
    char *config;        /* config.json without its blanks; "" = unreadable, or too large to tell */
    int64_t context_max; /* tokens, as config.json says; 0 = it does not */
    uint64_t bytes;
    char sha256[CAP_SHA256_HEX_BYTES]; /* models->lock guards it; "" = not computed yet */
};

struct infer_models {
    struct infer_model *list; /* [count], by name */
    int count;
    char *state_dir; /* "" = no cache */
    pthread_mutex_t lock;
};

/* Of one model's config.json, and of all together in a hello. */
enum { INFER_MODELS_CONFIG_BYTES_MAX = 16 << 10, INFER_MODELS_CONFIGS_BYTES_MAX = 256 << 10 };
enum { INFER_MODELS_MAX = 256 };

/* `dirs` is a list separated by colons. Digests of models up to digest_bytes_max are computed now,
 * others when they are first used. Never fails: what cannot be read is a logged problem. */
struct infer_models *infer_models_open(const char *dirs, const char *state_dir,
                                       uint64_t digest_bytes_max);
void infer_models_free(struct infer_models *models);
CAP_DEFINE_AUTO(infer_models)

/* By name or directory; NULL with a sentence that lists the names. */
const struct infer_model *infer_models_find(const struct infer_models *models, const char *name,
                                            struct cap_err *err);
/* The directory of a model by name, or by absolute path when `any_path`; a sentence that lists the
 * names otherwise. */
const char *infer_models_resolve(const struct infer_models *models, const char *name, bool any_path,
                                 struct cap_err *err);
/* The digest if it is known by now, else "". */
void infer_models_sha256(struct infer_models *models, int index, char out[CAP_SHA256_HEX_BYTES]);
/* The digest of a directory, from the cache or computed; reads every byte in the latter case,
 * unless `unwanted` (may be NULL) says that nobody waits any more: CANCELLED. */
bool infer_models_digest(struct infer_models *models, const char *path, bool (*unwanted)(void *arg),
                         void *arg, char out[CAP_SHA256_HEX_BYTES], struct cap_err *err);

#endif
