/* tests/unit/index/skl_left_test.c - lists that are read while they change.
 *
 * Goal     A reader that remembers its leaves, and finds all of them still linked, has missed no
 *          entry; a list is whole for readers beside a writer.
 * Method   Pages of leaves, with changes between and in the middle of them; threads.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>

#include "core/base/crash.h"
#include "tests/support/rng.h"
#include "tests/support/slow.h"
#include "tests/unit/index/skl_kit.h"

TestSuite(skl_left, .timeout = 100 * SLOW_FACTOR);

/* ---- Leaves that were unlinked --------------------------------------------------------------- */

Test(skl_left, tells_whether_a_page_has_missed_an_entry) {
    static struct page page; /* static: large */
    struct fixture *f = begin(64 << 20, 3);
    uint32_t changed[SKL_MANY_LEFT + 1] = {0};
    for (uint32_t round = 0; round < 60000 / (SLOW_FACTOR > 1 ? 6 : 1); round++) {
        struct model *m = &f->model[rng_below(&f->rng, LISTS)];
        uint32_t changes = (uint32_t)rng_below(&f->rng, round % 4 ? 6 : 20), target = round / 1000 % 2 ? 12 : 1;
        f->kind = round / 2000 % 2 ? 5 : 0;
        page_read(f, &page, m, (uint32_t)rng_below(&f->rng, 4), (int)rng_below(&f->rng, 2));
        for (uint32_t i = 0; i < changes; i++)
            random_change(f, &f->model[rng_below(&f->rng, LISTS)], target);
        page_check(f, &page);
        if (!changes)
            cr_assert_eq(page_leaves(f, &page), SKL_NONE_LEFT);
        else
            changed[page_leaves(f, &page)]++;
        page_drop(&page);
    }
    cr_assert_gt(changed[SKL_NONE_LEFT], changed[SKL_ONE_LEFT] / 4);
    cr_assert_gt(changed[SKL_ONE_LEFT], changed[SKL_NONE_LEFT] / 4);
    finish(f);
}

static struct looking {
    struct fixture *f;
    const struct model *m;
    struct page page;
    int has_looked;
} looking;

static void look(void) {
    page_read(looking.f, &looking.page, looking.m, 0, (int)rng_below(&looking.f->rng, 2));
    looking.has_looked = 1;
}

/* A page that is read between any two stores of a change misses no entry that comes into the list
 * by that change or the next one. */
Test(skl_left, tells_it_also_of_pages_read_during_a_change) {
    struct fixture *f = begin(64 << 20, 3);
    uint32_t looks = 0;
    f->kind = 5;
    for (uint32_t round = 0; round < 20000 / (SLOW_FACTOR > 1 ? 6 : 1); round++) {
        struct model *m = &f->model[rng_below(&f->rng, LISTS)];
        uint32_t target = round / 500 % 2 ? 12 : 2;
        looking.f = f;
        looking.m = m;
        looking.has_looked = 0;
        shm_crash_arm_call(1 + rng_below(&f->rng, 90), look);
        random_change(f, m, target);
        shm_crash_arm(0);
        if (!looking.has_looked)
            continue;
        page_check(f, &looking.page);
        random_change(f, m, target);
        page_check(f, &looking.page);
        page_drop(&looking.page);
        looks++;
    }
    cr_assert_gt(looks, 1000 / (SLOW_FACTOR > 1 ? 6 : 1));
    finish(f);
}

/* ---- Readers beside a writer ----------------------------------------------------------------- */

struct reading {
    struct fixture *f;
    _Atomic int is_over;
    _Atomic uint64_t passes;
};

/* Entries of even number are always there: every pass must see all of them, once, in order,
 * whatever else comes and goes. */
static void *read_on(void *arg) {
    struct reading *r = arg;
    struct skl_reader reader;
    uint8_t key[LEAF_KEY_BYTES_MAX + 1];
    skl_reader_init(&reader);
    while (!atomic_load(&r->is_over)) {
        struct skl_bound cut = {.cut = {.key = NULL}};
        uint32_t even = 0, last = 0;
        int got = skl_read_up(&reader, &r->f->v->partitions, r->f->model[0].hash, 0, &cut.cut);
        while (got == LARDER_OK) {
            for (uint32_t i = leaf_find_cut(&reader.leaf, &cut.cut); i < leaf_count(&reader.leaf); i++) {
                if (!leaf_kseq(&reader.leaf, i))
                    continue;
                key[leaf_key(&reader.leaf, i, key)] = 0;
                uint32_t number = (uint32_t)atoi((char *)key + 5);
                cr_assert(number > last || (number == 0 && last == 0), "%u after %u", number, last);
                even += number % 2 == 0;
                last = number;
                memcpy(cut.key, key, 13);
                cut.cut = (struct leaf_cut){.key = cut.key, .key_bytes = 13, .hash = UINT64_MAX, .kseq = LEAF_KSEQ_END};
            }
            got = skl_read_next(&reader, &cut.cut);
        }
        cr_assert_eq(got, LARDER_NOT_FOUND);
        cr_assert_eq(even, 500);
        atomic_fetch_add(&r->passes, 1);
    }
    return NULL;
}

Test(skl_left, is_whole_for_readers_beside_a_writer) {
    struct fixture *f = begin(8 << 20, 4);
    struct reading reading = {.f = f};
    struct model *m = &f->model[0];
    pthread_t thread[2];
    uint8_t key[LEAF_KEY_BYTES_MAX];
    for (uint32_t i = 0; i < 1000; i += 2) {
        struct leaf_entry e = numbered(i, key);
        cr_assert_eq(change_claiming(f, m, &e, 1), LARDER_OK);
        model_add(m, &e);
    }
    for (int i = 0; i < 2; i++)
        cr_assert_eq(pthread_create(&thread[i], NULL, read_on, &reading), 0);
    for (int i = 0; i < 200000 / SLOW_FACTOR || atomic_load(&reading.passes) < 20; i++) {
        struct leaf_entry e = numbered((uint32_t)rng_below(&f->rng, 500) * 2 + 1, key);
        int is_add = (int)rng_below(&f->rng, 2);
        cr_assert_eq(change_claiming(f, m, &e, is_add), LARDER_OK);
        (is_add ? model_add : model_remove)(m, &e);
    }
    atomic_store(&reading.is_over, 1);
    for (int i = 0; i < 2; i++)
        pthread_join(thread[i], NULL);
    finish(f);
}
