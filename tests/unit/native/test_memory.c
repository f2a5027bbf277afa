/* How much memory control groups leave: both versions, nested groups, and files that were read. */
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "fixture.h"
#include "native/inside.h"

struct groups {
    char root[64], membership[96];
};

static void put(const struct groups *g, const char *name, const char *text)
{
    char path[256];
    struct cap_err err = {0};
    snprintf(path, sizeof(path), "%s/%s", g->root, name);
    *strrchr(path, '/') = '\0';
    assert_true(cap_dir_make(path, &err));
    snprintf(path, sizeof(path), "%s/%s", g->root, name);
    assert_true(cap_file_write(path, text, strlen(text), &err));
}

static void make(struct groups *g, const char *membership)
{
    snprintf(g->root, sizeof(g->root), "/tmp/moecap-groups-XXXXXX");
    assert_non_null(mkdtemp(g->root));
    snprintf(g->membership, sizeof(g->membership), "%s/self", g->root);
    put(g, "self", membership);
}

static void check(struct groups *g, uint64_t left)
{
    char command[128];
    assert_int_equal(native_memory_of_groups(g->root, g->membership), left);
    snprintf(command, sizeof(command), "rm -r %s", g->root);
    assert_int_equal(system(command), 0);
}

static void pages_of_files_that_nobody_touched_lately_can_be_had(void **state)
{
    (void)state;
    struct groups g;
    make(&g, "0::/\n");
    put(&g, "memory.max", "1000\n");
    put(&g, "memory.current", "950\n");
    put(&g, "memory.stat", "anon 100\nfile 850\nactive_file 50\ninactive_file 800\n");
    check(&g, 850);
}

static void version_1_counts_the_same(void **state)
{
    (void)state;
    struct groups g;
    make(&g, "5:cpu,cpuacct:/docker/x\n4:memory:/docker/x\n0::/system.slice\n");
    put(&g, "memory/memory.limit_in_bytes", "1000\n");
    put(&g, "memory/memory.usage_in_bytes", "950\n");
    put(&g, "memory/memory.stat", "inactive_file 1\ntotal_inactive_file 800\n");
    check(&g, 850);
}

static void the_tightest_group_on_the_way_to_the_root_counts(void **state)
{
    (void)state;
    struct groups g;
    make(&g, "0::/a/b\n");
    put(&g, "a/memory.max", "500\n");
    put(&g, "a/memory.current", "100\n");
    put(&g, "a/b/memory.max", "max\n");
    put(&g, "a/b/memory.current", "100\n");
    put(&g, "memory.max", "9000\n");
    put(&g, "memory.current", "100\n");
    check(&g, 400);
}

static void without_a_limit_nothing_is_limited(void **state)
{
    (void)state;
    struct groups g;
    make(&g, "0::/\n");
    check(&g, UINT64_MAX);
    make(&g, "0::/\n");
    put(&g, "memory.max", "max\n");
    put(&g, "memory.current", "100\n");
    check(&g, UINT64_MAX);
    make(&g, "0::/\n");
    put(&g, "memory.max", "100\n");
    put(&g, "memory.current", "300\n");
    check(&g, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_of_files_that_nobody_touched_lately_can_be_had),
        cmocka_unit_test(version_1_counts_the_same),
        cmocka_unit_test(the_tightest_group_on_the_way_to_the_root_counts),
        cmocka_unit_test(without_a_limit_nothing_is_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
