/* tests/unit/table/workspace_test.c - memory that a handle lends to one call at a time.
 *
 * Goal     Two calls never have the same workspace. One that was given back is lent again, if it is
 *          large enough. A large one is not kept.
 * Method   Takes and gives in one thread, in the orders that threads may have; the handle's private
 *          bytes tell what is kept. Then threads that fill what they take and look at it again.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>

#include "core/table/db.h"
#include "core/table/workspace.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"

TestSuite(workspace, .timeout = 60 * SLOW_FACTOR);

Test(workspace, is_lent_again_if_it_is_large_enough) {
    struct larder *db = testseg_open(4u << 20, 2);
    struct workspace *a = workspace_take(db, 1000);
    cr_assert(a && a->bytes == 1000);
    workspace_give(db, a);
    struct workspace *b = workspace_take(db, 600);
    cr_assert_eq(a, b);
    cr_assert_eq(b->bytes, 1000);
    workspace_give(db, b);
    struct workspace *c = workspace_take(db, 5000);
    cr_assert(c && c->bytes == 5000);
    memset(c->at, 1, c->bytes);
    workspace_give(db, c);
    workspace_give(db, NULL);
    larder_close(db);
}

Test(workspace, two_calls_have_two_of_which_one_is_kept) {
    struct larder *db = testseg_open(4u << 20, 2);
    uint64_t before = priv_bytes(db_priv(db));
    struct workspace *a = workspace_take(db, 1000);
    uint64_t with_one = priv_bytes(db_priv(db));
    struct workspace *b = workspace_take(db, 1000);
    cr_assert(a && b && a != b);
    cr_assert_gt(with_one, before);
    workspace_give(db, b);
    workspace_give(db, a);
    cr_assert_eq(priv_bytes(db_priv(db)), with_one);
    larder_close(db);
}

Test(workspace, a_large_one_is_not_kept) {
    struct larder *db = testseg_open(4u << 20, 2);
    uint64_t before = priv_bytes(db_priv(db));
    struct workspace *a = workspace_take(db, WORKSPACE_KEPT + 1);
    cr_assert(a);
    workspace_give(db, a);
    cr_assert_eq(priv_bytes(db_priv(db)), before);
    larder_close(db);
}

#define ROUNDS 20000u

struct borrower {
    struct larder *db;
    uint8_t mark;
    int is_wrong;
};

static void *borrow(void *arg) {
    struct borrower *b = arg;
    for (uint32_t i = 0; i < ROUNDS / SLOW_FACTOR; i++) {
        size_t bytes = 64 + i % 3 * 64;
        struct workspace *w = workspace_take(b->db, bytes);
        b->is_wrong |= !w || w->bytes < bytes;
        if (!w)
            break;
        memset(w->at, b->mark, bytes);
        for (size_t k = 0; k < bytes; k++)
            b->is_wrong |= w->at[k] != b->mark;
        workspace_give(b->db, w);
    }
    return NULL;
}

Test(workspace, threads_never_share_one) {
    struct larder *db = testseg_open(4u << 20, 2);
    struct borrower b[3];
    pthread_t threads[3];
    for (unsigned i = 0; i < 3; i++) {
        b[i] = (struct borrower){db, (uint8_t)(i + 1), 0};
        cr_assert_eq(pthread_create(&threads[i], NULL, borrow, &b[i]), 0);
    }
    for (unsigned i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
        cr_assert(!b[i].is_wrong);
    }
    larder_close(db);
}
