/* tests/crash/changed_byte_test.c - one byte of an item is changed: what reads give, what the check
 * says, what the repair leaves.
 *
 * Goal     What larder.h says under "Damage". Reads go on: an error, or what the bytes say by now.
 *          larder_check() finds every change by which an item is read differently, in whatever way,
 *          except that one name or value, no key of table or index and no expiry, became another
 *          valid one. larder_repair() then keeps or mends the item, at most with one other name or
 *          value, or drops and counts it; no other item is touched.
 * Method   Items of each layout: few attributes, an expiry, all types nested, a directory. Every
 *          byte of their images is changed in ten ways: each bit, 0, 0xff. After each change
 *          everything is read through every path, in tokens: a name, a type with its count, or a
 *          value. So "one name or value" is one token. The short form makes every third change, and
 *          a repair for every eighth of them; the seed decides where it begins.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/item/item.h"
#include "core/segment/layout.h"
#include "tests/support/expect.h"
#include "tests/support/rng.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"

TestSuite(changed_byte, .timeout = 600 * SLOW_FACTOR);

#define SEGMENT_BYTES (4u << 20)
#define ITEMS 9u
#define PARTITIONS 3u
#define WAYS 10u
#define TOKENS_MAX 400u
#define TEXT_MAX 8192u
#define FAR_FUTURE 4000000000

/* FREE: a name or value; OF_INDEX: one of the expiry, or of a key of an index that has the item;
 * FIXED: a type or count, or a part of the primary key. */
enum { FREE, OF_INDEX, FIXED };

/* What an item was read as. */
struct reading {
    int result;
    uint32_t count, used;
    struct token {
        uint32_t at, bytes; /* of text */
        int kind;           /* of what */
    } token[TOKENS_MAX];
    char text[TEXT_MAX];
};

struct fixture {
    int is_joined; /* the index has keys of several attributes */
    struct larder *db;
    struct larder_table *t;
    struct larder_page *page;
    unsigned char *base, *saved;
    uint64_t bytes; /* claimed */
    struct reading was[ITEMS];
    uint32_t silent, found, same, repaired, lost;
};

/* ---- Items ----------------------------------------------------------------------------------- */

static void names_of(uint32_t i, char *partition, char *sort) {
    sprintf(partition, "PART#%u", i % PARTITIONS);
    sprintf(sort, "SORT#%04u", i);
}

static void add_all_types(struct larder_builder *b) {
    larder_builder_add_bool(b, "flag", 1);
    larder_builder_add_null(b, "nothing");
    larder_builder_add_b(b, "raw", "\1\0\377", 3);
    larder_builder_begin(b, "map", LARDER_M);
    larder_builder_add_n(b, "price", "-12.75");
    larder_builder_begin(b, "list", LARDER_L);
    larder_builder_add_s(b, NULL, "first");
    larder_builder_add_bool(b, NULL, 0);
    larder_builder_end(b);
    larder_builder_end(b);
    larder_builder_begin(b, "numbers", LARDER_NS);
    larder_builder_add_n(b, NULL, "1");
    larder_builder_add_n(b, NULL, "20");
    larder_builder_end(b);
    larder_builder_begin(b, "texts", LARDER_SS);
    larder_builder_add_s(b, NULL, "a");
    larder_builder_add_s(b, NULL, "bc");
    larder_builder_end(b);
}

/* Every fifth item is not in the index. */
static int is_in_index(uint32_t i) {
    return i % 5 != 4;
}

/* Four layouts by turns. */
static void put(struct fixture *f, struct larder_builder *b, uint32_t i) {
    const struct larder_item *item;
    char partition[16], sort[16], name[16];
    names_of(i, partition, sort);
    larder_builder_reset(b);
    larder_builder_add_s(b, "PK", partition);
    larder_builder_add_s(b, "SK", sort);
    if (is_in_index(i)) {
        larder_builder_add_s(b, "group", "all");
        larder_builder_add_s(b, "area", "\1\2 here");
    }
    larder_builder_add_int(b, "rank", 1000 + i * 7 % ITEMS);
    larder_builder_add_s(b, "title", "a text of some length");
    if (i % 4 == 1)
        larder_builder_add_int(b, "expires", FAR_FUTURE + i);
    if (i % 4 == 2)
        add_all_types(b);
    for (uint32_t k = 0; i % 4 == 3 && k < ITEM_WALKED_MAX; k++) {
        sprintf(name, "field%02u", k);
        larder_builder_add_int(b, name, k);
    }
    EXPECT(larder_builder_finish(b, &item), LARDER_OK);
    EXPECT(larder_put(f->t, item, NULL), LARDER_OK);
}

/* The image of an item: by its key area, which occurs once. */
static uint64_t image_of(const struct fixture *f, uint32_t i, uint32_t *bytes) {
    char partition[16], sort[16], area[40];
    names_of(i, partition, sort);
    int length = sprintf(area, "%s%s", partition, sort);
    const unsigned char *at = memmem(f->base, f->bytes, area, (size_t)length);
    cr_assert(at);
    const struct item_head *h = (const struct item_head *)(const void *)(at - sizeof *h);
    *bytes = h->bytes;
    return (uint64_t)(at - f->base) - sizeof *h;
}

/* ---- Reading --------------------------------------------------------------------------------- */

static void add_token(struct reading *r, const void *bytes, size_t count, int kind) {
    if (r->count == TOKENS_MAX || count > TEXT_MAX - r->used) {
        r->result = LARDER_E_CORRUPT; /* more than any of the items has */
        return;
    }
    r->token[r->count++] = (struct token){r->used, (uint32_t)count, kind};
    if (count)
        memcpy(r->text + r->used, bytes, count);
    r->used += (uint32_t)count;
}

static void read_members(struct reading *r, struct larder_iter *it, int kind);

static void read_value(struct reading *r, const struct larder_value *value, int kind) {
    struct larder_iter it;
    char number[LARDER_NUMBER_TEXT_MAX];
    uint32_t type[2] = {value->type, value->count};
    add_token(r, type, sizeof type, FIXED);
    if (value->type >= LARDER_M) {
        larder_iter_value(value, &it);
        read_members(r, &it, kind);
    } else if (value->type == LARDER_N) {
        if (larder_value_number(value, number) == LARDER_OK)
            add_token(r, number, strlen(number), kind);
        else
            r->result = LARDER_E_CORRUPT;
    } else if (value->type == LARDER_BOOL)
        add_token(r, &value->is_true, sizeof value->is_true, kind);
    else
        add_token(r, value->data, value->bytes, kind);
}

static void read_members(struct reading *r, struct larder_iter *it, int kind) {
    struct larder_member m;
    int result;
    while (r->result == LARDER_OK && (result = larder_iter_next(it, &m)) != LARDER_NOT_FOUND) {
        if (result != LARDER_OK) {
            r->result = result;
            return;
        }
        add_token(r, m.name, m.name_bytes, kind);
        read_value(r, &m.value, kind);
    }
}

static int is_named(const struct larder_member *m, const char *name) {
    return m->name_bytes == strlen(name) && memcmp(m->name, name, m->name_bytes) == 0;
}

static int is_area_key; /* is_joined of the fixture */

static int kind_of(const struct larder_member *m, uint32_t i) {
    if (is_named(m, "PK") || is_named(m, "SK"))
        return FIXED;
    int is_key =
        is_in_index(i) && (is_named(m, "group") || is_named(m, "rank") || (is_area_key && is_named(m, "area")));
    return is_key || is_named(m, "expires") ? OF_INDEX : FREE;
}

/* item i, as it is now */
static void read_item(struct reading *r, uint32_t i, const struct larder_item *item) {
    struct larder_iter it;
    struct larder_member m;
    int result;
    r->result = LARDER_OK;
    r->count = r->used = 0;
    larder_iter_item(item, &it);
    while (r->result == LARDER_OK && (result = larder_iter_next(&it, &m)) != LARDER_NOT_FOUND) {
        if (result == LARDER_OK) {
            add_token(r, m.name, m.name_bytes, kind_of(&m, i));
            read_value(r, &m.value, kind_of(&m, i));
        } else
            r->result = result;
    }
}

static void get(struct larder_table *t, struct larder_page *page, uint32_t i, struct reading *r) {
    char partition[16], sort[16];
    names_of(i, partition, sort);
    const struct larder_key key = {larder_str(partition), larder_str(sort)};
    r->result = larder_get(t, &key, page);
    r->count = r->used = 0;
    if (r->result == LARDER_OK)
        read_item(r, i, larder_page_item(page, 0));
}

/* How two readings differ: by one name or value that is free, or that is of an index; or in another
 * way. */
enum { SAME, IN_CONTENT, IN_INDEX_KEY, OTHERWISE };
static int difference(const struct reading *was, const struct reading *is) {
    int how = SAME;
    if (is->result != LARDER_OK || is->count != was->count)
        return OTHERWISE;
    for (uint32_t i = 0; i < is->count; i++) {
        const struct token *a = &was->token[i], *b = &is->token[i];
        if (a->bytes == b->bytes && memcmp(was->text + a->at, is->text + b->at, a->bytes) == 0)
            continue;
        if (a->kind == FIXED || how != SAME)
            return OTHERWISE;
        how = a->kind == FREE ? IN_CONTENT : IN_INDEX_KEY;
    }
    return how;
}

/* Which item this is; ITEMS: none. */
static uint32_t item_number(const struct larder_item *item) {
    struct larder_value sort;
    char text[16] = "";
    if (larder_item_get(item, "SK", &sort) != LARDER_OK || sort.type != LARDER_S || sort.bytes != 9)
        return ITEMS;
    memcpy(text, sort.data, sort.bytes);
    unsigned i = ITEMS;
    return sscanf(text, "SORT#%4u", &i) == 1 && i < ITEMS ? i : ITEMS;
}

/* Whether a page has the items that it must have, in their order, each read as `subject` is by
 * get, or as it was. */
static int is_page_as_got(const struct fixture *f, const struct larder_page *page, const uint32_t *due, uint32_t count,
                          uint32_t subject, const struct reading *got) {
    static struct reading r;
    if (larder_page_count(page) != count)
        return 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct larder_item *item = larder_page_item(page, i);
        read_item(&r, due[i], item);
        if (item_number(item) != due[i] || difference(due[i] == subject ? got : &f->was[due[i]], &r) != SAME)
            return 0;
    }
    return 1;
}

static int by_rank(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a * 7 % ITEMS, y = *(const uint32_t *)b * 7 % ITEMS;
    return (x > y) - (x < y);
}

static int is_query_as_got(const struct fixture *f, struct larder_table *t, struct larder_page *page,
                           const struct larder_query_spec *spec, const uint32_t *due, uint32_t count, uint32_t subject,
                           const struct reading *got) {
    return larder_query(t, spec, page) == LARDER_OK && is_page_as_got(f, page, due, count, subject, got);
}

/* Whether queries of the table agree with what get gives; is_lost: the subject is known to be
 * gone. */
static int are_partitions_as_got(const struct fixture *f, struct larder_table *t, struct larder_page *page,
                                 uint32_t subject, const struct reading *got, int is_lost) {
    for (uint32_t partition = 0; partition < PARTITIONS; partition++) {
        char name[16];
        uint32_t due[ITEMS], count = 0;
        sprintf(name, "PART#%u", partition);
        for (uint32_t i = partition; i < ITEMS; i += PARTITIONS)
            if (!(is_lost && i == subject))
                due[count++] = i;
        if (!is_query_as_got(f, t, page, &(struct larder_query_spec){.partition = larder_str(name)}, due, count,
                             subject, got))
            return 0;
    }
    return 1;
}

/* The same for the index. */
static int is_index_as_got(const struct fixture *f, struct larder_table *t, struct larder_page *page, uint32_t subject,
                           const struct reading *got, int is_lost) {
    uint32_t due[ITEMS], count = 0;
    for (uint32_t i = 0; i < ITEMS; i++)
        if (is_in_index(i) && !(is_lost && i == subject))
            due[count++] = i;
    qsort(due, count, sizeof *due, by_rank);
    const struct larder_value area = larder_str("\1\2 here");
    const struct larder_query_key more = {.partition_more = &area, .partition_more_count = 1};
    return is_query_as_got(f, t, page,
                           &(struct larder_query_spec){
                               .index = "byRank", .partition = larder_str("all"), .more = f->is_joined ? &more : NULL},
                           due, count, subject, got);
}

/* ---- Judging --------------------------------------------------------------------------------- */

static void begin(struct fixture *f) {
    static const struct larder_key_def area = {"area", LARDER_S}, key = {"SK", LARDER_S};
    const struct larder_index_def index = {.name = "byRank",
                                           .partition = {"group", LARDER_S},
                                           .sort = {"rank", LARDER_N},
                                           .partition_more = &area,
                                           .partition_more_count = (uint32_t)f->is_joined,
                                           .sort_more = &key,
                                           .sort_more_count = (uint32_t)f->is_joined};
    const struct larder_table_def def = {.name = "items",
                                         .partition = {"PK", LARDER_S},
                                         .sort = {"SK", LARDER_S},
                                         .indexes = &index,
                                         .index_count = 1,
                                         .ttl_attribute = "expires"};
    struct larder_builder *b;
    struct larder_segment_stats stats;
    f->db = testseg_open(SEGMENT_BYTES, 4);
    EXPECT(larder_table_create(f->db, &def), LARDER_OK);
    EXPECT(larder_table_open(f->db, "items", &f->t), LARDER_OK);
    EXPECT(larder_builder_new(f->db, &b), LARDER_OK);
    EXPECT(larder_page_new(f->db, &f->page), LARDER_OK);
    for (uint32_t i = 0; i < ITEMS; i++)
        put(f, b, i);
    larder_builder_free(b);
    EXPECT(larder_segment_stats(f->db, &stats), LARDER_OK);
    f->bytes = stats.claimed_bytes;
    f->base = mmap(NULL, f->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, larder_memfd(f->db), 0);
    f->saved = malloc(f->bytes);
    cr_assert(f->base != MAP_FAILED && f->saved);
    for (uint32_t i = 0; i < ITEMS; i++) {
        get(f->t, f->page, i, &f->was[i]);
        cr_assert_eq(f->was[i].result, LARDER_OK);
    }
    memcpy(f->saved, f->base, f->bytes);
}

static void finish(struct fixture *f) {
    larder_close(f->db);
    munmap(f->base, f->bytes);
    free(f->saved);
}

static unsigned char changed(unsigned char byte, uint32_t way) {
    return way < 8 ? (unsigned char)(byte ^ 1u << way) : way == 8 ? 0 : 0xff;
}

static void others_are_as_they_were(const struct fixture *f, struct larder_table *t, struct larder_page *page,
                                    uint32_t subject, const char *what) {
    static struct reading r;
    for (uint32_t i = 0; i < ITEMS; i++) {
        if (i == subject)
            continue;
        get(t, page, i, &r);
        cr_assert_eq(difference(&f->was[i], &r), SAME, "%s: item %u: %s", what, i, larder_result_name(r.result));
    }
}

/* Repairs through a handle of its own, judges, and puts everything back. */
static void repair(struct fixture *f, uint32_t subject, int is_joined_key, const char *what) {
    static struct reading got;
    struct larder_repair_report report;
    struct larder_check_report check;
    struct larder *db = testseg_attach(f->db, 0);
    struct larder_table *t;
    struct larder_page *page;
    EXPECT(larder_repair(db, NULL, &report), LARDER_OK);
    cr_assert(report.errors_found > 0 && report.errors_left == 0, "%s", what);
    cr_assert_eq(larder_check(db, NULL, &check), LARDER_OK, "%s: %s", what, check.first_error);
    EXPECT(larder_table_open(db, "items", &t), LARDER_OK);
    EXPECT(larder_page_new(db, &page), LARDER_OK);
    others_are_as_they_were(f, t, page, subject, what);
    get(t, page, subject, &got);
    int is_lost = got.result == LARDER_NOT_FOUND;
    cr_assert(is_lost ? report.items_lost == 1 : report.items_lost == 0, "%s: %s, %lu lost", what,
              larder_result_name(got.result), (unsigned long)report.items_lost);
    int how = is_lost ? SAME : difference(&f->was[subject], &got);
    cr_assert(how != OTHERWISE, "%s: it is kept as something else", what);
    cr_assert(!is_joined_key || (!is_lost && how == SAME), "%s: what attributes say again was not mended", what);
    cr_assert(are_partitions_as_got(f, t, page, subject, &got, is_lost), "%s: after the repair queries differ", what);
    cr_assert(how == IN_INDEX_KEY || is_index_as_got(f, t, page, subject, &got, is_lost),
              "%s: after the repair the index differs", what);
    larder_close(db);
    memcpy(f->base, f->saved, f->bytes);
    f->repaired++;
    f->lost += (uint32_t)is_lost;
}

/* Whether the byte is one of the item's joined partition key, with its tag. */
static int is_in_joined_key(const struct fixture *f, uint64_t image, uint32_t bytes, uint64_t off) {
    static const char start[] = "\xff"
                                "all";
    const unsigned char *at = memmem(f->saved + image, bytes, start, sizeof start);
    if (!f->is_joined || !at)
        return 0;
    uint64_t first = (uint64_t)(at - f->saved) - 1;
    return off >= first && off < first + 2 + (f->saved[first] & 0x7fu);
}

static void try_change(struct fixture *f, uint32_t subject, uint64_t off, uint32_t way, int wants_repair) {
    static struct reading got;
    struct larder_check_report report;
    char what[80];
    unsigned char byte = f->saved[off], to = changed(byte, way);
    uint32_t bytes;
    uint64_t image = image_of(f, subject, &bytes);
    snprintf(what, sizeof what, "item %u, byte %lu from %02x to %02x", subject, (unsigned long)(off - image), byte, to);
    f->base[off] = to;
    others_are_as_they_were(f, f->t, f->page, subject, what);
    get(f->t, f->page, subject, &got);
    int how = difference(&f->was[subject], &got);
    if (how <= IN_CONTENT && !(are_partitions_as_got(f, f->t, f->page, subject, &got, 0) &&
                               is_index_as_got(f, f->t, f->page, subject, &got, 0)))
        how = OTHERWISE;
    int r = larder_check(f->db, NULL, &report);
    cr_assert(r == LARDER_OK || r == LARDER_DAMAGED, "%s: %s", what, larder_result_name(r));
    cr_assert(how <= IN_CONTENT || r == LARDER_DAMAGED, "%s: it is read differently (%s), and the check finds nothing",
              what, larder_result_name(got.result));
    f->silent += how == IN_CONTENT && r == LARDER_OK;
    f->found += how != SAME && r == LARDER_DAMAGED;
    f->same += how == SAME;
    if (r == LARDER_DAMAGED && wants_repair)
        repair(f, subject, is_in_joined_key(f, image, bytes, off), what);
    f->base[off] = byte;
}

static void try_changes(int is_joined) {
    struct fixture f = {.is_joined = is_area_key = is_joined};
    struct rng rng;
    int is_long = getenv("LARDER_TEST_LONG") != NULL;
    uint32_t bytes, stride = is_long ? 1 : 3 * SLOW_FACTOR, tried = 0;
    begin(&f);
    rng_seed(&rng, rng_test_seed("changed byte"));
    uint64_t number = rng_below(&rng, stride);
    for (uint32_t i = 0; i < 5; i++) { /* the fifth is not in the index */
        uint64_t image = image_of(&f, i, &bytes), count = (uint64_t)bytes * WAYS;
        for (; number < count; number += stride, tried++) {
            uint64_t off = image + number / WAYS;
            uint32_t way = (uint32_t)(number % WAYS);
            if (changed(f.saved[off], way) != f.saved[off])
                try_change(&f, i, off, way, is_long || tried % 8 == 0);
        }
        number -= count;
    }
    fprintf(stderr,
            "changed byte: %u changes: %u read differently and found, %u one name or value, %u not seen by reads; "
            "%u repaired, %u of them lost\n",
            tried, f.found, f.silent, f.same, f.repaired, f.lost);
    cr_assert(f.found > 0 && f.silent > 0 && f.same > 0 && f.repaired > 0);
    finish(&f);
}

Test(changed_byte, is_found_unless_it_is_one_valid_name_or_value) {
    try_changes(0);
}

/* Of a joined key, too, which the attributes say again: no item is lost for it. */
Test(changed_byte, is_found_in_an_index_of_several_attributes) {
    try_changes(1);
}
