/* tests/api/aged_test.c - what an aged segment takes depends on nothing but what lies in it.
 *
 * Goal     LARDER_E_FULL is said only after a look everywhere (rule R8 of core/table/make_room.h).
 *          Several writers at once fill a segment as one does: room that another writer has just
 *          made is not taken for none.
 * Method   Rounds: items of one size until the first LARDER_E_FULL, then all but a tenth deleted;
 *          the next size. bench/ageing.c measures the same at length.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "larder.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"

TestSuite(aged, .timeout = 100 * SLOW_FACTOR);

#define SEGMENT_BYTES (32u << 20)
#define FREE_MAX (SEGMENT_BYTES / 20) /* spans that are kept for arrays, and what does not fit */
#define LARGE_MAX 70000u
#define WRITERS 4u
#define RACES (SLOW_FACTOR > 1 ? 1 : 3)

/* ---- Rounds ---------------------------------------------------------------------------------- */

struct writer {
    struct ground *ground;
    pthread_t thread;
    unsigned next; /* number of an item: far from those of the others */
    unsigned from; /* the first of this round */
};

struct ground {
    struct larder *db;
    struct larder_table *table;
    unsigned bytes; /* of this round's items, give or take an eighth */
    _Atomic int is_full;
    struct writer writer[WRITERS];
};

static void begin(struct ground *g) {
    const struct larder_index_def index = {.name = "ByGroup", .partition = {"G", LARDER_S}, .sort = {"PK", LARDER_S}};
    const struct larder_table_def def = {
        .name = "Aged", .partition = {"PK", LARDER_S}, .indexes = &index, .index_count = 1};
    *g = (struct ground){.db = testseg_open(SEGMENT_BYTES, 0)};
    cr_assert_eq(larder_table_create(g->db, &def), LARDER_OK, "%s", larder_error());
    cr_assert_eq(larder_table_open(g->db, "Aged", &g->table), LARDER_OK);
    for (unsigned i = 0; i < WRITERS; i++)
        g->writer[i] = (struct writer){.ground = g, .next = i * 1000000};
}

static void end(struct ground *g) {
    struct larder_check_report report;
    cr_expect_eq(larder_check(g->db, NULL, &report), LARDER_OK, "%s", larder_error());
    larder_close(g->db);
}

/* In a thread of its own, where Criterion's assertions are no use. */
static void must(int is_true) {
    if (is_true)
        return;
    fprintf(stderr, "aged: %s\n", larder_error());
    abort();
}

static unsigned bytes_of(const struct ground *g, unsigned n) {
    return g->bytes * 7 / 8 + n * 2654435761u % (g->bytes / 4);
}

static void *fill(void *arg) {
    static const char payload[LARGE_MAX];
    struct writer *w = arg;
    struct ground *g = w->ground;
    struct larder_builder *b;
    const struct larder_item *item;
    char text[24];
    must(larder_builder_new(g->db, &b) == LARDER_OK);
    for (w->from = w->next; !g->is_full; w->next++) {
        larder_builder_reset(b);
        snprintf(text, sizeof text, "item%u", w->next);
        larder_builder_add_s(b, "PK", text);
        snprintf(text, sizeof text, "g%u", w->next % 7);
        larder_builder_add_s(b, "G", text);
        larder_builder_add_b(b, "fill", payload, bytes_of(g, w->next));
        must(larder_builder_finish(b, &item) == LARDER_OK);
        int r = larder_put(g->table, item, NULL);
        must(r == LARDER_OK || r == LARDER_E_FULL);
        if (r == LARDER_E_FULL) {
            g->is_full = 1;
            break;
        }
    }
    larder_builder_free(b);
    return NULL;
}

static uint64_t free_bytes(const struct ground *g) {
    struct larder_segment_stats stats;
    cr_assert_eq(larder_segment_stats(g->db, &stats), LARDER_OK);
    return stats.free_bytes;
}

/* Returns what is free at the first LARDER_E_FULL of any writer. */
static uint64_t run_round(struct ground *g, unsigned bytes, unsigned writers) {
    g->bytes = bytes;
    g->is_full = 0;
    for (unsigned i = 0; i < writers; i++)
        cr_assert_eq(pthread_create(&g->writer[i].thread, NULL, fill, &g->writer[i]), 0);
    for (unsigned i = 0; i < writers; i++)
        pthread_join(g->writer[i].thread, NULL);
    return free_bytes(g);
}

static void cull(struct ground *g) {
    char text[24];
    for (unsigned i = 0; i < WRITERS; i++)
        for (unsigned n = g->writer[i].from; n < g->writer[i].next; n++) {
            snprintf(text, sizeof text, "item%u", n);
            struct larder_key key = {.partition = larder_str(text)};
            if (n % 10 != 0)
                cr_assert_geq(larder_delete(g->table, &key, NULL), LARDER_OK, "%s", larder_error());
        }
}

/* ---- Tests ----------------------------------------------------------------------------------- */

/* Each makes runs of spans, and what one has made another may take. */
Test(aged, several_writers_say_full_when_it_is) {
    static const unsigned sizes[] = {9500, 14000, 7000, 53000};
    for (unsigned i = 0; i < RACES; i++) {
        struct ground g;
        begin(&g);
        for (unsigned k = 0; k < sizeof sizes / sizeof *sizes; k++) {
            uint64_t left = run_round(&g, sizes[k], WRITERS);
            cr_expect_leq(left, FREE_MAX, "%lu bytes are free where %u are lacking", (unsigned long)left, sizes[k]);
            cull(&g);
        }
        end(&g);
    }
}
