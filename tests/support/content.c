/* tests/support/content.c - see content.h. */
#include "tests/support/content.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PARTITIONS 3       /* of the table and the local index: P0.. */
#define INDEX_PARTITIONS 2 /* of the others: A, B */
#define NUMBER_STEP 7      /* number keys are 7 apart, and some are negative */

const char *content_wrong(const char *format, ...) {
    static _Thread_local char texts[2][512]; /* alternating: a message may quote the one before */
    static _Thread_local unsigned turn;
    char *text = texts[turn++ % 2];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof texts[0], format, args);
    va_end(args);
    return text;
}

/* ---- What a write puts there ----------------------------------------------------------------- */

static const char *const partition_names[CONTENT_INDEXES] = {"G1P", "G2P", "G3P", "PK"};
static const char *const sort_names[CONTENT_INDEXES] = {"G1S", "G2S", NULL, "L1S"};
static const char *const projected[] = {"serial"};

const struct larder_index_def content_indexes[CONTENT_INDEXES] = {
    {.name = "G1x", .partition = {"G1P", LARDER_S}, .sort = {"G1S", LARDER_S}},
    {.name = "G2x",
     .partition = {"G2P", LARDER_S},
     .sort = {"G2S", LARDER_N},
     .projection = LARDER_PROJECT_INCLUDE,
     .included = projected,
     .included_count = 1},
    {.name = "G3x", .partition = {"G3P", LARDER_S}},
    {.name = "L1x", .is_local = 1, .partition = {"PK", LARDER_S}, .sort = {"L1S", LARDER_S}},
};

static uint64_t mix(uint64_t a, uint64_t b) {
    uint64_t z = a + b * UINT64_C(0x9e3779b97f4a7c15) + UINT64_C(0x7f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint32_t fill_of(const struct content_source *from, uint64_t bits) {
    uint32_t kind = (uint32_t)(bits % 64), fill;
    bits /= 64;
    if (from->fill_min)
        return from->fill_min + (uint32_t)(bits % (from->fill_max - from->fill_min));
    if (kind < 44)
        fill = (uint32_t)(bits % 200);
    else if (kind < 57)
        fill = (uint32_t)(bits % 2500);
    else if (kind < 63)
        fill = (uint32_t)(bits % 9000);
    else
        fill = 16384 + (uint32_t)(bits % (60000 - 16384)); /* a run of spans */
    return fill < from->fill_max ? fill : from->fill_max;
}

/* An index key changes with every 2nd, 4th, 8th, 16th write; in between it stays. */
static void index_content(const struct content_source *from, uint32_t key, uint32_t serial, int i, struct content *c) {
    uint64_t bits = mix(mix(from->seed + (uint64_t)i, key), serial >> (i + 1));
    char *sort = c->index[i].sort;
    if (i == CONTENT_LOCAL)
        c->index[i].partition = bits % 4 ? (int)(key % PARTITIONS) : -1;
    else
        c->index[i].partition = bits % 4 ? (int)(bits % 4 == 1) : -1;
    bits /= 4;
    if (i == CONTENT_NUMBER_INDEX)
        snprintf(sort, CONTENT_TEXT_MAX, "%d", (int)(bits % 7) * 100 - (int)key * (int)(bits % 3));
    else if (bits % 3 == 0)
        snprintf(sort, CONTENT_TEXT_MAX, "t%u", (unsigned)(bits / 3 % 2)); /* many equal ones */
    else
        snprintf(sort, CONTENT_TEXT_MAX, "SHARED#PREFIX#%u#%u", (unsigned)(bits / 3 % 20), key);
}

void content_of(const struct content_source *from, uint32_t key, uint32_t serial, struct content *c) {
    uint64_t bits = mix(mix(from->seed, key), UINT64_C(1) << 40 | serial);
    memset(c, 0, sizeof *c);
    c->is_deleted = serial == 0 || bits % 6 == 0;
    c->fill = fill_of(from, bits / 6);
    c->expires_in_s = key % 4 == 3 && bits >> 60 < 12 ? (int)((bits >> 40) % CONTENT_EXPIRY_SPAN) : -1;
    for (int i = 0; i < CONTENT_INDEXES; i++)
        index_content(from, key, serial, i, c);
}

static unsigned char fill_byte(uint32_t key, uint32_t serial, size_t at) {
    return (unsigned char)(key * 31 + serial * 7 + at / 64);
}

/* ---- Keys and partitions --------------------------------------------------------------------- */

unsigned content_partition_of(const struct content_source *from, uint32_t key) {
    return from->keys == CONTENT_NUMBER_KEY ? key : key % PARTITIONS;
}

unsigned content_partitions(const struct content_source *from, int index) {
    if (index >= 0 && index != CONTENT_LOCAL)
        return INDEX_PARTITIONS;
    return from->keys == CONTENT_NUMBER_KEY ? 0 : PARTITIONS;
}

struct larder_value content_partition(const struct content_source *from, int index, unsigned partition,
                                      char text[CONTENT_TEXT_MAX]) {
    if (index >= 0 && index != CONTENT_LOCAL) {
        snprintf(text, CONTENT_TEXT_MAX, "%c", 'A' + (char)partition);
        return larder_str(text);
    }
    if (from->keys == CONTENT_TEXT_KEYS) {
        snprintf(text, CONTENT_TEXT_MAX, "P%u", partition);
        return larder_str(text);
    }
    if (from->keys == CONTENT_NUMBER_KEY) {
        snprintf(text, CONTENT_TEXT_MAX, "%d", (int)partition * NUMBER_STEP - 50);
        return larder_num(text);
    }
    text[0] = 'b';
    text[1] = 0;
    text[2] = (char)(200 + partition);
    return larder_bin(text, 3);
}

void content_key(const struct content_source *from, uint32_t key, struct content_key *out) {
    memset(out, 0, sizeof *out);
    out->key.partition = content_partition(from, -1, content_partition_of(from, key), out->text[0]);
    if (from->keys == CONTENT_TEXT_KEYS) {
        snprintf(out->text[1], CONTENT_TEXT_MAX, "SK#%03u", key);
        out->key.sort = larder_str(out->text[1]);
    } else if (from->keys == CONTENT_BYTES_KEYS) {
        snprintf(out->text[1], CONTENT_TEXT_MAX, "%u", key);
        out->key.sort = larder_num(out->text[1]);
    }
}

/* ---- Building -------------------------------------------------------------------------------- */

static void add_index_key(struct larder_builder *b, const struct content_source *from, const struct content *c, int i) {
    char text[CONTENT_TEXT_MAX];
    if (c->index[i].partition < 0)
        return;
    if (i != CONTENT_LOCAL) {
        struct larder_value v = content_partition(from, i, (unsigned)c->index[i].partition, text);
        larder_builder_add(b, partition_names[i], &v);
    }
    if (i == CONTENT_NUMBER_INDEX)
        larder_builder_add_n(b, sort_names[i], c->index[i].sort);
    else if (sort_names[i])
        larder_builder_add_s(b, sort_names[i], c->index[i].sort);
}

int content_build(struct larder_builder *b, const struct content_source *from, uint32_t key, uint32_t serial,
                  const struct content *c, int64_t expires_s, const struct larder_item **item) {
    static _Thread_local unsigned char fill[CONTENT_FILL_MAX];
    struct content_key k;
    content_key(from, key, &k);
    for (size_t i = 0; i < c->fill; i += 64)
        memset(fill + i, fill_byte(key, serial, i), c->fill - i < 64 ? c->fill - i : 64);
    larder_builder_reset(b);
    larder_builder_add(b, "PK", &k.key.partition);
    if (from->keys != CONTENT_NUMBER_KEY)
        larder_builder_add(b, "SK", &k.key.sort);
    larder_builder_add_int(b, "serial", serial);
    for (int i = 0; i < CONTENT_INDEXES; i++)
        add_index_key(b, from, c, i);
    if (expires_s)
        larder_builder_add_int(b, "exp", expires_s);
    larder_builder_add_b(b, "fill", fill, c->fill);
    return larder_builder_finish(b, item);
}

/* ---- Taking an item apart -------------------------------------------------------------------- */

/* The attribute has this value; NULL: the item has no attribute of that name. */
static int has_value(const struct larder_item *item, const char *name, const struct larder_value *expected) {
    struct larder_value v;
    char number[LARDER_NUMBER_TEXT_MAX];
    if (larder_item_get(item, name, &v))
        return expected == NULL;
    if (!expected || v.type != expected->type)
        return 0;
    if (v.type == LARDER_N)
        return larder_value_number(&v, number) == LARDER_OK && strcmp(number, expected->data) == 0;
    return v.bytes == expected->bytes && memcmp(v.data, expected->data, v.bytes) == 0;
}

static int has_fill(const struct larder_item *item, uint32_t key, uint32_t serial, uint32_t fill) {
    struct larder_value v;
    if (larder_item_get(item, "fill", &v) || v.type != LARDER_B || v.bytes != fill)
        return 0;
    const unsigned char *at = v.data;
    for (size_t i = 0; i < v.bytes; i += 64) {
        size_t part = v.bytes - i < 64 ? v.bytes - i : 64;
        if (at[i] != fill_byte(key, serial, i) || memcmp(at + i, at + i + 1, part - 1) != 0)
            return 0;
    }
    return 1;
}

static int has_index_key(const struct content_source *from, const struct larder_item *item, const struct content *c,
                         int i) {
    char text[CONTENT_TEXT_MAX];
    int is_in = c->index[i].partition >= 0;
    struct larder_value partition, sort = {0};
    if (is_in)
        partition = content_partition(from, i, (unsigned)c->index[i].partition, text);
    if (sort_names[i])
        sort = i == CONTENT_NUMBER_INDEX ? larder_num(c->index[i].sort) : larder_str(c->index[i].sort);
    return (i == CONTENT_LOCAL || has_value(item, partition_names[i], is_in ? &partition : NULL)) &&
           (!sort_names[i] || has_value(item, sort_names[i], is_in ? &sort : NULL));
}

/* The key that an item says it has; -1: not one of ours. */
static int64_t key_number(const struct content_source *from, const struct larder_item *item) {
    struct larder_value v;
    char text[16];
    int64_t number;
    if (from->keys == CONTENT_NUMBER_KEY)
        return larder_item_get(item, "PK", &v) || larder_value_int64(&v, &number) ? -1 : (number + 50) / NUMBER_STEP;
    if (larder_item_get(item, "SK", &v))
        return -1;
    if (from->keys == CONTENT_BYTES_KEYS)
        return larder_value_int64(&v, &number) ? -1 : number;
    if (v.type != LARDER_S || v.bytes != 6)
        return -1;
    memcpy(text, v.data, 6);
    text[6] = 0;
    return strtol(text + 3, NULL, 10);
}

const char *content_read(const struct content_source *from, int index, const struct larder_item *item, uint32_t *key,
                         uint32_t *serial) {
    struct larder_value v;
    struct content c;
    struct content_key k;
    int64_t number, key_is = key_number(from, item);
    int is_projected = index == CONTENT_NUMBER_INDEX;
    if (key_is < 0 || key_is > UINT16_MAX)
        return content_wrong("an item without a key");
    if (larder_item_get(item, "serial", &v) || larder_value_int64(&v, &number) || number <= 0 || number > UINT32_MAX)
        return content_wrong("an item that was never written, key %d", (int)key_is);
    *key = (uint32_t)key_is;
    *serial = (uint32_t)number;
    content_of(from, *key, *serial, &c);
    content_key(from, *key, &k);
    int is_whole = has_value(item, "PK", &k.key.partition) &&
                   has_value(item, "SK", from->keys == CONTENT_NUMBER_KEY ? NULL : &k.key.sort);
    for (int i = 0; i < CONTENT_INDEXES; i++)
        is_whole = is_whole && ((is_projected && i != index) || has_index_key(from, item, &c, i));
    is_whole = is_whole && (is_projected ? larder_item_get(item, "fill", &v) == LARDER_NOT_FOUND
                                         : has_fill(item, *key, *serial, c.fill));
    return is_whole && !c.is_deleted ? NULL : content_wrong("key %u is not what write %u put there", *key, *serial);
}

int64_t content_expiry(const struct larder_item *item) {
    struct larder_value v;
    int64_t at_s;
    return larder_item_get(item, "exp", &v) || larder_value_int64(&v, &at_s) ? 0 : at_s;
}

int content_compare(int index, uint32_t a, const struct content *ca, uint32_t b, const struct content *cb) {
    if (index < 0)
        return (a > b) - (a < b);
    if (!sort_names[index])
        return 0;
    if (index == CONTENT_NUMBER_INDEX) {
        long x = strtol(ca->index[index].sort, NULL, 10), y = strtol(cb->index[index].sort, NULL, 10);
        return (x > y) - (x < y);
    }
    return strcmp(ca->index[index].sort, cb->index[index].sort);
}
