/* tests/unit/base/priv_test.c - private memory.
 *
 * Goal     Blocks are zeroed, grow with their bytes, are counted, and go with their arena; threads
 *          may share one. That holds for both forms (core/base/priv_form.h), and after a fork in
 *          the middle of a call the child's copy is whole.
 * Method   Blocks are left behind on purpose: the address sanitizer reports what priv_destroy()
 *          forgets, jemalloc's own figures say whether an arena's memory came back.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>

#include "core/base/priv.h"
#include "larder.h"
#include "tests/support/proc.h"
#include "tests/support/rng.h"
#include "tests/support/slow.h"

TestSuite(priv, .timeout = 20 * SLOW_FACTOR);

extern _Atomic int priv_test_list_only; /* core/base/priv.c */

/* The test once with the form that this build prefers, and once on malloc. */
#define BOTH_FORMS(name)                                                                                               \
    static void name(void);                                                                                            \
    Test(priv, name) {                                                                                                 \
        name();                                                                                                        \
    }                                                                                                                  \
    Test(priv, name##_on_malloc) {                                                                                     \
        priv_test_list_only = 1;                                                                                       \
        name();                                                                                                        \
    }                                                                                                                  \
    static void name(void)

static int is_filled(const uint8_t *block, int byte, size_t bytes) {
    for (size_t i = 0; i < bytes; i++)
        if (block[i] != byte)
            return 0;
    return 1;
}

BOTH_FORMS(allocates_zeroed_blocks_and_grows_them) {
    struct priv *p = priv_new();
    for (int round = 0; round < 3; round++) { /* the second time from memory that was used */
        uint8_t *block = priv_alloc(p, 100);
        cr_assert_not_null(block);
        cr_assert(is_filled(block, 0, 100));
        memset(block, 7, 100);
        block = priv_realloc(p, block, 100000);
        cr_assert(is_filled(block, 7, 100));
        memset(block, 7, 100000);
        block = priv_realloc(p, block, 50);
        cr_assert(is_filled(block, 7, 50));
        priv_free(p, block);
    }
    priv_free(p, NULL);
    cr_assert_not_null(priv_realloc(p, NULL, 0));
    cr_assert_not_null(priv_alloc(p, 0));
    priv_destroy(p);
    priv_destroy(NULL);
}

BOTH_FORMS(counts_what_is_in_use) {
    struct priv *p = priv_new();
    uint64_t empty = priv_bytes(p);
    void *first = priv_alloc(p, 1000), *second = priv_alloc(p, 5000);
    cr_assert_geq(priv_bytes(p), empty + 6000);
    first = priv_realloc(p, first, 100000);
    cr_assert_geq(priv_bytes(p), empty + 105000);
    priv_free(p, first);
    priv_free(p, second);
    cr_assert_eq(priv_bytes(p), empty);
    priv_destroy(p);
}

BOTH_FORMS(says_when_there_is_no_more) {
    struct priv *p = priv_new();
    uint64_t empty = priv_bytes(p);
    uint8_t *block = priv_alloc(p, 16);
    block[0] = 5;
    cr_assert_null(priv_alloc(p, SIZE_MAX - 8));
    cr_assert(strstr(larder_error(), "memory"), "%s", larder_error());
    cr_assert_null(priv_realloc(p, block, SIZE_MAX - 8));
    cr_assert_eq(block[0], 5, "the old block stays");
    priv_free(p, block);
    cr_assert_eq(priv_bytes(p), empty);
    priv_destroy(p);
}

/* Far more arenas, and far more memory, than can exist at once. */
BOTH_FORMS(gives_everything_back) {
    for (int i = 0; i < 5000; i++) {
        struct priv *p = priv_new();
        cr_assert_not_null(p, "arena %d: %s", i, larder_error());
        for (int k = 0; k < 4; k++)
            cr_assert_not_null(priv_alloc(p, 30000));
        priv_destroy(p);
    }
}

static void *work(void *arg) {
    struct priv *p = arg;
    struct rng r;
    void *blocks[32] = {NULL};
    rng_seed(&r, (uint64_t)(uintptr_t)&r);
    for (int i = 0; i < 20000; i++) {
        void **block = &blocks[rng_below(&r, 32)];
        if (*block && rng_is_one_in(&r, 2)) {
            priv_free(p, *block);
            *block = NULL;
        } else {
            *block = priv_realloc(p, *block, 1 + rng_below(&r, 2000));
        }
    }
    for (int i = 0; i < 32; i++)
        priv_free(p, blocks[i]);
    return NULL;
}

BOTH_FORMS(is_shared_by_threads) {
    struct priv *p = priv_new();
    uint64_t empty = priv_bytes(p);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, work, p), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    cr_assert_eq(priv_bytes(p), empty);
    priv_destroy(p);
}

static int use_and_destroy_in_child(void *arg) {
    struct priv *p = arg;
    priv_fork_done(p);
    for (int i = 0; i < 100; i++)
        PROC_CHECK(priv_realloc(p, priv_alloc(p, 100), 10000) != NULL);
    priv_destroy(p); /* walks whatever the parent's threads were changing */
    return 0;
}

struct fork_team {
    struct priv *p;
    _Atomic int is_over;
};

static void *work_until_over(void *arg) {
    struct fork_team *team = arg;
    while (!team->is_over) {
        void *block = priv_realloc(team->p, priv_alloc(team->p, 50), 3000);
        priv_free(team->p, block);
    }
    return NULL;
}

BOTH_FORMS(is_whole_in_a_forked_child) {
    struct fork_team team = {.p = priv_new()};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, work_until_over, &team), 0);
    for (int i = 0; i < (SLOW_FACTOR > 1 ? 10 : 100); i++) {
        priv_fork_prepare(team.p);
        pid_t child = proc_fork(use_and_destroy_in_child, team.p);
        priv_fork_done(team.p);
        cr_assert(proc_is_exit(proc_wait(child, 20000), 0));
    }
    team.is_over = 1;
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    priv_destroy(team.p);
}
