/* tests/crash/repair_history_test.c - damaged segments with a past are repaired.
 *
 * Goal     Whatever happened to a table's definition before (tests/crash/past.h), after one
 *          larder_repair() the segment is clean, each item that was put and was not hit is there
 *          with exactly its attributes through the table and every index, a second repair changes
 *          nothing, and all goes on.
 * Method   For each past and each kind of structure: words of it are flipped, zeroed, made random
 *          or exchanged, in a copy. What was hit decides what may be missing: nothing, if only
 *          lists, heap, timers, stamps, index slots, journals or caches were. A child repairs,
 *          judges and uses the copy. Repairs also die at their stores, and the next one must find
 *          the same.
 */
#include "core/base/crash.h"
#include "core/item/item_records.h"
#include "core/table/db.h"
#include "core/table/schema.h"
#include "tests/crash/ground.h"
#include "tests/support/expect.h"
#include "tests/support/proc.h"
#include "tests/support/rng.h"
#include "tests/support/slow.h"
#include "tests/support/until.h"
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

TestSuite(repair_history, .timeout = 900 * SLOW_FACTOR);

#define DEADLINE_MS 30000
#define NOT_AN_ITEM (-1)

static int is_long(void) {
    return getenv("LARDER_TEST_LONG") != NULL;
}

/* ---- A trial --------------------------------------------------------------------------------- */

struct trial {
    struct ground *g;
    int memfd;
    uint8_t *base; /* of the copy */
    struct past_harm harm;
    int may_be_refused;
    uint64_t k;      /* the repair dies at this store; 0: never */
    uint64_t *count; /* shared: stores of a repair */
    struct larder_repair_report *report;
    uint64_t seed;
};

static void trial_begin(struct trial *t, struct ground *g) {
    memset(t, 0, sizeof *t);
    t->g = g;
    t->memfd = past_copy(&g->past);
    t->base = mmap(NULL, PAST_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, t->memfd, 0);
    t->count = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert(t->base != MAP_FAILED && t->count != MAP_FAILED);
    t->report = (struct larder_repair_report *)(t->count + 8);
}

static void trial_end(struct trial *t) {
    munmap(t->base, PAST_BYTES);
    munmap(t->count, 4096);
    close(t->memfd);
}

static void show_note(void *arg, const char *line) {
    (void)arg;
    if (getenv("REPAIR_TEST_NOTES"))
        fprintf(stderr, "  %s\n", line);
}

/* All kinds but slots and the like. */
static uint64_t bytes_that_count(const struct trial *t, uint8_t **from) {
    const struct seg_shm *head = (const struct seg_shm *)(void *)t->base;
    *from = t->base + head->catalog_off;
    return head->claimed_bytes - head->catalog_off;
}

static void must_change_nothing(struct trial *t, struct larder *db) {
    struct larder_repair_report report;
    uint8_t *from, *before;
    uint64_t bytes = bytes_that_count(t, &from);
    before = malloc(bytes);
    memcpy(before, from, bytes);
    PROC_CHECK(larder_repair(db, &(struct larder_repair_options){.note = show_note}, &report) == LARDER_OK);
    PROC_CHECK(report.errors_found == 0);
    PROC_CHECK(memcmp(before, from, bytes) == 0);
    free(before);
}

static int repair_and_judge(void *arg) {
    struct trial *t = arg;
    struct larder *db = past_attach(&t->g->past, t->memfd, LARDER_REPAIR);
    PROC_CHECK(db);
    int r = larder_repair(db, &(struct larder_repair_options){.note = show_note}, t->report);
    if (r == LARDER_E_CORRUPT && t->may_be_refused)
        return 0;
    if (r != LARDER_OK)
        fprintf(stderr, "repair: %s: %s (%lu found, %lu left)\n", larder_result_name(r), larder_error(),
                t->report->errors_found, t->report->errors_left);
    PROC_CHECK(r == LARDER_OK && t->report->errors_left == 0);
    must_change_nothing(t, db);
    past_judge(&t->g->past, db, &t->harm);
    larder_close(db);
    return 0;
}

static int repair_and_die(void *arg) {
    struct trial *t = arg;
    struct larder *db = past_attach(&t->g->past, t->memfd, LARDER_REPAIR);
    PROC_CHECK(db);
    shm_crash_arm(t->k);
    (void)larder_repair(db, &(struct larder_repair_options){.note = show_note}, t->report);
    *t->count = shm_crash_count();
    return 0;
}

static void judge(struct trial *t, const char *what) {
    struct proc_result r = proc_run(repair_and_judge, t, DEADLINE_MS);
    cr_assert(proc_is_exit(r, 0), "%s: %s, store %lu, LARDER_SEED=%#lx: %s", t->g->past.name, what, (unsigned long)t->k,
              (unsigned long)t->seed, proc_text(r));
}

/* ---- What a hit may do ----------------------------------------------------------------------- */

static void all_may_be_lost(struct trial *t) {
    memset(t->harm.may_be_lost, 1, sizeof t->harm.may_be_lost);
}

static void owner_may_be_lost(struct trial *t, uint64_t off) {
    const struct owner *o = owner_of(t->g, off);
    if (o)
        t->harm.may_be_lost[o->table][o->n] = 1;
}

/* A word of an image. Stamps and index slots can be rebuilt. An item hit elsewhere may be lost, or
 * have become something else. */
static void note_image(struct trial *t, uint64_t off) {
    const struct owner *o = owner_of(t->g, off);
    if (!o)
        return;
    struct damage_template *where = &t->g->where;
    uint64_t inside = off - o->off;
    struct item_head head;
    cr_assert_eq(pread(t->g->past.memfd, &head, sizeof head, (off_t)o->off), sizeof head);
    uint64_t slots = sizeof head + item_key_area_bytes(&head), timed = o->end - o->off - item_timed_bytes(&head);
    (void)where;
    int is_stamp = inside == offsetof(struct item_head, version) || inside >= timed ||
                   (inside >= slots && inside < slots + sizeof(struct item_index_slot) * head.index_count);
    if (is_stamp)
        return;
    t->harm.may_be_lost[o->table][o->n] = 1;
    t->harm.may_differ[o->table][o->n] = 1;
}

static void note_table(struct trial *t, uint64_t off) {
    const struct seg_shm *head = (const struct seg_shm *)(void *)t->base;
    uint64_t word = (off - head->catalog_off) % sizeof(struct table_shm);
    if (word >= offsetof(struct table_shm, restamp))
        return;
    memset(t->harm.table_may_be_lost, 1, sizeof t->harm.table_may_be_lost);
    t->harm.table_may_come_back = 1;
    t->may_be_refused = 1; /* two definitions exchanged */
    all_may_be_lost(t);
}

static void note_hit(struct trial *t, enum damage_class c, const struct damage_extent *x, uint64_t off,
                     uint64_t before) {
    if (c == DAMAGE_ITEM)
        note_image(t, off);
    else if (c == DAMAGE_TABLE)
        note_table(t, off);
    else if (c == DAMAGE_SCHEMA) {
        memset(t->harm.table_may_be_lost, 1, sizeof t->harm.table_may_be_lost);
        all_may_be_lost(t);
    } else if (c == DAMAGE_STRIPE && off - x->off == offsetof(struct stripe_shm, array))
        all_may_be_lost(t);
    else if (c == DAMAGE_BUCKETS && before)
        owner_may_be_lost(t, WORD_OFF(before));
}

/* ---- Hitting --------------------------------------------------------------------------------- */

static uint64_t *word_at(const struct trial *t, uint64_t off) {
    return (uint64_t *)(void *)(t->base + off);
}

static const uint32_t head_words[] = {offsetof(struct seg_shm, claimed_bytes), offsetof(struct seg_shm, catalog_lock),
                                      offsetof(struct seg_shm, gate_lock), offsetof(struct seg_shm, span_lock)};

/* A word of the structure. Of the head, only what a repair cannot mend is left out. */
static uint64_t pick_word(const struct ground *g, struct rng *rng, enum damage_class c,
                          const struct damage_extent **x) {
    *x = &g->where.extents[c][rng_below(rng, g->where.counts[c])];
    if (c == DAMAGE_HEAD)
        return head_words[rng_below(rng, sizeof head_words / sizeof *head_words)];
    /* head, keys and slots more often than long values */
    if (c == DAMAGE_ITEM && !rng_is_one_in(rng, 3)) {
        uint32_t most = (*x)->bytes / 8 < 12 ? (*x)->bytes / 8 : 12;
        return (*x)->off + 8 * rng_below(rng, most);
    }
    return (*x)->off + 8 * rng_below(rng, (*x)->bytes / 8);
}

static void show_hit(const char *what, uint64_t off, uint64_t before, uint64_t after) {
    if (getenv("REPAIR_TEST_NOTES"))
        fprintf(stderr, "  %s: word at %lu: %016lx -> %016lx\n", what, (unsigned long)off, (unsigned long)before,
                (unsigned long)after);
}

static void hit(struct trial *t, struct rng *rng, enum damage_class c) {
    const struct damage_extent *x, *y;
    if (t->g->where.counts[c] == 0)
        return;
    uint64_t off = pick_word(t->g, rng, c, &x), *word = word_at(t, off), before = *word;
    note_hit(t, c, x, off, before);
    switch (rng_below(rng, 5)) {
    case 0:
        *word ^= UINT64_C(1) << rng_below(rng, 64);
        break;
    case 1:
        *word = 0;
        break;
    case 2:
        *word = rng_is_one_in(rng, 2) ? UINT64_MAX : rng_next(rng);
        break;
    case 3:
        ((uint8_t *)word)[rng_below(rng, 8)] = (uint8_t)rng_next(rng);
        break;
    default: { /* exchanged with another one of its kind */
        uint64_t other = pick_word(t->g, rng, c, &y);
        note_hit(t, c, y, other, *word_at(t, other));
        *word = *word_at(t, other);
        *word_at(t, other) = before;
        show_hit(damage_class_name(c), other, *word, before);
    }
    }
    show_hit(damage_class_name(c), off, before, *word);
}

/* ---- 1. Each past, each structure ------------------------------------------------------------ */

static void try_class(struct ground *g, enum damage_class c, uint64_t seed, int hits) {
    const char *only = getenv("REPAIR_TEST_TRIAL"); /* the seed that a failure told */
    struct trial t;
    struct rng rng;
    if (only && strtoull(only, NULL, 0) != seed)
        return;
    trial_begin(&t, g);
    rng_seed(&rng, t.seed = seed);
    for (int i = 0; i < hits; i++)
        hit(&t, &rng, c < DAMAGE_CLASSES ? c : (enum damage_class)rng_below(&rng, DAMAGE_CLASSES));
    judge(&t, c < DAMAGE_CLASSES ? damage_class_name(c) : "anything");
    trial_end(&t);
}

static int is_chosen(const char *variable, const char *name) {
    const char *only = getenv(variable);
    return !only || strcmp(only, name) == 0;
}

static void try_pasts(unsigned first, unsigned step) {
    uint64_t seed = rng_test_seed("repair, pasts");
    int rounds = is_long() ? 60 : SLOW_FACTOR > 1 ? 1 : 2;
    int class_step = !is_long() && SLOW_FACTOR > 1 ? 2 : 1; /* the pasts take turns */
    for (unsigned i = first; i < past_count(); i += step) {
        struct ground *g = ground_new(i);
        for (int c = (int)i % class_step; c <= DAMAGE_CLASSES && is_chosen("REPAIR_TEST_PAST", g->past.name);
             c += class_step)
            for (int round = 0; round < rounds; round++)
                try_class(g, (enum damage_class)c, seed + (uint64_t)round * 1000 + i * 50 + (uint64_t)c, 1 + round % 5);
        ground_free(g);
    }
}

Test(repair_history, structures_of_each_past_0) {
    try_pasts(0, 3);
}
Test(repair_history, structures_of_each_past_1) {
    try_pasts(1, 3);
}
Test(repair_history, structures_of_each_past_2) {
    try_pasts(2, 3);
}

/* ---- Pages: zeroed, exchanged, overwritten --------------------------------------------------- */

#define PAGE 4096u

static void note_page(struct trial *t, uint64_t off) {
    for (uint32_t i = 0; i < t->g->owners; i++) {
        const struct owner *o = &t->g->owner[i];
        if (o->off < off + PAGE && o->end > off)
            t->harm.may_differ[o->table][o->n] = 1;
    }
}

static void hit_page(struct trial *t, struct rng *rng) {
    uint8_t *from, page[PAGE];
    uint64_t bytes = bytes_that_count(t, &from);
    uint8_t *a = from + rng_below(rng, bytes / PAGE) * PAGE, *b = from + rng_below(rng, bytes / PAGE) * PAGE;
    note_page(t, (uint64_t)(a - t->base));
    switch (rng_below(rng, 3)) {
    case 0:
        memset(a, 0, PAGE);
        break;
    case 1:
        rng_bytes(rng, a, PAGE);
        break;
    default:
        note_page(t, (uint64_t)(b - t->base));
        memcpy(page, a, PAGE);
        memcpy(a, b, PAGE);
        memcpy(b, page, PAGE);
    }
}

/* Much may be lost. What is there is right. */
Test(repair_history, pages) {
    uint64_t seed = rng_test_seed("repair, pages");
    uint64_t rounds = is_long() ? 200 : SLOW_FACTOR > 1 ? 2 : 5;
    for (unsigned i = 0; i < past_count(); i++) {
        struct ground *g = ground_new(i);
        for (uint64_t round = 0; round < rounds && is_chosen("REPAIR_TEST_PAST", g->past.name); round++) {
            struct trial t;
            struct rng rng;
            trial_begin(&t, g);
            rng_seed(&rng, t.seed = seed + round * 100 + i);
            all_may_be_lost(&t);
            memset(t.harm.table_may_be_lost, 1, sizeof t.harm.table_may_be_lost);
            t.harm.table_may_come_back = t.may_be_refused = 1;
            for (uint64_t hits = 1 + rng_below(&rng, 3); hits > 0; hits--)
                hit_page(&t, &rng);
            judge(&t, "pages");
            trial_end(&t);
        }
        ground_free(g);
    }
}

/* The count of used blocks in one span: no item depends on it. */
static void harm_a_little(struct trial *t) {
    struct seg_shm *head = (struct seg_shm *)(void *)t->base;
    struct span_shm *spans = (struct span_shm *)(void *)(t->base + head->spans_off);
    spans[0].used = (uint16_t)(spans[0].used ^ 1);
}

/* Nothing that matters is damaged: everything is there, and every image has the same bytes. */
Test(repair_history, whole_images_stay) {
    for (unsigned i = 0; i < past_count(); i++) {
        struct ground *g = ground_new(i);
        struct trial t;
        trial_begin(&t, g);
        harm_a_little(&t);
        judge(&t, "a count");
        cr_assert_eq(t.report->items_mended, 0, "%s: %lu mended", g->past.name, t.report->items_mended);
        cr_assert_eq(t.report->items_lost, 0, "%s", g->past.name);
        cr_assert(t.report->errors_found > 0, "%s", g->past.name);
        trial_end(&t);
        ground_free(g);
    }
}

/* ---- 2. Repairs that die --------------------------------------------------------------------- */

typedef void harm_fn(struct trial *t, uint64_t seed);

static void harm_here_and_there(struct trial *t, uint64_t seed) {
    static const enum damage_class classes[] = {DAMAGE_ITEM, DAMAGE_ITEM, DAMAGE_LEAF, DAMAGE_SPAN};
    struct rng rng;
    rng_seed(&rng, seed);
    for (int c = 0; c < 4; c++)
        hit(t, &rng, classes[c]);
}

/* Dies at some stores of a repair. Another repair then finds everything. */
static void die_in_repairs(struct ground *g, harm_fn *harm, uint64_t seed, uint64_t trials) {
    struct trial t;
    struct rng rng;
    uint64_t total = 0;
    for (uint64_t i = 0; i <= trials; i++) {
        trial_begin(&t, g);
        t.seed = seed;
        harm(&t, seed);
        rng_seed(&rng, seed + i);
        t.k = i ? 1 + rng_below(&rng, total) : 0;
        struct proc_result r = proc_run(repair_and_die, &t, DEADLINE_MS);
        cr_assert(t.k ? proc_is_signal(r, SIGKILL) : proc_is_exit(r, 0), "%s: %s", g->past.name, proc_text(r));
        if (t.k)
            judge(&t, "after a repair that died");
        else
            total = *t.count;
        trial_end(&t);
    }
}

Test(repair_history, repairs_die) {
    uint64_t seed = rng_test_seed("repair of pasts, dies");
    for (unsigned i = 0; i < past_count(); i++) {
        struct ground *g = ground_new(i);
        if (is_chosen("REPAIR_TEST_PAST", g->past.name))
            die_in_repairs(g, harm_here_and_there, seed + i, is_long() ? 50 : 3);
        ground_free(g);
    }
}

/* ---- 3. A definition that does not fit the images -------------------------------------------- */

#define ANOTHER 3 /* this index */
#define DEFINITION_BYTES_MAX 4096u
static uint8_t definition[DEFINITION_BYTES_MAX]; /* what takes the place of the first table's */
static uint32_t definition_bytes;

static uint8_t *definition_in(uint8_t *base) {
    const struct seg_shm *head = (const struct seg_shm *)(void *)base;
    const struct table_shm *aged = (const struct table_shm *)(void *)(base + head->catalog_off);
    return base + aged->schema_off;
}

static void keep_definition(int memfd) {
    uint8_t *base = mmap(NULL, PAST_BYTES, PROT_READ, MAP_SHARED, memfd, 0);
    cr_assert(base != MAP_FAILED);
    definition_bytes = ((const struct schema_head *)(void *)definition_in(base))->bytes;
    cr_assert(definition_bytes <= DEFINITION_BYTES_MAX);
    memcpy(definition, definition_in(base), definition_bytes);
    munmap(base, PAST_BYTES);
}

/* It is in space that was unused. */
static void harm_definition(struct trial *t, uint64_t seed) {
    const struct seg_shm *head = (const struct seg_shm *)(void *)t->base;
    struct table_shm *aged = (struct table_shm *)(void *)(t->base + head->catalog_off);
    const struct span_shm *span = (const struct span_shm *)(void *)(t->base + head->spans_off);
    uint64_t off = head->data_off;
    (void)seed;
    for (; span->state != SPAN_FREE; span++)
        off += SPAN_BYTES;
    cr_assert(off + SPAN_BYTES <= head->claimed_bytes);
    memcpy(t->base + off, definition, definition_bytes);
    aged->schema_off = off;
}

/* A segment with one more index, made from the segment of g. */
static int with_another_index(struct ground *g, uint32_t *indexes) {
    int copy = past_copy(&g->past);
    struct larder *db = past_attach(&g->past, copy, 0);
    struct larder_table *t;
    struct larder_index_def def;
    past_index_def(ANOTHER, &def);
    EXPECT(larder_table_open(db, past_tables[0], &t), LARDER_OK);
    EXPECT(larder_index_add(t, &def), LARDER_OK);
    larder_close(db);
    *indexes = g->past.indexes | 1u << ANOTHER;
    return copy;
}

static void try_definition(struct ground *g) {
    struct trial t;
    trial_begin(&t, g);
    harm_definition(&t, 0);
    judge(&t, "another definition");
    cr_assert(t.report->items_lost == 0 && t.report->items_mended > 100, "%lu lost, %lu mended", t.report->items_lost,
              t.report->items_mended);
    trial_end(&t);
    die_in_repairs(g, harm_definition, rng_test_seed("another definition"), is_long() ? 200 : 20);
}

static void count_losses(void *arg, const char *line) {
    *(unsigned *)arg += strncmp(line, "lost:", 5) == 0;
}

static uint64_t items_of(struct larder *db, const char *name) {
    struct larder_table_stats stats;
    struct larder_table *t;
    EXPECT(larder_table_open(db, name, &t), LARDER_OK);
    EXPECT(larder_table_stats(t, &stats), LARDER_OK);
    return stats.item_count;
}

/* One bit of a catalog entry is enough for that. It is the owner whose items fit; the other table
 * is lost, as if its definition could not be read. */
Test(repair_history, a_definition_that_two_entries_refer_to) {
    struct ground *g = ground_new(0);
    for (int i = 0; i < 2; i++) {
        struct larder_repair_report report;
        struct larder_table *table;
        struct trial t;
        unsigned losses = 0;
        trial_begin(&t, g);
        const struct seg_shm *head = (const struct seg_shm *)(void *)t.base;
        struct table_shm *entries = (struct table_shm *)(void *)(t.base + head->catalog_off);
        struct larder *db = past_attach(&g->past, t.memfd, 0);
        uint64_t items = items_of(db, past_tables[!i]);
        larder_close(db);
        entries[i].schema_off = entries[!i].schema_off;
        db = past_attach(&g->past, t.memfd, 0);
        EXPECT(larder_repair(db, &(struct larder_repair_options){.note = count_losses, .arg = &losses}, &report),
               LARDER_OK);
        cr_assert(report.tables_lost == 1 && report.errors_left == 0 && losses == 1, "%lu tables, %u losses named",
                  report.tables_lost, losses);
        EXPECT(larder_table_open(db, past_tables[i], &table), LARDER_E_NO_TABLE);
        cr_assert_eq(items_of(db, past_tables[!i]), items);
        larder_close(db);
        trial_end(&t);
    }
    ground_free(g);
}

/* Neither table's items fit the other's definition: nothing is done, so nothing is lost. */
Test(repair_history, exchanged_definitions_are_refused) {
    struct ground *g = ground_new(0);
    struct larder_repair_report report;
    struct trial t;
    trial_begin(&t, g);
    const struct seg_shm *head = (const struct seg_shm *)(void *)t.base;
    struct table_shm *table = (struct table_shm *)(void *)(t.base + head->catalog_off);
    uint64_t first = table[0].schema_off, second = table[1].schema_off, bytes;
    uint8_t *from, *before;
    bytes = bytes_that_count(&t, &from);
    before = malloc(bytes);
    table[0].schema_off = second;
    table[1].schema_off = first;
    memcpy(before, from, bytes);
    struct larder *db = past_attach(&g->past, t.memfd, LARDER_REPAIR);
    unsigned losses = 0;
    EXPECT(larder_repair(db, &(struct larder_repair_options){.note = count_losses, .arg = &losses}, &report),
           LARDER_E_CORRUPT);
    cr_assert(memcmp(before, from, bytes) == 0);
    cr_assert_eq(losses, 0, "it says that %u were lost", losses);
    cr_assert(strstr(larder_error(), "definition"), "%s", larder_error());
    larder_close(db);
    table[0].schema_off = first;
    table[1].schema_off = second;
    judge(&t, "put right again");
    free(before);
    trial_end(&t);
    ground_free(g);
}

/* The images have more slots than it has indexes. */
Test(repair_history, an_older_definition) {
    struct ground *g = ground_new(0);
    uint32_t indexes;
    keep_definition(g->past.memfd);
    int another = with_another_index(g, &indexes);
    dup2(another, g->past.memfd);
    close(another);
    try_definition(g);
    ground_free(g);
}

/* No image has the index that the definition calls active. */
Test(repair_history, a_newer_definition) {
    struct ground *g = ground_new(0);
    int another = with_another_index(g, &g->past.indexes);
    keep_definition(another);
    close(another);
    try_definition(g);
    ground_free(g);
}

/* ---- 4. Beside a reader, and on a small stack ------------------------------------------------ */

struct reading {
    struct ground *g;
    int memfd;
    _Atomic int is_over;
    _Atomic uint32_t fine, wrong;
};

/* The reader may be told to wait, or that something is wrong, and nothing else: no item is lost
 * here. */
static int read_on(void *arg) {
    struct reading *s = arg;
    struct past *p = &s->g->past;
    struct larder *db = past_attach(p, s->memfd, LARDER_READ_ONLY);
    struct larder_table *t;
    struct larder_page *page;
    struct larder_builder *b;
    PROC_CHECK(db && larder_table_open(db, past_tables[0], &t) == LARDER_OK);
    PROC_CHECK(larder_page_new(db, &page) == LARDER_OK && larder_builder_new(db, &b) == LARDER_OK);
    for (int n = 0; !s->is_over; n = (n + 1) % PAST_ITEMS) {
        struct past_key key;
        past_key(0, n, &key);
        int r = larder_get(t, &key.key, page);
        if (r == LARDER_OK)
            s->wrong +=
                larder_item_size(larder_page_item(page, 0)) != larder_item_size(past_item(b, 0, n, p->serial[0][n]));
        else
            s->wrong += r == LARDER_NOT_FOUND ? p->serial[0][n] != 0 : r != LARDER_E_CORRUPT && r != LARDER_E_BUSY;
        s->fine += r == LARDER_OK;
    }
    larder_close(db);
    return 0;
}

static void repair_beside_a_reader(struct ground *g, struct reading *s) {
    struct trial t;
    struct rng rng;
    trial_begin(&t, g);
    rng_seed(&rng, t.seed = rng_test_seed("beside a reader"));
    *s = (struct reading){.g = g, .memfd = t.memfd};
    pid_t pid = proc_fork(read_on, s);
    for (int i = 0; i < (is_long() ? 50 : 4); i++) {
        struct larder_repair_report report;
        uint32_t fine = s->fine;
        hit(&t, &rng, DAMAGE_LEAF);
        struct larder *db = past_attach(&g->past, t.memfd, LARDER_REPAIR);
        EXPECT(larder_repair(db, NULL, &report), LARDER_OK);
        larder_close(db);
        cr_assert(UNTIL(s->fine > fine + 10, DEADLINE_MS), "%s", g->past.name);
    }
    s->is_over = 1;
    cr_assert(proc_is_exit(proc_wait(pid, DEADLINE_MS), 0), "%s", g->past.name);
    cr_assert_eq(s->wrong, 0, "%s: %u wrong", g->past.name, s->wrong);
    judge(&t, "beside a reader");
    trial_end(&t);
}

Test(repair_history, beside_a_reader) {
    struct reading *s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    static const unsigned some[] = {7, 14, 17};
    for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
        struct ground *g = ground_new(some[i]);
        repair_beside_a_reader(g, s);
        ground_free(g);
    }
}

#define STACK_BYTES_MAX (48u << 10) /* as larder.h says */
#define STACK_BYTES (1u << 20)
#define STACK_PAINT 0xa5

struct repairing {
    struct larder *db;
    struct larder_repair_report report;
    int result;
};

static void *repair_in_thread(void *arg) {
    struct repairing *r = arg;
    r->result = larder_repair(r->db, NULL, &r->report);
    return NULL;
}

/* How much of a painted stack a repair uses, the thread's own start included. */
static size_t stack_of_a_repair(struct trial *t) {
    struct repairing r = {.db = past_attach(&t->g->past, t->memfd, LARDER_REPAIR)};
    uint8_t *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    size_t untouched = 0;
    pthread_attr_t attr;
    pthread_t thread;
    cr_assert(r.db && stack != MAP_FAILED);
    memset(stack, STACK_PAINT, STACK_BYTES);
    pthread_attr_init(&attr);
    cr_assert(pthread_attr_setstack(&attr, stack, STACK_BYTES) == 0);
    cr_assert(pthread_create(&thread, &attr, repair_in_thread, &r) == 0);
    pthread_join(thread, NULL);
    EXPECT(r.result, LARDER_OK);
    cr_assert(r.report.errors_found > 0);
    while (stack[untouched] == STACK_PAINT)
        untouched++;
    pthread_attr_destroy(&attr);
    munmap(stack, STACK_BYTES);
    larder_close(r.db);
    return STACK_BYTES - untouched;
}

Test(repair_history, a_small_stack_will_do) {
    static const unsigned some[] = {9, 17, 25};
    for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
        struct ground *g = ground_new(some[i]);
        struct trial t;
        struct rng rng;
        trial_begin(&t, g);
        rng_seed(&rng, 7);
        for (int k = 0; k < 3; k++)
            hit(&t, &rng, k ? DAMAGE_ITEM : DAMAGE_BUCKETS);
        harm_a_little(&t);
        size_t bytes = stack_of_a_repair(&t);
        if (getenv("REPAIR_TEST_NOTES"))
            fprintf(stderr, "%s: %zu bytes of stack\n", g->past.name, bytes);
        if (SLOW_FACTOR == 1) /* sanitizers need more */
            cr_assert(bytes <= STACK_BYTES_MAX, "%s: %zu bytes", g->past.name, bytes);
        trial_end(&t);
        ground_free(g);
    }
}
