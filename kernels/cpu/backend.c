/* The CPU as a backend: its device, its memory, its table. Buffers are host addresses. */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/cpu.h"

static int threads_allowed(void)
{
    cpu_set_t set;
    int count = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
    return count < MOE_THREADS_MAX ? count : MOE_THREADS_MAX;
}

static void device_close(struct moe_dev *dev)
{
    if (!dev)
        return;
    cpu_pool_free(dev->pool);
    struct cpu_scratch *all[] = {&dev->activations, &dev->inner, &dev->inner_packed, &dev->groups,
                                 &dev->threads};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        cpu_pages_free(all[i]->data, all[i]->bytes);
    free(dev);
}

static enum moe_status device_open(const struct moe_options *options, struct moe_dev **out_dev,
                                   char *why, size_t why_bytes)
{
    int threads = options->threads ? options->threads : threads_allowed();
    if (threads < 1 || threads > MOE_THREADS_MAX) {
        snprintf(why, why_bytes, "%d threads: 1 to %d can be used", threads, MOE_THREADS_MAX);
        return MOE_INVALID;
    }
    const struct cpu_isa *isa = cpu_isa_pick(options->isa, why, why_bytes);
    if (!isa)
        return MOE_NO_DEVICE;
    struct moe_dev *dev = calloc(1, sizeof(*dev));
    if (dev)
        dev->pool = cpu_pool_open(threads);
    if (!dev || !dev->pool) {
        snprintf(why, why_bytes, "could not start %d threads", threads);
        free(dev);
        return MOE_NO_MEMORY;
    }
    dev->isa = isa;
    dev->round_activations = options->round_activations;
    *out_dev = dev;
    return MOE_OK;
}

static void device_info(const struct moe_dev *dev, struct moe_info *out_info)
{
    *out_info = (struct moe_info){.isa = dev->isa->name, .threads = cpu_pool_threads(dev->pool)};
}

static enum moe_status buffer_alloc(struct moe_dev *dev, size_t bytes, struct moe_buf *out_buf)
{
    (void)dev;
    void *data = cpu_pages_alloc(bytes);
    if (!data)
        return MOE_NO_MEMORY;
    *out_buf = (struct moe_buf){(uintptr_t)data, bytes};
    return MOE_OK;
}

static void buffer_release(struct moe_dev *dev, struct moe_buf *buf)
{
    (void)dev;
    cpu_pages_free((void *)(uintptr_t)buf->addr, buf->bytes);
    *buf = (struct moe_buf){0};
}

static enum moe_status buffer_upload(struct moe_dev *dev, struct moe_buf to, size_t offset,
                                     const void *from, size_t bytes)
{
    (void)dev;
    if (bytes > 0)
        memcpy((char *)(uintptr_t)to.addr + offset, from, bytes);
    return MOE_OK;
}

static enum moe_status buffer_download(struct moe_dev *dev, void *to, struct moe_buf from,
                                       size_t offset, size_t bytes)
{
    (void)dev;
    if (bytes > 0)
        memcpy(to, (const char *)(uintptr_t)from.addr + offset, bytes);
    return MOE_OK;
}

static enum moe_status device_sync(struct moe_dev *dev)
{
    (void)dev; /* every operator has finished on return */
    return MOE_OK;
}

/* Of all calls only those that need scratch can fail. */
static const char *device_failure(const struct moe_dev *dev)
{
    (void)dev;
    return "no memory for scratch space";
}

const struct moe_backend moe_backend_cpu = {
    .name = "cpu",
    .level_at = cpu_isa_at,
    .level_lacks = cpu_isa_lacks,
    .open = device_open,
    .close = device_close,
    .info = device_info,
    .failure = device_failure,
    .alloc = buffer_alloc,
    .release = buffer_release,
    .upload = buffer_upload,
    .download = buffer_download,
    .sync = device_sync,
    .weight_new = cpu_weight_new,
    .weight_put = cpu_weight_put,
    .weight_free = cpu_weight_free,
    .weight_bytes = cpu_weight_bytes,
    .page_bytes = cpu_page_bytes,
    .page_copy = cpu_page_copy,
    .embed = cpu_embed,
    .rmsnorm = cpu_rmsnorm,
    .linear = cpu_linear,
    .qkv_post = cpu_qkv_post,
    .attention = cpu_attention,
    .router = cpu_router,
    .moe = cpu_moe,
};
