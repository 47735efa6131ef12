/* tests/unit/table/schema_test.c - definitions of tables: what is allowed, and their bytes.
 *
 * Goal     Every rule refuses with a message that names the value. Every legal definition survives
 *          the way into bytes and back. No bytes whatever make the reader leave them or give an
 *          illegal definition.
 * Method   Tables of bad definitions with a word that the message must hold. Definitions are
 *          written to private memory, then damaged: byte by byte as they are (the checksum must
 *          notice), and with the checksum made right again.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "core/base/priv.h"
#include "core/table/schema.h"
#include "tests/support/rng.h"
#include "tests/support/slow.h"

TestSuite(schema, .timeout = 60 * SLOW_FACTOR);

#define LENGTH_OF(array) (sizeof(array) / sizeof *(array))
#define KEY_S(text)                                                                                                    \
    { .name = (text), .type = LARDER_S }
#define KEY_N(text)                                                                                                    \
    { .name = (text), .type = LARDER_N }
#define GLOBAL(text)                                                                                                   \
    { .name = (text), .partition = KEY_S("GPK"), .sort = KEY_S("GSK") }
#define LOCAL(text)                                                                                                    \
    { .name = (text), .is_local = 1, .partition = KEY_S("PK"), .sort = KEY_N("LSK") }

static char long_name[LARDER_NAME_BYTES_MAX + 2], longest_name[LARDER_NAME_BYTES_MAX + 1];

static void fill_names(void) {
    memset(long_name, 'x', sizeof long_name - 1);
    memset(longest_name, 'x', sizeof longest_name - 1);
}

/* ---- What is refused ------------------------------------------------------------------------- */

struct bad_table {
    const char *says; /* must be in the message */
    struct larder_table_def def;
};

/* A table with the given name, a string key, and the other given parts. */
#define TABLE(text, ...)                                                                                               \
    { .name = (text), .partition = KEY_S("PK"), __VA_ARGS__ }

TestSuite(schema_refuses, .timeout = 20 * SLOW_FACTOR, .init = fill_names);

static void expect_bad(const struct bad_table *bad) {
    int result = schema_check(&bad->def);
    cr_expect_eq(result, LARDER_E_INVAL, "result %d where \"%s\" was expected", result, bad->says);
    cr_expect(strstr(larder_error(), bad->says) != NULL, "\"%s\" does not say \"%s\"", larder_error(), bad->says);
}

Test(schema_refuses, names_and_keys) {
    const struct bad_table bad[] = {
        {"no name", TABLE(NULL, .removal = 0)},
        {"too few", TABLE("ab", .removal = 0)},
        {"\"\"", TABLE("", .removal = 0)},
        {"too many", TABLE(long_name, .removal = 0)},
        {"byte 2", TABLE("ab/c", .removal = 0)},
        {"byte 3", TABLE("tab\xc3\xa9", .removal = 0)},
        {"byte 0", TABLE(" abc", .removal = 0)},
        {"no partition key", {.name = "table"}},
        {"no bytes", {.name = "table", .partition = KEY_S("")}},
        {"too many bytes", {.name = "table", .partition = KEY_S(long_name)}},
        {"UTF-8 from byte 1", {.name = "table", .partition = KEY_S("a\xff")}},
        {"type 0", {.name = "table", .partition = {.name = "PK"}}},
        {"type 4", {.name = "table", .partition = {.name = "PK", .type = LARDER_BOOL}}},
        {"type -1", {.name = "table", .partition = {.name = "PK", .type = (enum larder_type) - 1}}},
        {"type 10", TABLE("table", .sort = {.name = "SK", .type = LARDER_BS})},
        {"no bytes", TABLE("table", .sort = KEY_S(""))},
        {"both partition key and sort key", TABLE("table", .sort = KEY_S("PK"))},
        {"both partition key and sort key", TABLE("table", .sort = KEY_N("PK"))},
        {"TTL attribute", TABLE("table", .ttl_attribute = "")},
        {"too many bytes", TABLE("table", .ttl_attribute = long_name)},
        {"UTF-8", TABLE("table", .ttl_attribute = "\xed\xa0\x80")},
        {"removal policy is 2", TABLE("table", .removal = (enum larder_removal)2)},
        {"removal policy is -1", TABLE("table", .removal = (enum larder_removal) - 1)},
        {"`indexes` is NULL", TABLE("table", .index_count = 1)},
    };
    for (size_t i = 0; i < LENGTH_OF(bad); i++)
        expect_bad(&bad[i]);
    cr_expect_eq(schema_check(NULL), LARDER_E_INVAL);
}

struct bad_index {
    const char *says;
    struct larder_index_def def;
};

Test(schema_refuses, one_index) {
    static const char *const twice[] = {"a", "b", "a"}, *const hole[] = {"a", NULL}, *const empty[] = {""},
                             *const fine[] = {"a"}, *const broken[] = {"\x80"};
    const char *many[LARDER_PROJECTED_NAMES_MAX + 1];
    for (size_t i = 0; i < LENGTH_OF(many); i++)
        many[i] = "never looked at";
    const enum larder_projection include = LARDER_PROJECT_INCLUDE;
#define INDEX(...)                                                                                                     \
    { .name = "index", .partition = KEY_S("A"), __VA_ARGS__ }
    const struct bad_index bad[] = {
        {"no name", {.partition = KEY_S("A")}},
        {"too few", {.name = "ix", .partition = KEY_S("A")}},
        {"too many", {.name = long_name, .partition = KEY_S("A")}},
        {"byte 5", {.name = "index!", .partition = KEY_S("A")}},
        {"no partition key", {.name = "index"}},
        {"type 3000", {.name = "index", .partition = {.name = "A", .type = (enum larder_type)3000}}},
        {"both partition key and sort key", INDEX(.sort = KEY_S("A"))},
        {"two types", INDEX(.sort = KEY_N("PK"))},
        {"two types", {.name = "index", .partition = KEY_N("SK")}},
        {"two types", {.name = "index", .partition = KEY_S("A"), .sort = {.name = "SK", .type = LARDER_B}}},
        {"projection 3", INDEX(.projection = (enum larder_projection)3)},
        {"projection -1", INDEX(.projection = (enum larder_projection) - 1)},
        {"LARDER_PROJECT_INCLUDE", INDEX(.included = fine, .included_count = 1)},
        {"LARDER_PROJECT_INCLUDE",
         INDEX(.projection = LARDER_PROJECT_KEYS_ONLY, .included = fine, .included_count = 1)},
        {"0 attributes", INDEX(.projection = include, .included = fine)},
        {"0 attributes", INDEX(.projection = include, .included_count = 1)},
        {"101 attributes", INDEX(.projection = include, .included = many, .included_count = LENGTH_OF(many))},
        {"\"a\" twice", INDEX(.projection = include, .included = twice, .included_count = 3)},
        {"number 2", INDEX(.projection = include, .included = hole, .included_count = 2)},
        {"no bytes", INDEX(.projection = include, .included = empty, .included_count = 1)},
        {"UTF-8", INDEX(.projection = include, .included = broken, .included_count = 1)},
        {"must be the table's", {.name = "index", .is_local = 1, .partition = KEY_S("A"), .sort = KEY_S("B")}},
        {"must be the table's", {.name = "index", .is_local = 1, .partition = KEY_N("PK"), .sort = KEY_S("B")}},
        {"no sort key", {.name = "index", .is_local = 1, .partition = KEY_S("PK")}},
    };
    for (size_t i = 0; i < LENGTH_OF(bad); i++)
        expect_bad(&(struct bad_table){bad[i].says,
                                       TABLE("table", .sort = KEY_S("SK"), .indexes = &bad[i].def, .index_count = 1)});
    const struct larder_index_def local = LOCAL("local");
    expect_bad(&(struct bad_table){"no sort key", TABLE("table", .indexes = &local, .index_count = 1)});
}

Test(schema_refuses, several_indexes) {
    struct larder_index_def indexes[LARDER_INDEXES_MAX + 1];
    char names[LENGTH_OF(indexes)][16];
    for (uint32_t i = 0; i < LENGTH_OF(indexes); i++) {
        snprintf(names[i], sizeof names[i], "index-%u", i);
        indexes[i] = (struct larder_index_def)GLOBAL(names[i]);
    }
    struct bad_table bad = {"21 global", TABLE("table", .sort = KEY_S("SK"), .indexes = indexes, .index_count = 21)};
    expect_bad(&bad);
    bad.says = "26 indexes";
    bad.def.index_count = LARDER_INDEXES_MAX + 1;
    expect_bad(&bad);
    for (uint32_t i = 0; i < 6; i++)
        indexes[i] = (struct larder_index_def)LOCAL(names[i]);
    bad = (struct bad_table){"6 local", TABLE("table", .sort = KEY_S("SK"), .indexes = indexes, .index_count = 8)};
    expect_bad(&bad);
    indexes[0] = (struct larder_index_def)GLOBAL("same");
    indexes[1] = (struct larder_index_def)LOCAL("same");
    bad = (struct bad_table){"\"same\"", TABLE("table", .sort = KEY_S("SK"), .indexes = indexes, .index_count = 2)};
    expect_bad(&bad);
    indexes[1] = (struct larder_index_def){.name = "other", .partition = KEY_S("X"), .sort = KEY_N("GPK")};
    bad.says = "\"GPK\" is declared with two types";
    expect_bad(&bad);
}

Test(schema_refuses, too_many_included_names_over_all) {
    char names[60][8];
    const char *included[60];
    for (uint32_t i = 0; i < LENGTH_OF(names); i++) {
        snprintf(names[i], sizeof names[i], "a%u", i);
        included[i] = names[i];
    }
    struct larder_index_def indexes[2] = {GLOBAL("one"), GLOBAL("two")};
    for (uint32_t i = 0; i < 2; i++) {
        indexes[i].projection = LARDER_PROJECT_INCLUDE;
        indexes[i].included = included;
        indexes[i].included_count = 50;
    }
    struct bad_table bad = {"101 included", TABLE("table", .indexes = indexes, .index_count = 2)};
    cr_expect_eq(schema_check(&bad.def), LARDER_OK, "%s", larder_error());
    indexes[1].included_count = 51;
    expect_bad(&bad);
}

Test(schema_refuses, nothing_that_dynamodb_allows) {
    static const char *const keys[] = {"PK", "SK", "GPK", "other"};
    const struct larder_index_def indexes[] = {
        {.name = "abc", .partition = KEY_S("SK")},
        {.name = longest_name, .partition = KEY_S("PK"), .sort = KEY_S("SK")},
        {.name = "...", .is_local = 1, .partition = KEY_S("PK"), .sort = KEY_S("SK")},
        {.name = "a-_.Z9",
         .partition = KEY_S("GPK"),
         .projection = LARDER_PROJECT_INCLUDE,
         .included = keys,
         .included_count = 4},
    };
    const struct larder_table_def def = {.name = longest_name,
                                         .partition = KEY_S("PK"),
                                         .sort = KEY_S("SK"),
                                         .indexes = indexes,
                                         .index_count = LENGTH_OF(indexes),
                                         .ttl_attribute = "SK",
                                         .removal = LARDER_REMOVAL_RETAIN};
    cr_expect_eq(schema_check(&def), LARDER_OK, "%s", larder_error());
    const struct larder_table_def plain = {.name = "abc", .partition = {.name = longest_name, .type = LARDER_B}};
    cr_expect_eq(schema_check(&plain), LARDER_OK, "%s", larder_error());
}

/* ---- There and back -------------------------------------------------------------------------- */

/* A definition written to private memory. */
struct blob {
    uint32_t bytes;
    _Alignas(8) uint8_t at[SCHEMA_BYTES_MAX];
};

static struct blob blob_of(const struct schema_source *source) {
    struct blob b;
    memset(&b, 0xee, sizeof b);
    b.bytes = schema_bytes(source);
    cr_assert_leq(b.bytes, SCHEMA_BYTES_MAX);
    schema_write(source, b.at);
    cr_assert(b.bytes == SCHEMA_BYTES_MAX || b.at[b.bytes] == 0xee, "more was written than announced");
    return b;
}

/* The view of some bytes; NULL if they are refused, and then there is a message. */
static struct table_view *view_of(struct priv *p, const struct blob *b) {
    struct schema_head head, *copy;
    memcpy(&head, b->at, sizeof head);
    if (!schema_head_is_sane(&head) || head.bytes > b->bytes)
        return NULL;
    struct table_view *v = schema_view_new(p, &head, &copy);
    cr_assert_not_null(v);
    memcpy(copy, b->at, head.bytes);
    int result = schema_view_fill(v, copy);
    if (result == LARDER_OK)
        return v;
    cr_assert_eq(result, LARDER_E_CORRUPT);
    cr_assert_neq(larder_error()[0], '\0');
    priv_free(p, v);
    return NULL;
}

static void expect_same_key(const struct larder_key_def *a, const struct larder_key_def *b) {
    cr_assert_eq(!a->name, !b->name);
    if (a->name) {
        cr_assert_str_eq(a->name, b->name);
        cr_assert_eq(a->type, b->type);
    }
}

static void expect_same_index(const struct larder_index_def *a, const struct larder_index_def *b) {
    cr_assert_str_eq(a->name, b->name);
    cr_assert_eq(a->is_local, b->is_local);
    cr_assert_eq(a->projection, b->projection);
    expect_same_key(&a->partition, &b->partition);
    expect_same_key(&a->sort, &b->sort);
    cr_assert_eq(a->included_count, b->included_count);
    for (uint32_t i = 0; i < a->included_count; i++)
        cr_assert_str_eq(a->included[i], b->included[i]);
    cr_assert_eq(a->partition_more_count, b->partition_more_count);
    for (uint32_t i = 0; i < a->partition_more_count; i++)
        expect_same_key(&a->partition_more[i], &b->partition_more[i]);
    cr_assert_eq(a->sort_more_count, b->sort_more_count);
    for (uint32_t i = 0; i < a->sort_more_count; i++)
        expect_same_key(&a->sort_more[i], &b->sort_more[i]);
}

static void expect_same_table(const struct larder_table_def *a, const struct larder_table_def *b) {
    cr_assert_str_eq(a->name, b->name);
    expect_same_key(&a->partition, &b->partition);
    expect_same_key(&a->sort, &b->sort);
    cr_assert_eq(!a->ttl_attribute, !b->ttl_attribute);
    if (a->ttl_attribute)
        cr_assert_str_eq(a->ttl_attribute, b->ttl_attribute);
    cr_assert_eq(a->removal, b->removal);
    cr_assert_eq(a->index_count, b->index_count);
    for (uint32_t i = 0; i < a->index_count; i++)
        expect_same_index(&a->indexes[i], &b->indexes[i]);
}

/* The largest possible definition: everything at its limit. */
struct largest {
    struct larder_table_def def;
    struct larder_index_def indexes[LARDER_INDEXES_MAX];
    char names[64 + SCHEMA_MORE_MAX + LARDER_PROJECTED_NAMES_MAX][LARDER_NAME_BYTES_MAX + 1];
    struct larder_key_def more[SCHEMA_MORE_MAX];
    const char *included[LARDER_PROJECTED_NAMES_MAX];
    uint32_t named;
};

static const char *new_name(struct largest *l) {
    char *name = l->names[l->named];
    memset(name, 'n', LARDER_NAME_BYTES_MAX);
    snprintf(name, 8, "%03u", l->named++);
    name[3] = '-';
    return name;
}

static void make_largest(struct largest *l) {
    memset(l, 0, sizeof *l);
    l->def = (struct larder_table_def){.name = new_name(l),
                                       .partition = KEY_S(new_name(l)),
                                       .sort = KEY_N(new_name(l)),
                                       .ttl_attribute = new_name(l),
                                       .indexes = l->indexes,
                                       .index_count = LARDER_INDEXES_MAX,
                                       .removal = LARDER_REMOVAL_RETAIN};
    for (uint32_t i = 0; i < LARDER_PROJECTED_NAMES_MAX; i++)
        l->included[i] = new_name(l);
    for (uint32_t i = 0; i < LARDER_INDEXES_MAX; i++) {
        int is_local = i < LARDER_LOCAL_INDEXES_MAX;
        l->indexes[i] = (struct larder_index_def){.name = new_name(l),
                                                  .is_local = is_local,
                                                  .partition = KEY_S(is_local ? l->def.partition.name : new_name(l)),
                                                  .sort = {.name = l->def.ttl_attribute, .type = LARDER_B},
                                                  .projection = LARDER_PROJECT_INCLUDE,
                                                  .included = &l->included[i * 4],
                                                  .included_count = 4};
        struct larder_key_def *more = &l->more[i * 6];
        for (uint32_t k = 0; !is_local && k < 6; k++)
            more[k] = (struct larder_key_def)KEY_N(new_name(l));
        if (is_local)
            continue;
        l->indexes[i].partition_more = more;
        l->indexes[i].sort_more = more + 3;
        l->indexes[i].partition_more_count = l->indexes[i].sort_more_count = 3;
    }
    cr_assert_eq(schema_check(&l->def), LARDER_OK, "%s", larder_error());
}

Test(schema, the_largest_definition_comes_back) {
    static struct largest l;
    struct schema_source source;
    struct priv *p = priv_new();
    make_largest(&l);
    schema_source_of_def(&l.def, &source);
    source.birth = 77;
    const struct blob b = blob_of(&source);
    cr_assert_gt(b.bytes, 75000);
    struct table_view *v = view_of(p, &b);
    cr_assert_not_null(v, "%s", larder_error());
    expect_same_table(&l.def, &v->def);
    cr_assert_eq(v->birth, 77);
    cr_assert_eq(v->ttl_generation, 1);
    cr_assert_eq(v->shape.index_count, LARDER_INDEXES_MAX);
    /* And from the view again: the same bytes. */
    struct schema_source again;
    schema_source_of_view(v, &again);
    const struct blob second = blob_of(&again);
    cr_assert(second.bytes == b.bytes && memcmp(second.at, b.at, b.bytes) == 0);
    cr_assert_eq(schema_check_index(v, &l.indexes[7]), LARDER_E_EXISTS);
    const struct larder_index_def more = GLOBAL("more");
    cr_assert_eq(schema_check_index(v, &more), LARDER_E_INVAL);
    priv_destroy(p);
}

Test(schema, the_smallest_definition_comes_back) {
    const struct larder_table_def def = {.name = "abc", .partition = KEY_N("n")};
    struct schema_source source;
    struct priv *p = priv_new();
    schema_source_of_def(&def, &source);
    const struct blob b = blob_of(&source);
    struct table_view *v = view_of(p, &b);
    cr_assert_not_null(v, "%s", larder_error());
    expect_same_table(&def, &v->def);
    cr_assert_null(v->def.indexes);
    cr_assert_null(v->shape.sort.name);
    cr_assert_null(v->shape.ttl_name);
    cr_assert_str_eq(schema_name((const struct schema_head *)b.at, b.bytes), "abc");
    priv_destroy(p);
}

/* Ordinals 0 to 3: active, dead, filling, active. */
static struct table_view *mixed_view(struct priv *p) {
    static const char *const names[] = {"zz", "PK", "aa"};
    static const struct larder_index_def indexes[] = {
        {.name = "all", .partition = KEY_S("A")},
        {.name = "dead", .partition = KEY_S("D"), .sort = KEY_S("E")},
        {.name = "filling", .partition = KEY_S("F"), .projection = LARDER_PROJECT_KEYS_ONLY},
        {.name = "include",
         .partition = KEY_S("PK"),
         .sort = KEY_N("I"),
         .projection = LARDER_PROJECT_INCLUDE,
         .included = names,
         .included_count = 3},
    };
    const struct larder_table_def def = {.name = "mixed",
                                         .partition = KEY_S("PK"),
                                         .sort = KEY_S("SK"),
                                         .indexes = indexes,
                                         .index_count = LENGTH_OF(indexes),
                                         .ttl_attribute = "expires"};
    struct schema_source source;
    schema_source_of_def(&def, &source);
    source.index[1] = NULL;
    source.state[1] = INDEX_DEAD;
    source.state[2] = INDEX_FILLING;
    const struct blob b = blob_of(&source);
    struct table_view *v = view_of(p, &b);
    cr_assert_not_null(v, "%s", larder_error());
    return v;
}

static void expect_projected(const struct table_view *v, uint32_t ordinal, const char *const *names, uint32_t count) {
    cr_assert_eq(v->projected_count[ordinal], count);
    for (uint32_t i = 0; i < count; i++) {
        const struct bytes *name = &v->projected[ordinal][i];
        cr_assert(name->len == strlen(names[i]) && memcmp(name->at, names[i], name->len) == 0, "name %u is \"%.*s\"", i,
                  (int)name->len, (const char *)name->at);
    }
}

Test(schema, a_view_knows_dead_filling_and_active_indexes) {
    struct priv *p = priv_new();
    const struct table_view *v = mixed_view(p);
    cr_assert_eq(v->shape.index_count, 4);
    cr_assert_eq(v->def.index_count, 2);
    cr_assert_str_eq(v->def.indexes[0].name, "all");
    cr_assert_str_eq(v->def.indexes[1].name, "include");
    cr_assert_null(v->index_def[1]);
    cr_assert_str_eq(v->index_def[2]->name, "filling");
    cr_assert_eq(v->index_state[2], INDEX_FILLING);
    cr_assert(v->shape.indexes[2].is_lenient && !v->shape.indexes[0].is_lenient && !v->shape.indexes[3].is_lenient);
    /* no item has an attribute of this name */
    cr_assert_eq(v->shape.indexes[1].partition.name_bytes, 0);
    cr_assert_eq(v->shape.indexes[3].sort.type, LARDER_N);
    cr_assert_eq(v->shape.ttl_name_bytes, 7);
    cr_assert_null(v->projected[0]);
    expect_projected(v, 2, (const char *const[]){"F", "PK", "SK"}, 3);
    expect_projected(v, 3, (const char *const[]){"I", "PK", "SK", "aa", "zz"}, 5);
    priv_destroy(p);
}

Test(schema, an_index_to_be_added_is_checked_against_all_living_ones) {
    struct priv *p = priv_new();
    const struct table_view *v = mixed_view(p);
    const struct larder_index_def fine = GLOBAL("fresh"), reused = GLOBAL("dead"), filling = GLOBAL("filling"),
                                  local = LOCAL("local"), typed = {.name = "typed", .partition = KEY_N("F")},
                                  retyped = {.name = "retyped", .partition = KEY_N("D")};
    cr_assert_eq(schema_check_index(v, &fine), LARDER_OK, "%s", larder_error());
    cr_assert_eq(schema_check_index(v, &reused), LARDER_OK, "%s", larder_error());
    cr_assert_eq(schema_check_index(v, &retyped), LARDER_OK, "%s", larder_error());
    cr_assert_eq(schema_check_index(v, &filling), LARDER_E_EXISTS);
    cr_assert_eq(schema_check_index(v, &local), LARDER_E_INVAL);
    cr_assert_eq(schema_check_index(v, &typed), LARDER_E_INVAL);
    cr_assert(strstr(larder_error(), "two types") != NULL, "%s", larder_error());
    cr_assert_eq(schema_check_index(v, NULL), LARDER_E_INVAL);
    priv_destroy(p);
}

/* ---- Damage ---------------------------------------------------------------------------------- */

static void seal(struct blob *b) {
    struct schema_head head;
    memcpy(&head, b->at, sizeof head);
    if (head.bytes >= sizeof head && head.bytes <= SCHEMA_BYTES_MAX)
        head.checksum = XXH3_64bits(b->at + sizeof head.checksum, head.bytes - sizeof head.checksum);
    memcpy(b->at, &head.checksum, sizeof head.checksum);
}

/* Any bytes: refused, or a legal definition. The copy ends where the view's block ends, so the
 * address sanitizer sees a reader that goes too far. */
static int expect_refused_or_legal(struct priv *p, const struct blob *b) {
    struct table_view *v = view_of(p, b);
    if (!v)
        return 0;
    cr_assert_eq(schema_check(&v->def), LARDER_OK, "%s", larder_error());
    priv_free(p, v);
    return 1;
}

static struct blob damage_victim(void) {
    struct priv *p = priv_new();
    struct schema_source source;
    schema_source_of_view(mixed_view(p), &source);
    struct blob b = blob_of(&source);
    priv_destroy(p);
    return b;
}

Test(schema, any_changed_byte_is_noticed) {
    struct priv *p = priv_new();
    struct blob b = damage_victim();
    for (uint32_t i = 0; i < b.bytes; i++)
        for (unsigned bit = 0; bit < 8; bit++) {
            b.at[i] ^= (uint8_t)(1u << bit);
            cr_assert_null(view_of(p, &b), "byte %u, bit %u", i, bit);
            b.at[i] ^= (uint8_t)(1u << bit);
        }
    cr_assert_not_null(view_of(p, &b));
    priv_destroy(p);
}

Test(schema, damage_with_a_right_checksum_is_refused_or_legal) {
    struct priv *p = priv_new();
    const struct blob whole = damage_victim();
    struct blob b = whole;
    uint64_t seed = rng_test_seed("schema damage");
    struct rng r;
    rng_seed(&r, seed);
    for (uint32_t i = 8; i < whole.bytes; i++)
        for (unsigned value = 0; value < 256; value++) {
            b.at[i] = (uint8_t)value;
            seal(&b);
            expect_refused_or_legal(p, &b);
            b.at[i] = whole.at[i];
        }
    for (uint32_t bytes = 0; bytes <= whole.bytes; bytes += 8) { /* cut off */
        struct schema_head *head = (struct schema_head *)b.at;
        head->bytes = bytes;
        seal(&b);
        cr_assert_eq(expect_refused_or_legal(p, &b), bytes == whole.bytes);
    }
    for (int round = 0; round < 100000 / SLOW_FACTOR; round++) {
        b = whole;
        for (uint64_t n = 1 + rng_below(&r, 6); n > 0; n--)
            b.at[8 + rng_below(&r, whole.bytes - 8)] = (uint8_t)rng_below(&r, rng_is_one_in(&r, 2) ? 256 : 6);
        seal(&b);
        expect_refused_or_legal(p, &b);
    }
    priv_destroy(p);
}
