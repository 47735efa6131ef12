/* tests/crash/repair_loss_test.c - larder_repair() counts and names what is missing.
 *
 * Goal     items_lost is the number of items that are missing, however they went, and a note names
 *          the loss. A count that is wrong where nothing is missing is no loss.
 * Method   Each damage is done to every stripe in turn, in a copy of its own. What is missing is
 *          counted by the slots before and after.
 */
#include <criterion/criterion.h>
#include <string.h>
#include <unistd.h>

#include "larder.h"
#include "tests/crash/repair_kit.h"
#include "tests/support/slow.h"

TestSuite(repair_loss, .timeout = 120 * SLOW_FACTOR);

#define ZEROED (SEGMENT_BYTES - (UINT64_C(256) << 10)) /* nothing was ever stored there */

static struct stripe_shm *stripe_of(const struct copy *c, uint32_t table, uint32_t number) {
    return (struct stripe_shm *)at(c, table_shm(c, table)->items_off) + number;
}

static struct bucket_shm *array_of(const struct copy *c, const struct stripe_shm *s) {
    return at(c, WORD_OFF(s->array));
}

/* A slot of the stripe: the first one that is in use, or that is not. */
static shm_word *slot_in(const struct copy *c, const struct stripe_shm *s, int is_used) {
    struct bucket_shm *array = array_of(c, s);
    for (uint32_t i = 0; i < WORD_TAG(s->array) * BUCKET_SLOTS; i++)
        if ((array[i / BUCKET_SLOTS].slot[i % BUCKET_SLOTS] != 0) == is_used)
            return &array[i / BUCKET_SLOTS].slot[i % BUCKET_SLOTS];
    cr_assert(0, "no such slot");
    return NULL;
}

/* ---- Damages --------------------------------------------------------------------------------- */

/* `s` is the stripe that is hit, `other` another one of its table. */
typedef void harm(const struct copy *c, struct stripe_shm *s, struct stripe_shm *other);

static void array_in_zeroed_memory(const struct copy *c, struct stripe_shm *s, struct stripe_shm *other) {
    (void)c, (void)other;
    s->array = WORD_MAKE(WORD_TAG(s->array), ZEROED);
}
static void array_is_zeroed(const struct copy *c, struct stripe_shm *s, struct stripe_shm *other) {
    (void)other;
    memset(array_of(c, s), 0, lines_of(s) * sizeof(struct bucket_shm));
}
static void half_of_array_is_zeroed(const struct copy *c, struct stripe_shm *s, struct stripe_shm *other) {
    (void)other;
    memset(array_of(c, s), 0, (WORD_TAG(s->array) + 1) / 2 * sizeof(struct bucket_shm));
}
static void array_of_another_stripe(const struct copy *c, struct stripe_shm *s, struct stripe_shm *other) {
    (void)c;
    s->array = other->array;
}
static void array_a_line_further(const struct copy *c, struct stripe_shm *s, struct stripe_shm *other) {
    (void)c, (void)other;
    s->array += sizeof(struct bucket_shm);
}
static void array_nowhere(const struct copy *c, struct stripe_shm *s, struct stripe_shm *other) {
    (void)c, (void)other;
    s->array = WORD_MAKE(WORD_TAG(s->array), SEGMENT_BYTES - sizeof(struct bucket_shm));
}
static void array_forgotten(const struct copy *c, struct stripe_shm *s, struct stripe_shm *other) {
    (void)c, (void)other;
    s->array = 0;
}
static void stripe_is_zeroed(const struct copy *c, struct stripe_shm *s, struct stripe_shm *other) {
    (void)c, (void)other;
    memset((void *)s, 0, sizeof *s);
}
static void array_and_count(const struct copy *c, struct stripe_shm *s, struct stripe_shm *other) {
    array_in_zeroed_memory(c, s, other);
    s->count = UINT32_MAX;
}
static void array_and_lists(const struct copy *c, struct stripe_shm *s, struct stripe_shm *other) {
    array_in_zeroed_memory(c, s, other);
    memset((void *)stripes_of(c, 1), 0, STRIPES * sizeof *s);
}
static void slot_emptied(const struct copy *c, struct stripe_shm *s, struct stripe_shm *other) {
    (void)other;
    *slot_in(c, s, 1) = 0;
}
static void slot_to_an_item_twice(const struct copy *c, struct stripe_shm *s, struct stripe_shm *other) {
    (void)other;
    shm_word *slot = slot_in(c, s, 1), was = *slot;
    *slot = 0;
    uint64_t next = *slot_in(c, s, 1);
    *slot = WORD_MAKE(WORD_TAG(was), WORD_OFF(next));
}
static void slot_to_another_stripe(const struct copy *c, struct stripe_shm *s, struct stripe_shm *other) {
    *slot_in(c, s, 1) = *slot_in(c, other, 1);
}
static void slot_to_nowhere(const struct copy *c, struct stripe_shm *s, struct stripe_shm *other) {
    (void)other;
    *slot_in(c, s, 1) |= 8;
}
static void no_item_in_a_free_slot(const struct copy *c, struct stripe_shm *s, struct stripe_shm *other) {
    (void)other;
    *slot_in(c, s, 0) = WORD_MAKE(7, ZEROED);
}
static void count_is_more(const struct copy *c, struct stripe_shm *s, struct stripe_shm *other) {
    (void)c, (void)other;
    s->count++;
}
static void count_is_less(const struct copy *c, struct stripe_shm *s, struct stripe_shm *other) {
    (void)c, (void)other;
    s->count--;
}
static void count_is_zero(const struct copy *c, struct stripe_shm *s, struct stripe_shm *other) {
    (void)c, (void)other;
    s->count = 0;
}
static void count_is_huge(const struct copy *c, struct stripe_shm *s, struct stripe_shm *other) {
    (void)c, (void)other;
    s->count = UINT32_MAX;
}
static void lists_are_gone(const struct copy *c, struct stripe_shm *s, struct stripe_shm *other) {
    (void)other;
    memset((void *)stripes_of(c, 1), 0, STRIPES * sizeof *s);
}
/* The next number would say that a transaction is under way. */
static void all_ones(const struct copy *c, struct stripe_shm *s, struct stripe_shm *other) {
    (void)c, (void)other;
    s->seq = UINT64_MAX;
    *slot_in(c, s, 1) = 0;
}

/* ---- Repairing ------------------------------------------------------------------------------- */

#define ALL (-1) /* of the stripe */
#define SOME (-2)

static const struct row {
    const char *name;
    harm *harm;
    int lost;
    int is_of_rich; /* a table without lists does not know, or its stripes are too small */
} rows[] = {
    {"array in zeroed memory", array_in_zeroed_memory, ALL, 0},
    {"array is zeroed", array_is_zeroed, ALL, 0},
    {"half of the array is zeroed", half_of_array_is_zeroed, SOME, 0},
    {"array of another stripe", array_of_another_stripe, ALL, 0},
    {"array a line further", array_a_line_further, SOME, 1},
    {"array nowhere", array_nowhere, ALL, 0},
    {"array forgotten", array_forgotten, ALL, 0},
    {"stripe is zeroed", stripe_is_zeroed, ALL, 1},
    {"array and count", array_and_count, ALL, 1},
    {"array and lists", array_and_lists, ALL, 0},
    {"slot emptied", slot_emptied, 1, 0},
    {"slot to an item twice", slot_to_an_item_twice, 1, 0},
    {"slot to another stripe", slot_to_another_stripe, 1, 0},
    {"slot to nowhere", slot_to_nowhere, 1, 0},
    {"all ones", all_ones, 1, 0},
    {"no item in a free slot", no_item_in_a_free_slot, 0, 1},
    {"count is more", count_is_more, 0, 1},
    {"count is less", count_is_less, 0, 0},
    {"count is zero", count_is_zero, 0, 0},
    {"count is huge", count_is_huge, 0, 0},
    {"lists are gone", lists_are_gone, 0, 1},
};

static void note(void *arg, const char *line) {
    *(int *)arg += strncmp(line, "lost: ", 6) == 0;
    show_note(NULL, line);
}

/* Items of a table, by what its stripes count. */
static uint64_t items_of(const struct copy *c, uint32_t table) {
    uint64_t items = 0;
    for (uint32_t i = 0; i < STRIPES; i++)
        items += stripe_of(c, table, i)->count;
    return items;
}

static void try_row(int fd, const struct row *row, uint32_t table, uint32_t number) {
    struct copy c = copy_of(fd, ITEMS);
    struct stripe_shm *s = stripe_of(&c, table, number);
    uint64_t before = items_of(&c, table), in_stripe = s->count;
    struct larder_repair_report report = {0};
    int losses_named = 0;
    struct larder *db;
    row->harm(&c, s, stripe_of(&c, table, (number + 1) % STRIPES));
    cr_assert_eq(attach(&c, 0, &db), LARDER_OK);
    int r = larder_repair(db, &(struct larder_repair_options){.note = note, .arg = &losses_named}, &report);
    cr_assert_eq(r, LARDER_OK, "%s, stripe %u: %s", row->name, number, larder_error());
    larder_close(db);
    uint64_t missing = before - items_of(&c, table);
    cr_assert_eq(report.items_lost, missing, "%s, table %u, stripe %u: %lu missing, %lu lost", row->name, table, number,
                 (unsigned long)missing, (unsigned long)report.items_lost);
    cr_assert_eq(losses_named != 0, missing != 0, "%s, table %u, stripe %u: %d notes", row->name, table, number,
                 losses_named);
    if (row->lost != SOME)
        cr_assert_eq(missing, row->lost == ALL ? in_stripe : (uint64_t)row->lost, "%s: %lu", row->name,
                     (unsigned long)missing);
    else if (table == 0)
        cr_assert(missing > 0 && missing < in_stripe, "%s: %lu", row->name, (unsigned long)missing);
    cr_assert(!((s->seq + ITEMS) & SEQ_MARK), "%s: the next writes would mark the stripe", row->name);
    drop_copy(&c);
}

static void try_rows(uint32_t table) {
    int fd = make_segment(ITEMS);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (uint32_t number = 0; number < STRIPES; number++)
            if (table == 0 || !rows[i].is_of_rich)
                try_row(fd, &rows[i], table, number);
    close(fd);
}

/* Table order and indexes say what was there. */
Test(repair_loss, of_a_table_with_lists) {
    try_rows(0);
}

/* No sort key and no index: only the stripes count. */
Test(repair_loss, of_a_table_without_lists) {
    try_rows(1);
}
