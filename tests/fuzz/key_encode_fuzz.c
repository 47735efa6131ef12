/* tests/fuzz/key_encode_fuzz.c - key values: which are accepted, their order as bytes, and what
 * comes back.
 *
 * Goal     The stored bytes of a key have DynamoDB's order and give back the value. What DynamoDB
 *          refuses is refused.
 * Method   An input is a type and three values, the second and third after a length each. What the
 *          engine makes of them is compared with an oracle that knows nothing of the encoding:
 *          numbers are compared as decimal texts, S and B byte by byte. Then the values are used
 *          where keys are used: as primary keys, as bounds of a query, as entries of a leaf.
 */
#include "core/base/utf8.h"
#include "core/item/item_records.h"
#include "core/item/num.h"
#include "index/range.h"
#include "tests/fuzz/fuzz.h"

#define TEXT_MAX 600

/* ---- The oracle: decimal texts --------------------------------------------------------------- */

/* digits[0] is not 0 and comes right after the point: 0.digits x 10^point. No digits: zero. */
struct decimal {
    int is_negative;
    long point;
    size_t count;
    char digits[TEXT_MAX];
};

/* The digits of text[i..end) without its point; how many came before the point. */
static size_t take_digits(const char *text, size_t *i, size_t end, char *digits, long *before_point) {
    size_t count = 0;
    int has_point = 0;
    *before_point = 0;
    for (; *i < end; ++*i) {
        if (text[*i] == '.' && !has_point) {
            has_point = 1;
        } else if (text[*i] >= '0' && text[*i] <= '9') {
            digits[count++] = text[*i];
            *before_point += !has_point;
        } else {
            break;
        }
    }
    return count;
}

/* True if the text is a number at all. An exponent beyond all limits stays beyond them. */
static int oracle_parse(struct bytes value, struct decimal *d) {
    const char *text = (const char *)value.at;
    size_t i = 0, end = value.len;
    char all[TEXT_MAX];
    long exponent = 0, before_point;
    d->is_negative = end && text[0] == '-';
    i += end && (text[0] == '-' || text[0] == '+');
    size_t count = take_digits(text, &i, end, all, &before_point);
    if (!count)
        return 0;
    if (i < end && (text[i] == 'e' || text[i] == 'E')) {
        i++;
        int is_negative = i < end && text[i] == '-';
        i += i < end && (text[i] == '-' || text[i] == '+');
        size_t first = i;
        for (; i < end && text[i] >= '0' && text[i] <= '9'; i++)
            exponent = exponent > 100000000 ? exponent : exponent * 10 + (text[i] - '0');
        if (i == first)
            return 0;
        exponent = is_negative ? -exponent : exponent;
    }
    size_t zeros = 0;
    while (zeros < count && all[zeros] == '0')
        zeros++;
    while (count > zeros && all[count - 1] == '0')
        count--;
    d->count = count - zeros;
    memcpy(d->digits, all + zeros, d->count);
    d->point = before_point - (long)zeros + exponent;
    d->is_negative = d->is_negative && d->count;
    return i == end;
}

static int oracle_is_allowed(const struct decimal *d) {
    return !d->count || (d->count <= 38 && d->point <= 126 && d->point >= -129);
}

static int oracle_compare_magnitudes(const struct decimal *a, const struct decimal *b) {
    if (!a->count || !b->count)
        return (a->count > 0) - (b->count > 0);
    if (a->point != b->point)
        return a->point < b->point ? -1 : 1;
    return fuzz_compare_bytes(a->digits, a->count, b->digits, b->count);
}

static int oracle_compare(const struct decimal *a, const struct decimal *b) {
    if (a->is_negative != b->is_negative)
        return a->is_negative ? -1 : 1;
    int order = oracle_compare_magnitudes(a, b);
    return a->is_negative ? -order : order;
}

/* The integer part and what was cut off; false if it has more than 30 digits. */
static int oracle_integer(const struct decimal *d, __int128 *whole, int *has_fraction) {
    *whole = 0;
    *has_fraction = d->count && d->point < (long)d->count;
    if (d->count && d->point > 30)
        return 0;
    for (long i = 0; d->count && i < d->point; i++)
        *whole = *whole * 10 + (i < (long)d->count ? d->digits[i] - '0' : 0);
    *whole = d->is_negative ? -*whole : *whole;
    return 1;
}

/* ---- One number ------------------------------------------------------------------------------ */

static void check_integers(const struct decimal *d, const uint8_t *encoded, size_t bytes) {
    __int128 whole;
    int has_fraction;
    int64_t got = 0, floor = num_floor(encoded, bytes);
    int is_small = oracle_integer(d, &whole, &has_fraction);
    int fits = is_small && !has_fraction && whole >= INT64_MIN && whole <= INT64_MAX;
    FUZZ_CHECK(num_to_int64(encoded, bytes, &got) == fits, "int64 or not: %d", fits);
    FUZZ_CHECK(!fits || got == (int64_t)whole, "%lld", (long long)got);
    if (is_small && has_fraction && d->is_negative)
        whole--;
    int64_t expected =
        !is_small || whole < INT64_MIN || whole > INT64_MAX ? (d->is_negative ? INT64_MIN : INT64_MAX) : (int64_t)whole;
    FUZZ_CHECK(floor == expected, "floor %lld, expected %lld", (long long)floor, (long long)expected);
    if (fits) {
        uint8_t again[NUM_BYTES_MAX];
        size_t again_bytes = num_encode_int64(got, again);
        FUZZ_CHECK(again_bytes == bytes && !memcmp(again, encoded, bytes), "as an integer it has other bytes");
    }
}

/* Encodes the text; false if it is refused, as it then must be. */
static int check_number(struct bytes text, struct decimal *d, uint8_t *encoded, size_t *bytes) {
    int is_number = oracle_parse(text, d), is_allowed = is_number && oracle_is_allowed(d);
    int r = num_encode((const char *)text.at, text.len, encoded, bytes);
    FUZZ_CHECK((r == LARDER_OK) == is_allowed, "\"%.*s\": %s", (int)text.len, (const char *)text.at, larder_error());
    if (r != LARDER_OK) {
        FUZZ_CHECK(r == LARDER_E_INVAL, "%d", r);
        fuzz_check_message(larder_error());
        return 0;
    }
    char plain[LARDER_NUMBER_TEXT_MAX + 1];
    struct decimal back;
    plain[LARDER_NUMBER_TEXT_MAX] = 0x55;
    size_t length = num_decode(encoded, *bytes, plain);
    FUZZ_CHECK(length == strlen(plain) && length < LARDER_NUMBER_TEXT_MAX && plain[LARDER_NUMBER_TEXT_MAX] == 0x55,
               "%zu", length);
    FUZZ_CHECK(*bytes <= NUM_BYTES_MAX && num_is_sane(encoded, *bytes), "%s is not sane", plain);
    FUZZ_CHECK(!strpbrk(plain, "eE+"), "%s is not plain", plain);
    FUZZ_CHECK(oracle_parse((struct bytes){(uint8_t *)plain, length}, &back) && oracle_compare(d, &back) == 0,
               "\"%.*s\" came back as %s", (int)text.len, (const char *)text.at, plain);
    check_integers(d, encoded, *bytes);
    return 1;
}

/* N1: bytes that pass as a number are the only form of their value. */
static void check_raw_number(struct bytes raw) {
    char text[LARDER_NUMBER_TEXT_MAX];
    uint8_t again[NUM_BYTES_MAX];
    size_t bytes;
    if (!num_is_sane(raw.at, raw.len)) {
        FUZZ_CHECK(num_decode(raw.at, raw.len, text) == 0 && strcmp(text, "0") == 0, "%s", text);
        return;
    }
    size_t length = num_decode(raw.at, raw.len, text);
    FUZZ_CHECK(num_encode(text, length, again, &bytes) == LARDER_OK, "sane, but %s", larder_error());
    FUZZ_CHECK(bytes == raw.len && !memcmp(again, raw.at, bytes), "%s has two forms", text);
}

/* ---- Keys of any type ------------------------------------------------------------------------ */

struct key_value {
    struct larder_value given;
    struct decimal number;
    uint8_t encoded[LARDER_PARTITION_KEY_BYTES_MAX];
    size_t bytes;
    int is_sort; /* also within the limit of a sort key */
};

static int is_allowed(enum larder_type type, struct bytes v, size_t bytes_max, struct decimal *d) {
    if (type == LARDER_N)
        return oracle_parse(v, d) && oracle_is_allowed(d);
    return v.len >= 1 && v.len <= bytes_max &&
           (type == LARDER_B || utf8_valid_bytes((const char *)v.at, v.len) == v.len);
}

static int take_key(enum larder_type type, struct bytes v, struct key_value *k) {
    struct item_key_attr attr = {.name = "key", .name_bytes = 3, .type = type};
    k->given = (struct larder_value){.type = type, .data = v.at, .bytes = v.len};
    k->is_sort = is_allowed(type, v, LARDER_SORT_KEY_BYTES_MAX, &k->number);
    int r = item_encode_key_value(&attr, &k->given, "sort key", LARDER_SORT_KEY_BYTES_MAX, k->encoded, &k->bytes);
    FUZZ_CHECK((r == LARDER_OK) == k->is_sort, "sort key of %zu bytes: %s", v.len, larder_error());
    r = item_encode_key_value(&attr, &k->given, "partition key", LARDER_PARTITION_KEY_BYTES_MAX, k->encoded, &k->bytes);
    FUZZ_CHECK((r == LARDER_OK) == is_allowed(type, v, LARDER_PARTITION_KEY_BYTES_MAX, &k->number),
               "partition key of %zu bytes: %s", v.len, larder_error());
    if (r != LARDER_OK) {
        FUZZ_CHECK(r == LARDER_E_INVAL, "%d", r);
        fuzz_check_message(larder_error());
    }
    return r == LARDER_OK;
}

/* DynamoDB's order of the values. */
static int order_of(const struct key_value *a, const struct key_value *b) {
    if (a->given.type == LARDER_N)
        return oracle_compare(&a->number, &b->number);
    return fuzz_compare_bytes(a->given.data, a->given.bytes, b->given.data, b->given.bytes);
}

static int sign(int order) {
    return (order > 0) - (order < 0);
}

static void check_order(const struct key_value *a, const struct key_value *b) {
    int encoded = item_compare_bytes((struct bytes){a->encoded, a->bytes}, (struct bytes){b->encoded, b->bytes});
    FUZZ_CHECK(sign(encoded) == sign(order_of(a, b)), "bytes in order %d, values in order %d", encoded, order_of(a, b));
}

/* A primary key given as values and the same one in an item have the same bytes. */
static void check_primary(enum larder_type type, const struct key_value *partition, const struct key_value *sort) {
    static struct larder_builder *kept;
    struct larder_builder *b = fuzz_builder(&kept);
    struct item_shape shape = {.partition = {"PK", 2, type}, .sort = {"SK", 2, type}};
    struct larder_key key = {partition->given, sort->given};
    const struct larder_item *item;
    struct item_key from_values, from_item;
    int r = item_key_from_values(&shape, &key, &from_values);
    FUZZ_CHECK((r == LARDER_OK) == sort->is_sort, "%s", larder_error());
    larder_builder_reset(b);
    FUZZ_CHECK(larder_builder_add(b, "SK", &sort->given) == LARDER_OK &&
                   larder_builder_add(b, "PK", &partition->given) == LARDER_OK &&
                   larder_builder_finish(b, &item) == LARDER_OK,
               "%s", larder_error());
    int from = item_key_from_item(&shape, item, &from_item);
    FUZZ_CHECK(from == r, "%d, %d: %s", r, from, larder_error());
    if (r != LARDER_OK)
        return;
    FUZZ_CHECK(from_values.area_bytes == from_item.area_bytes &&
                   from_values.partition_bytes == from_item.partition_bytes &&
                   !memcmp(from_values.area, from_item.area, from_item.area_bytes),
               "two forms of a key");
    FUZZ_CHECK(from_values.partition_bytes == partition->bytes &&
                   !memcmp(from_values.area, partition->encoded, partition->bytes) &&
                   !memcmp(from_values.area + partition->bytes, sort->encoded, sort->bytes),
               "the key area is not its keys");
}

/* ---- Queries --------------------------------------------------------------------------------- */

static int is_selected(enum larder_sort_op op, const struct key_value *key, const struct key_value *a,
                       const struct key_value *b) {
    int order = order_of(key, a);
    switch (op) {
    case LARDER_SORT_EQ:
        return order == 0;
    case LARDER_SORT_LT:
        return order < 0;
    case LARDER_SORT_LE:
        return order <= 0;
    case LARDER_SORT_GT:
        return order > 0;
    case LARDER_SORT_GE:
        return order >= 0;
    case LARDER_SORT_BETWEEN:
        return order >= 0 && order_of(key, b) <= 0;
    case LARDER_SORT_BEGINS_WITH:
        return key->given.bytes >= a->given.bytes && !memcmp(key->given.data, a->given.data, a->given.bytes);
    default:
        return 1;
    }
}

/* Whether a query for `op` with a (and b) finds the entry of `key`. */
static void check_query(enum larder_sort_op op, const struct key_value *key, const struct key_value *a,
                        const struct key_value *b, uint64_t hash, uint32_t kseq) {
    struct item_key_attr sort = {.name = "SK", .name_bytes = 2, .type = a->given.type};
    struct larder_query_spec spec = {.sort_op = op, .sort_value = a->given, .sort_value2 = b->given};
    struct range range;
    int r = range_of_query(&sort, &spec, &range);
    int is_legal = a->is_sort && !(op == LARDER_SORT_BEGINS_WITH && sort.type == LARDER_N) &&
                   (op != LARDER_SORT_BETWEEN || (b->is_sort && order_of(a, b) <= 0));
    FUZZ_CHECK((r == LARDER_OK) == (op == LARDER_SORT_ANY || is_legal), "op %d: %s", (int)op, larder_error());
    if (r != LARDER_OK) {
        fuzz_check_message(larder_error());
        return;
    }
    struct leaf_entry entry = {key->encoded, (uint32_t)key->bytes, kseq, hash};
    struct leaf_cut before = leaf_cut_before(&entry);
    int is_in = leaf_compare_cuts(&range.from, &before) <= 0 && leaf_compare_cuts(&before, &range.to) < 0;
    FUZZ_CHECK(is_in == is_selected(op, key, a, b), "op %d, found: %d", (int)op, is_in);
}

/* ---- Leaves ---------------------------------------------------------------------------------- */

static void check_leaf(const struct key_value *const *keys, uint32_t count, uint64_t hash) {
    struct leaf_run run = {.prefix = keys[0]->encoded, .prefix_bytes = 0};
    struct leaf leaf;
    uint8_t key[LEAF_KEY_BYTES_MAX], bound[LEAF_KEY_BYTES_MAX];
    for (uint32_t i = 0; i < count; i++)
        leaf_run_add(&run, &(struct leaf_entry){keys[i]->encoded, (uint32_t)keys[i]->bytes, i + 1, hash});
    if (!leaf_run_fits(&run, 0, count))
        return;
    uint32_t bytes = leaf_build(&run, 0, count, 1, 0, 0, &leaf);
    FUZZ_CHECK(bytes <= LEAF_BYTES_MAX && bytes == leaf_bytes(&leaf) && leaf_count(&leaf) == count, "%u", bytes);
    for (uint32_t i = 0; i < count; i++) {
        struct leaf_entry entry = {keys[i]->encoded, (uint32_t)keys[i]->bytes, i + 1, hash};
        int at = leaf_find(&leaf, &entry);
        FUZZ_CHECK(at >= 0, "entry %u is not found", i);
        uint32_t key_bytes = leaf_key(&leaf, (uint32_t)at, key);
        FUZZ_CHECK(key_bytes == keys[i]->bytes && !memcmp(key, keys[i]->encoded, key_bytes), "entry %u changed", i);
    }
    for (uint32_t i = 1; i < count; i++) {
        const struct key_value *left = keys[leaf_kseq(&leaf, i - 1) - 1], *right = keys[leaf_kseq(&leaf, i) - 1];
        struct leaf_cut low = leaf_run_bound(&run, i, bound);
        struct leaf_cut a = {left->encoded, (uint32_t)left->bytes, 0, hash, leaf_kseq(&leaf, i - 1)};
        struct leaf_cut b = {right->encoded, (uint32_t)right->bytes, 0, hash, leaf_kseq(&leaf, i)};
        FUZZ_CHECK(order_of(left, right) <= 0, "entries %u and %u are not in order", i - 1, i);
        FUZZ_CHECK(leaf_compare_cuts(&a, &low) < 0 && leaf_compare_cuts(&low, &b) <= 0, "the bound is not between");
    }
}

static struct bytes take_value(struct fuzz_input *in) {
    size_t bytes = fuzz_byte(in);
    if (bytes > 200) /* the limits of keys are at 1,024 and 2,048 bytes */
        bytes = (bytes - 200) * 64 + fuzz_byte(in);
    return fuzz_bytes(in, bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct key_value keys[3];
    struct fuzz_input in = {data, size};
    uint8_t choice = fuzz_byte(&in);
    enum larder_type type = choice % 3 == 0 ? LARDER_N : choice % 3 == 1 ? LARDER_S : LARDER_B;
    uint64_t hash = choice & 64 ? HTAB_HASH_MASK : choice & 32 ? 0 : 12345;
    struct bytes values[3] = {take_value(&in), take_value(&in), {NULL, 0}};
    values[2] = fuzz_bytes(&in, TEXT_MAX);
    int is_key[3];
    for (int i = 0; i < 3; i++) {
        uint8_t encoded[NUM_BYTES_MAX];
        size_t bytes;
        struct decimal d;
        if (type == LARDER_N && values[i].len >= TEXT_MAX)
            return -1;
        if (type == LARDER_N)
            check_number(values[i], &d, encoded, &bytes);
        check_raw_number(values[i]);
        is_key[i] = take_key(type, values[i], &keys[i]);
    }
    if (!is_key[0] || !is_key[1] || !is_key[2])
        return 0;
    const struct key_value *sorts[3];
    uint32_t sort_count = 0;
    for (int i = 0; i < 3; i++) {
        check_order(&keys[i], &keys[(i + 1) % 3]);
        check_primary(type, &keys[i], &keys[(i + 1) % 3]);
        if (keys[i].is_sort)
            sorts[sort_count++] = &keys[i];
        for (int op = LARDER_SORT_ANY; op <= LARDER_SORT_BEGINS_WITH; op++)
            if (keys[i].is_sort)
                check_query((enum larder_sort_op)op, &keys[i], &keys[(i + 1) % 3], &keys[(i + 2) % 3], hash, choice);
    }
    if (sort_count)
        check_leaf(sorts, sort_count, hash);
    return 0;
}
