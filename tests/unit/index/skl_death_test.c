/* tests/unit/index/skl_death_test.c - deaths in the middle of a list.
 *
 * Goal     A death at any store leaves a list that recovery makes whole.
 * Method   A child dies at its k-th store, for every k, while it adds, removes and clears. Skipped
 *          under the thread sanitizer: there, a child of a threaded process may not start threads.
 */
#include <criterion/criterion.h>

#include "core/base/crash.h"
#include "core/memory/recover.h"
#include "core/table/db.h"
#include "index/index.h"
#include "tests/support/proc.h"
#include "tests/support/rng.h"
#include "tests/support/slow.h"
#include "tests/unit/index/skl_kit.h"

TestSuite(skl_death, .timeout = 100 * SLOW_FACTOR);

struct death {
    struct fixture *f;
    struct model *m;
    struct leaf_entry e;
    int is_add, is_clear;
    uint64_t at_store;
};

/* In a child: makes the change as a writer of its own and dies on the way. */
static int die(void *arg) {
    struct death *d = arg;
    struct stripe_shm *stripe = htab_stripe(&d->f->v->partitions, d->m->hash);
    struct writer *w;
    PROC_CHECK(writer_borrow(d->f->db, &w) == LARDER_OK);
    heap_claim_ahead(w, 1 << 20);
    shm_crash_arm(d->at_store);
    if (lock_take(w, &stripe->lock, LOCK_PARTITION))
        return 2;
    uint32_t budget = UINT32_MAX;
    int r = d->is_clear ? skl_clear_locked(w, &d->f->v->partitions, d->m->hash, d->m->index, &budget)
                        : (d->is_add ? skl_add_locked : skl_remove_locked)(w, &d->f->v->partitions, d->m->hash,
                                                                           d->m->index, &d->e);
    PROC_CHECK(r == LARDER_OK);
    lock_drop(w, &stripe->lock, LOCK_PARTITION);
    shm_crash_arm(0);
    return 0;
}

/* A page that was read before a death misses nothing that is added after it. */
static void check_page_after(struct fixture *f, struct page *page, struct model *m) {
    uint8_t key[LEAF_KEY_BYTES_MAX];
    for (int i = 0; i < 6; i++) {
        struct leaf_entry e = random_entry(f, key);
        e.kseq = 9; /* not one of those that die */
        cr_assert_eq(change_claiming(f, m, &e, 1), LARDER_OK);
        model_add(m, &e);
        page_check(f, page);
        cr_assert_eq(change_claiming(f, m, &e, 0), LARDER_OK);
        model_remove(m, &e);
    }
    page_drop(page);
}

/* Dies at every store of one change in turn. After each death another writer takes over, and finds
 * the entry there or not. */
static void die_at_every_store(struct fixture *f, struct model *m, const struct leaf_entry *e, int is_add) {
    static struct page page; /* static: large */
    struct death d = {.f = f, .m = m, .e = *e, .is_add = is_add};
    for (d.at_store = 1;; d.at_store++) {
        page_read(f, &page, m, (uint32_t)rng_below(&f->rng, 3), (int)rng_below(&f->rng, 2));
        uint32_t dead, at = model_find(m, e);
        int was_there = model_has(m, at, e);
        struct proc_result end_of = proc_run(die, &d, 5000);
        if (proc_is_exit(end_of, 0)) {
            page_drop(&page);
            break;
        }
        cr_assert(proc_is_signal(end_of, 9), "%s", proc_text(end_of));
        cr_assert_eq(recover_all(f->w, &dead), LARDER_OK, "%s", larder_error());
        /* Recovery of an item removes again an entry that it had begun to remove or to add. So does
         * this. */
        cr_assert_eq(change_claiming(f, m, e, 0), LARDER_OK, "store %llu: %s", (unsigned long long)d.at_store,
                     larder_error());
        model_remove(m, e);
        check(f);
        check_all(f, m);
        check_page_after(f, &page, m);
        if (was_there && !is_add) {
            cr_assert_eq(change_claiming(f, m, e, 1), LARDER_OK);
            model_add(m, e);
        }
    }
    (is_add ? model_add : model_remove)(m, e);
    check(f);
    check_all(f, m);
}

static void die_while_adding_and_removing(uint64_t kind, uint32_t entries) {
    struct fixture *f = begin(8 << 20, 2);
    struct model *m = &f->model[0];
    f->kind = kind;
    while (m->count < entries) {
        uint8_t key[LEAF_KEY_BYTES_MAX];
        struct leaf_entry e = random_entry(f, key);
        if (!model_has(m, model_find(m, &e), &e))
            die_at_every_store(f, m, &e, 1);
    }
    while (m->count) {
        const struct model_entry *there = m->entry[rng_below(&f->rng, m->count)];
        struct leaf_entry e = there->e;
        uint8_t key[LEAF_KEY_BYTES_MAX];
        memcpy(key, there->key, e.key_bytes);
        e.key = key;
        die_at_every_store(f, m, &e, 0);
    }
    finish(f);
}

Test(skl_death, survives_a_death_at_any_store) {
    if (SLOW_IS_TSAN)
        return;
    die_while_adding_and_removing(0, SLOW_FACTOR > 1 ? 4 : 8);
    die_while_adding_and_removing(5, SLOW_FACTOR > 1 ? 4 : 8);
}

Test(skl_death, survives_a_death_while_it_is_cleared) {
    if (SLOW_IS_TSAN)
        return;
    struct fixture *f = begin(8 << 20, 2);
    struct model *m = &f->model[0];
    uint8_t key[LEAF_KEY_BYTES_MAX];
    f->kind = 5;
    for (struct death d = {.f = f, .m = m, .is_clear = 1, .at_store = 1};; d.at_store += 3) {
        uint32_t dead;
        for (uint32_t i = 0; i < 12; i++) {
            struct leaf_entry e = numbered(i, key);
            cr_assert_eq(change_claiming(f, m, &e, 1), LARDER_OK);
        }
        struct proc_result end_of = proc_run(die, &d, 5000);
        cr_assert_eq(recover_all(f->w, &dead), LARDER_OK, "%s", larder_error());
        struct larder_check_report report;
        (void)larder_check(f->db, NULL, &report);
        /* A head may be left with nothing in it until the clearing is done again. */
        cr_assert_eq(report.leaked_blocks, 0);
        cr_assert_eq(index_clear(f->w, f->v, -1), LARDER_OK);
        check(f);
        if (proc_is_exit(end_of, 0))
            break;
    }
    finish(f);
}
