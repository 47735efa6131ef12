/* tests/api/query_beside_test.c - queries beside writers.
 *
 * Goal     Readers beside writers see every item once, under a key that it has.
 * Method   Threads that move items between partitions and leaves while others read all of them.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "larder.h"
#include "tests/api/query_kit.h"
#include "tests/support/rng.h"
#include "tests/support/slow.h"

TestSuite(query_beside, .timeout = 100 * SLOW_FACTOR);

#define MOVED 160 /* several leaves */

struct moving {
    struct fixture *f;
    _Atomic int is_over;
    _Atomic uint64_t pages;
};

/* Every item is in one of two groups at any time, under a sort key that is its own attribute
 * too. */
static void *read_groups(void *arg) {
    struct moving *m = arg;
    struct larder_page *page;
    must(larder_page_new(m->f->db, &page));
    for (uint64_t round = 0; !atomic_load(&m->is_over); round++) {
        struct larder_query_spec spec = {.index = "byText", .partition = larder_str(round & 1 ? "g0" : "g1")};
        int seen[MOVED] = {0};
        char last[TEXT_MAX] = "", text[TEXT_MAX];
        spec.is_descending = round >> 1 & 1;
        must(larder_query(m->f->t, &spec, page));
        for (uint32_t i = 0; i < larder_page_count(page); i++) {
            const struct larder_item *item = larder_page_item(page, i);
            get_text(item, COL_G, text);
            cr_assert_str_eq(text, round & 1 ? "g0" : "g1");
            get_text(item, COL_SK, text);
            cr_assert_eq(seen[atoi(text)]++, 0);
            get_text(item, COL_GS, text);
            if (i)
                cr_assert_leq(compare_text(COL_GS, spec.is_descending ? text : last, spec.is_descending ? last : text),
                              0);
            memcpy(last, text, sizeof last);
        }
        atomic_fetch_add(&m->pages, 1);
    }
    larder_page_free(page);
    return NULL;
}

/* All items stay in one group, and only their sort keys change: a page that is a snapshot has each
 * of them once. */
static void *read_all_of_group(void *arg) {
    struct moving *m = arg;
    struct larder_page *page;
    must(larder_page_new(m->f->db, &page));
    for (uint64_t round = 0; !atomic_load(&m->is_over); round++) {
        struct larder_query_spec spec = {
            .index = "byText", .partition = larder_str("g0"), .is_descending = (int)(round & 1)};
        int seen[MOVED] = {0};
        char text[TEXT_MAX];
        must(larder_query(m->f->t, &spec, page));
        cr_assert_eq(larder_page_count(page), MOVED, "%u", larder_page_count(page));
        for (uint32_t i = 0; i < MOVED; i++) {
            get_text(larder_page_item(page, i), COL_SK, text);
            cr_assert_eq(seen[atoi(text)]++, 0);
        }
        atomic_fetch_add(&m->pages, 1);
    }
    larder_page_free(page);
    return NULL;
}

static void move_some(struct fixture *f, int group, uint32_t pause_us) {
    struct row row = {.version = 1};
    snprintf(row.text[COL_PK], TEXT_MAX, "p0");
    snprintf(row.text[COL_SK], TEXT_MAX, "%03d", (int)rng_below(&f->rng, MOVED));
    snprintf(row.text[COL_G], TEXT_MAX, "g%d", group);
    snprintf(row.text[COL_GS], TEXT_MAX, "%05d", (int)rng_below(&f->rng, 100000));
    put(f, &row);
    if (pause_us)
        usleep(pause_us);
}

static void move_beside(void *(*reader)(void *arg), int groups, uint32_t pause_us, int moves) {
    struct fixture *f = begin();
    struct moving m = {.f = f};
    pthread_t thread;
    for (int i = 0; i < MOVED; i++) {
        struct row row = {.version = 1, .text = {[COL_PK] = "p0", [COL_G] = "g0", [COL_GS] = "0"}};
        snprintf(row.text[COL_SK], TEXT_MAX, "%03d", i);
        put(f, &row);
    }
    cr_assert_eq(pthread_create(&thread, NULL, reader, &m), 0);
    for (int i = 0; i < moves || atomic_load(&m.pages) < 200; i++)
        move_some(f, (int)rng_below(&f->rng, (uint64_t)groups), pause_us);
    atomic_store(&m.is_over, 1);
    pthread_join(thread, NULL);
    finish(f);
}

Test(query_beside, shows_items_under_the_keys_they_have) {
    move_beside(read_groups, 2, 0, 100000 / SLOW_FACTOR);
}

Test(query_beside, misses_nothing_that_moves) {
    move_beside(read_all_of_group, 1, 1000 * SLOW_FACTOR, 2000 / SLOW_FACTOR);
}

/* Two writers have an item each that they move between the first and the last leaf of a group, with
 * pauses long enough for a page. A third changes other groups, some of which share a stripe with
 * this one, without pause. So most pages see changes, and most of these changes are not in their
 * group. */
struct mover {
    struct moving *m;
    struct fixture own; /* its builder and numbers */
    int number;         /* of its item; -1: it changes the other groups */
    uint32_t pause_us;
};

static void *move_to_and_fro(void *arg) {
    struct mover *mover = arg;
    struct fixture *f = &mover->own;
    for (uint32_t i = 0; !atomic_load(&mover->m->is_over); i++) {
        struct row row = {.version = 1};
        int is_other = mover->number < 0;
        snprintf(row.text[COL_PK], TEXT_MAX, is_other ? "p1" : "p0");
        snprintf(row.text[COL_SK], TEXT_MAX, "%03d", is_other ? (int)rng_below(&f->rng, MOVED) : mover->number);
        snprintf(row.text[COL_G], TEXT_MAX, is_other ? "n%d" : "g0", (int)rng_below(&f->rng, 8));
        snprintf(row.text[COL_GS], TEXT_MAX, "%05d", is_other ? (int)rng_below(&f->rng, 100000) : i & 1 ? 99999 : 0);
        put(f, &row);
        if (mover->pause_us)
            usleep(mover->pause_us);
    }
    return NULL;
}

Test(query_beside, has_each_item_once_while_two_writers_move_theirs_between_leaves) {
    struct fixture *f = begin();
    struct moving m = {.f = f};
    struct mover *mover = calloc(3, sizeof *mover);
    pthread_t reader, thread[3];
    cr_assert_not_null(mover);
    for (int i = 0; i < MOVED; i++) {
        struct row row = {.version = 1, .text = {[COL_PK] = "p0", [COL_G] = "g0"}};
        snprintf(row.text[COL_SK], TEXT_MAX, "%03d", i);
        snprintf(row.text[COL_GS], TEXT_MAX, "%05d", 100 + i * 500);
        put(f, &row);
    }
    for (int i = 0; i < 3; i++) {
        mover[i] = (struct mover){.m = &m, .number = i < 2 ? i * (MOVED - 1) : -1, .own = {.db = f->db, .t = f->t}};
        mover[i].pause_us = i < 2 ? 700 * SLOW_FACTOR : SLOW_FACTOR > 1 ? 100 : 0;
        must(larder_builder_new(f->db, &mover[i].own.b));
        rng_seed(&mover[i].own.rng, rng_next(&f->rng));
        cr_assert_eq(pthread_create(&thread[i], NULL, move_to_and_fro, &mover[i]), 0);
    }
    cr_assert_eq(pthread_create(&reader, NULL, read_all_of_group, &m), 0);
    while (atomic_load(&m.pages) < 20000 / SLOW_FACTOR)
        usleep(1000);
    atomic_store(&m.is_over, 1);
    pthread_join(reader, NULL);
    for (int i = 0; i < 3; i++)
        pthread_join(thread[i], NULL);
    finish(f);
    free(mover);
}
