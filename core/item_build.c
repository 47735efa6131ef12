/* core/item_build.c - the builder: makes items out of values.
 *
 * Job      Takes attributes in any order and lays out an image (core/item.h).
 * Picture  records  what was added, in the order of the calls; an open container's members are the tail
 *          entries  where they are in records: the item's attributes, then the members of each open M or set, from
 *                   the outermost to the innermost
 *          levels   levels[0] is the item, levels[level] what is being added to; each knows where its part of records
 *                   and entries begins
 *          Sorting moves entries only. larder_end() then puts a container's members in order and its lengths in front
 *          of them; larder_builder_finish() does the same for the item, into a buffer of its own.
 * Rules    B1 The first failure stays with its text until reset, and nothing changes after it.
 *          B2 ddb_bytes is the item's size as DynamoDB counts it so far, never over the limit, and records are never
 *             over ITEM_IMAGE_BYTES_MAX: no caller makes a builder grow without end.
 *          B3 What is in records is checked: names and S are UTF-8, N canonical, nesting within the limit.
 * Locks    None: a builder is used by one thread at a time.
 * Tests    tests/unit/item_test.c
 */
#include <endian.h>
#include <string.h>

#include "core/db.h"
#include "core/err.h"
#include "core/item.h"
#include "core/item_records.h"
#include "core/num.h"
#include "core/priv.h"
#include "core/utf8.h"

#define BUILD_ERROR_BYTES 256
#define BUILD_BUFFER_MIN 512
#define BUILD_INSERTION_MAX 24 /* entries up to which insertion sort is the faster one */

/* A name as the two arguments that "%.*s" takes. */
#define BUILD_SHOWN(name)                                                                                              \
    utf8_shown_bytes((const char *)(name).at, (name).len), (name).at ? (const char *)(name).at : ""

struct build_buffer {
    uint8_t *at;
    size_t len, capacity;
};

/* A member of an item, M or set, to be sorted. */
struct build_entry {
    uint64_t prefix; /* first 8 bytes of what it is sorted by, the first one highest: settles most comparisons */
    uint32_t offset; /* in records */
};

/* The item itself or an open container. */
struct build_level {
    enum larder_type type; /* LARDER_M for the item */
    int is_sorted;         /* members were added in order */
    uint32_t count;        /* members */
    size_t members;        /* where they begin in records */
    size_t entry_first;    /* where their entries begin; a list has none */
};

struct larder_builder {
    struct priv *priv;
    struct build_buffer records, scratch, image, name;
    struct build_entry *entries;
    size_t entry_count, entry_capacity;
    struct build_level levels[LARDER_NESTING_MAX + 2]; /* the item, M and L, a set in the innermost */
    uint32_t level;
    size_t ddb_bytes;
    int has_name; /* `name` is for the next add */
    int error;
    char error_text[BUILD_ERROR_BYTES];
};

/* A value in the form it has in a record: head (lengths, or a BOOL), then body. */
struct build_value {
    enum larder_type type;
    uint8_t head[2 * ITEM_VARINT_BYTES_MAX];
    size_t head_bytes;
    struct bytes body;
    size_t ddb_bytes;
};

/* ---- Errors and memory --------------------------------------------------------------------------------------- */

/* B1. `result` was just returned by err_set(), or by something that calls it. */
static int build_fail(struct larder_builder *b, int result) {
    b->error = result;
    strncpy(b->error_text, larder_error(), sizeof b->error_text - 1);
    return result;
}

/* The name to show for the value that is being added, from the call or from larder_name(). */
static struct bytes build_given_name(const struct larder_builder *b, const char *name) {
    if (name)
        return (struct bytes){(const uint8_t *)name, strlen(name)};
    return b->has_name ? (struct bytes){b->name.at, b->name.len} : (struct bytes){NULL, 0};
}

/* The same with the attribute's name in front of the text. */
static int build_fail_at(struct larder_builder *b, const char *name, int result) {
    struct bytes given = build_given_name(b, name);
    if (given.len)
        err_set(result, "attribute \"%.*s\": %s", BUILD_SHOWN(given), larder_error());
    return build_fail(b, result);
}

/* The first failure, said again; LARDER_OK if there was none. */
static int build_ready(struct larder_builder *b) {
    return b->error ? err_set(b->error, "%s", b->error_text) : LARDER_OK;
}

static int build_reserve(struct larder_builder *b, struct build_buffer *buffer, size_t bytes) {
    size_t capacity = buffer->capacity ? buffer->capacity : BUILD_BUFFER_MIN;
    if (bytes <= buffer->capacity)
        return LARDER_OK;
    while (capacity < bytes)
        capacity *= 2;
    uint8_t *grown = priv_realloc(b->priv, buffer->at, capacity);
    if (!grown)
        return build_fail(b, LARDER_E_NO_MEMORY);
    buffer->at = grown;
    buffer->capacity = capacity;
    return LARDER_OK;
}

/* ---- Order --------------------------------------------------------------------------------------------------- */

/* What a member is sorted by: its name in an item or M, its bytes in a set. */
static struct bytes build_sort_key(const struct larder_builder *b, enum larder_type of, uint32_t offset) {
    const uint8_t *at = b->records.at + offset;
    struct bytes key;
    if (of == LARDER_M)
        return item_record_at(at).name;
    key.at = item_get_varint(at + 1, &key.len);
    return key;
}

static uint64_t build_prefix(struct bytes key) {
    uint64_t prefix = 0;
    uint32_t first, last;
    if (key.len >= sizeof prefix) {
        memcpy(&prefix, key.at, sizeof prefix);
        return be64toh(prefix);
    }
    if (key.len >= sizeof first) { /* the last four of them, without those that are among the first four */
        memcpy(&first, key.at, sizeof first);
        memcpy(&last, key.at + key.len - sizeof last, sizeof last);
        return (uint64_t)be32toh(first) << 32 | (uint32_t)((uint64_t)be32toh(last) << (8 * (sizeof prefix - key.len)));
    }
    for (size_t i = 0; i < key.len; i++)
        prefix |= (uint64_t)key.at[i] << (56 - 8 * i);
    return prefix;
}

/* Equal prefixes say nothing: a name may hold zero bytes. */
static int build_compare(const struct larder_builder *b, enum larder_type of, const struct build_entry *left,
                         const struct build_entry *right) {
    if (left->prefix != right->prefix)
        return left->prefix < right->prefix ? -1 : 1;
    return item_compare_bytes(build_sort_key(b, of, left->offset), build_sort_key(b, of, right->offset));
}

static void build_insertion_sort(const struct larder_builder *b, enum larder_type of, struct build_entry *entries,
                                 size_t count) {
    for (size_t i = 1; i < count; i++) {
        struct build_entry entry = entries[i];
        size_t k = i;
        for (; k > 0 && build_compare(b, of, &entries[k - 1], &entry) > 0; k--)
            entries[k] = entries[k - 1];
        entries[k] = entry;
    }
}

/* One run of `to` from two neighbours of `from`: [low, middle) and [middle, high). */
static void build_merge(const struct larder_builder *b, enum larder_type of, const struct build_entry *from,
                        struct build_entry *to, size_t low, size_t middle, size_t high) {
    size_t left = low, right = middle;
    for (size_t i = low; i < high; i++) {
        int is_left = left < middle && (right == high || build_compare(b, of, &from[left], &from[right]) <= 0);
        to[i] = is_left ? from[left++] : from[right++];
    }
}

/* Never worse than n log n, whatever order a caller adds in. */
static int build_merge_sort(struct larder_builder *b, enum larder_type of, struct build_entry *entries, size_t count) {
    int result = build_reserve(b, &b->scratch, count * sizeof *entries);
    if (result != LARDER_OK)
        return result;
    struct build_entry *from = entries, *to = (struct build_entry *)(void *)b->scratch.at;
    for (size_t width = 1; width < count; width *= 2) {
        for (size_t low = 0; low < count; low += 2 * width) {
            size_t middle = low + width < count ? low + width : count;
            size_t high = middle + width < count ? middle + width : count;
            build_merge(b, of, from, to, low, middle, high);
        }
        struct build_entry *swap = from;
        from = to;
        to = swap;
    }
    if (from != entries)
        memcpy(entries, from, count * sizeof *entries);
    return LARDER_OK;
}

static int build_refuse_double(struct larder_builder *b, enum larder_type of, uint32_t offset) {
    char number[LARDER_NUMBER_TEXT_MAX];
    struct bytes key = build_sort_key(b, of, offset);
    const char *what = of == LARDER_M ? "attribute" : "set member";
    const char *text = (const char *)key.at;
    int shown = utf8_shown_bytes(text, key.len);
    if (of == LARDER_NS) {
        shown = (int)num_decode(key.at, key.len, number);
        text = number;
    } else if (of == LARDER_BS) {
        return build_fail(b, err_set(LARDER_E_INVAL, "a set of type BS holds a value of %zu bytes twice", key.len));
    }
    return build_fail(b, err_set(LARDER_E_INVAL, "%s \"%.*s\" is there twice", what, shown, text));
}

/* Puts the entries of a level in order. B1 if two are equal. */
static int build_sort(struct larder_builder *b, const struct build_level *level) {
    if (level->is_sorted) /* an empty one is */
        return LARDER_OK;
    struct build_entry *entries = b->entries + level->entry_first;
    size_t count = b->entry_count - level->entry_first;
    int result = LARDER_OK;
    if (count <= BUILD_INSERTION_MAX)
        build_insertion_sort(b, level->type, entries, count);
    else
        result = build_merge_sort(b, level->type, entries, count);
    for (size_t i = 1; result == LARDER_OK && i < count; i++)
        if (build_compare(b, level->type, &entries[i - 1], &entries[i]) == 0)
            result = build_refuse_double(b, level->type, entries[i].offset);
    return result;
}

/* Bytes of a member of an item, M or set that lies at `at`. */
static size_t build_member_bytes(enum larder_type of, const uint8_t *at) {
    struct larder_value value;
    const uint8_t *from = of == LARDER_M ? item_record_at(at).value : at + 1;
    return (size_t)(item_read_value(*at & ITEM_TYPE_MASK, from, &value) - at);
}

/* ---- Adding -------------------------------------------------------------------------------------------------- */

static int build_reserve_entries(struct larder_builder *b, size_t count) {
    size_t capacity = b->entry_capacity ? b->entry_capacity : 64;
    if (count <= b->entry_capacity)
        return LARDER_OK;
    while (capacity < count)
        capacity *= 2;
    struct build_entry *grown = priv_realloc(b->priv, b->entries, capacity * sizeof *grown);
    if (!grown)
        return build_fail(b, LARDER_E_NO_MEMORY);
    b->entries = grown;
    b->entry_capacity = capacity;
    return LARDER_OK;
}

static int build_push_entry(struct larder_builder *b, struct build_level *level, size_t offset) {
    int result = build_reserve_entries(b, b->entry_count + 1);
    if (result != LARDER_OK)
        return result;
    struct build_entry entry = {.offset = (uint32_t)offset};
    entry.prefix = build_prefix(build_sort_key(b, level->type, entry.offset));
    if (level->is_sorted && b->entry_count > level->entry_first)
        level->is_sorted = build_compare(b, level->type, &b->entries[b->entry_count - 1], &entry) < 0;
    b->entries[b->entry_count++] = entry;
    return LARDER_OK;
}

static enum larder_type build_set_element(enum larder_type set) {
    switch (set) {
    case LARDER_SS:
        return LARDER_S;
    case LARDER_NS:
        return LARDER_N;
    default:
        return LARDER_B;
    }
}

/* Whether a value of this type may be added here. */
static int build_check_place(struct larder_builder *b, enum larder_type type) {
    const struct build_level *level = &b->levels[b->level];
    if (level->type == LARDER_M || level->type == LARDER_L) {
        if (b->level == 0 && level->count == ITEM_ATTRS_MAX)
            return build_fail(b, err_set(LARDER_E_INVAL, "the item has over %u attributes", ITEM_ATTRS_MAX));
        return LARDER_OK;
    }
    enum larder_type element = build_set_element(level->type);
    if (type == element)
        return LARDER_OK;
    return build_fail(b,
                      err_set(LARDER_E_INVAL, "a value of type %s was added to a set of type %s, which takes %s only",
                              item_type_name(type), item_type_name(level->type), item_type_name(element)));
}

/* The name of what is added next: one for a member of an item or M, none for others. */
static int build_take_name(struct larder_builder *b, const char *name, struct bytes *out) {
    int is_named = b->levels[b->level].type == LARDER_M;
    *out = build_given_name(b, name);
    if (name && b->has_name)
        return build_fail(b, err_set(LARDER_E_INVAL, "attribute \"%.*s\" was given another name by larder_name()",
                                     BUILD_SHOWN(*out)));
    b->has_name = 0;
    if (!is_named && out->at)
        return build_fail(b, err_set(LARDER_E_INVAL, "a member of a list or set has no name, but \"%.*s\" was given",
                                     BUILD_SHOWN(*out)));
    if (!is_named)
        return LARDER_OK;
    if (!out->at)
        return build_fail(b, err_set(LARDER_E_INVAL, "an attribute needs a name"));
    if (out->len < 1 || out->len > LARDER_ATTRIBUTE_NAME_MAX)
        return build_fail(b, err_set(LARDER_E_INVAL, "the attribute name \"%.*s\" has %zu bytes; 1 to %d are allowed",
                                     BUILD_SHOWN(*out), out->len, LARDER_ATTRIBUTE_NAME_MAX));
    size_t valid = utf8_valid_bytes((const char *)out->at, out->len);
    if (valid < out->len)
        return build_fail(b, err_set(LARDER_E_INVAL, "the attribute name \"%.*s\" is not valid UTF-8 from byte %zu on",
                                     BUILD_SHOWN(*out), valid));
    return LARDER_OK;
}

/* B2. */
static int build_count_bytes(struct larder_builder *b, struct bytes name, size_t value_bytes) {
    size_t added = name.len + value_bytes + (b->level > 0 && b->levels[b->level].type <= LARDER_L);
    if (added > LARDER_ITEM_BYTES_MAX - b->ddb_bytes)
        return build_fail(b, err_set(LARDER_E_INVAL, "with \"%.*s\" the item has %zu bytes; at most %d are allowed",
                                     BUILD_SHOWN(name), b->ddb_bytes + added, LARDER_ITEM_BYTES_MAX));
    b->ddb_bytes += added;
    return LARDER_OK;
}

/* Appends a member with this value to what is open. Every add ends here. */
static int build_put(struct larder_builder *b, const char *given_name, const struct build_value *value) {
    struct build_level *level = &b->levels[b->level];
    struct bytes name;
    int result = build_ready(b);
    if (result != LARDER_OK || (result = build_take_name(b, given_name, &name)) != LARDER_OK ||
        (result = build_check_place(b, value->type)) != LARDER_OK ||
        (result = build_count_bytes(b, name, value->ddb_bytes)) != LARDER_OK)
        return result;
    size_t start = b->records.len;
    size_t end_max = start + 1 + ITEM_VARINT_BYTES_MAX + name.len + value->head_bytes + value->body.len;
    if (end_max > ITEM_IMAGE_BYTES_MAX) /* empty strings in a set weigh nothing by B2 */
        return build_fail(b, err_set(LARDER_E_INVAL, "a set holds a value twice"));
    if ((result = build_reserve(b, &b->records, end_max)) != LARDER_OK)
        return result;
    uint8_t *at = b->records.at + start;
    *at++ = (uint8_t)value->type;
    if (level->type == LARDER_M)
        at = item_put_name(at, name);
    at = item_put_bytes(at, value->head, value->head_bytes);
    at = item_put_bytes(at, value->body.at, value->body.len);
    b->records.len = (size_t)(at - b->records.at);
    level->count++;
    return level->type == LARDER_L ? LARDER_OK : build_push_entry(b, level, start);
}

/* An S, N or B that has been checked. */
static int build_put_scalar(struct larder_builder *b, const char *name, enum larder_type type, const void *data,
                            size_t bytes) {
    struct build_value value = {.type = type, .body = {data, bytes}, .ddb_bytes = bytes};
    value.head_bytes = (size_t)(item_put_varint(value.head, bytes) - value.head);
    return build_put(b, name, &value);
}

/* What no item can hold is refused before it is read. */
static int build_check_data(struct larder_builder *b, const char *name, const void *data, size_t bytes) {
    if (bytes && !data)
        return build_fail_at(b, name, err_set(LARDER_E_INVAL, "the value is a null pointer"));
    if (bytes > LARDER_ITEM_BYTES_MAX)
        return build_fail_at(
            b, name,
            err_set(LARDER_E_INVAL, "the value has %zu bytes; an item has at most %d", bytes, LARDER_ITEM_BYTES_MAX));
    return LARDER_OK;
}

LARDER_API int larder_add_sn(struct larder_builder *b, const char *name, const char *text, size_t bytes) {
    int result = build_ready(b);
    if (result != LARDER_OK || (result = build_check_data(b, name, text, bytes)) != LARDER_OK)
        return result;
    size_t valid = utf8_valid_bytes(text, bytes);
    if (valid < bytes)
        return build_fail_at(b, name, err_set(LARDER_E_INVAL, "the value is not valid UTF-8 from byte %zu on", valid));
    return build_put_scalar(b, name, LARDER_S, text, bytes);
}

LARDER_API int larder_add_s(struct larder_builder *b, const char *name, const char *text) {
    return larder_add_sn(b, name, text, text ? strlen(text) : 1);
}

LARDER_API int larder_add_b(struct larder_builder *b, const char *name, const void *data, size_t bytes) {
    int result = build_ready(b);
    if (result != LARDER_OK || (result = build_check_data(b, name, data, bytes)) != LARDER_OK)
        return result;
    return build_put_scalar(b, name, LARDER_B, data, bytes);
}

static int build_add_number(struct larder_builder *b, const char *name, const char *text, size_t text_bytes) {
    uint8_t number[NUM_BYTES_MAX];
    size_t bytes;
    int result = build_ready(b);
    if (result != LARDER_OK)
        return result;
    result = num_encode(text, text_bytes, number, &bytes);
    if (result != LARDER_OK)
        return build_fail_at(b, name, result);
    return build_put_scalar(b, name, LARDER_N, number, bytes);
}

static int build_add_encoded_number(struct larder_builder *b, const char *name, const struct larder_value *value) {
    int result = build_ready(b);
    if (result != LARDER_OK)
        return result;
    if (!value->data || !num_is_sane(value->data, value->bytes))
        return build_fail_at(b, name,
                             err_set(LARDER_E_INVAL, "a value of type N with count 1 must be one read from an item"));
    return build_put_scalar(b, name, LARDER_N, value->data, value->bytes);
}

LARDER_API int larder_add_n(struct larder_builder *b, const char *name, const char *decimal) {
    return build_add_number(b, name, decimal, decimal ? strlen(decimal) : 0);
}

LARDER_API int larder_add_int(struct larder_builder *b, const char *name, int64_t value) {
    uint8_t number[NUM_BYTES_MAX];
    return build_put_scalar(b, name, LARDER_N, number, num_encode_int64(value, number));
}

LARDER_API int larder_add_bool(struct larder_builder *b, const char *name, int is_true) {
    struct build_value value = {.type = LARDER_BOOL, .head = {is_true != 0}, .head_bytes = 1, .ddb_bytes = 1};
    return build_put(b, name, &value);
}

LARDER_API int larder_add_null(struct larder_builder *b, const char *name) {
    struct build_value value = {.type = LARDER_NULL, .ddb_bytes = 1};
    return build_put(b, name, &value);
}

LARDER_API int larder_add(struct larder_builder *b, const char *name, const struct larder_value *value) {
    int result = build_ready(b);
    if (result != LARDER_OK)
        return result;
    switch (value->type) {
    case LARDER_S:
        return larder_add_sn(b, name, value->data, value->bytes);
    case LARDER_N:
        return value->count == ITEM_N_IS_ENCODED ? build_add_encoded_number(b, name, value)
                                                 : build_add_number(b, name, value->data, value->bytes);
    case LARDER_B:
        return larder_add_b(b, name, value->data, value->bytes);
    case LARDER_BOOL:
        return larder_add_bool(b, name, value->is_true);
    case LARDER_NULL:
        return larder_add_null(b, name);
    default:
        return build_fail_at(b, name,
                             err_set(LARDER_E_INVAL, "larder_add() takes a value of type S, N, B, BOOL or NULL, not %s",
                                     item_type_name(value->type)));
    }
}

LARDER_API int larder_name(struct larder_builder *b, const char *name, size_t bytes) {
    int result = build_ready(b);
    if (result != LARDER_OK)
        return result;
    if (!name || bytes > LARDER_ATTRIBUTE_NAME_MAX)
        return build_fail(b, err_set(LARDER_E_INVAL, "an attribute name has %zu bytes; 1 to %d are allowed",
                                     name ? bytes : 0, LARDER_ATTRIBUTE_NAME_MAX));
    if (b->has_name)
        return build_fail(b, err_set(LARDER_E_INVAL, "larder_name() was called twice with no value between"));
    result = build_reserve(b, &b->name, bytes + 1);
    if (result != LARDER_OK)
        return result;
    item_put_bytes(b->name.at, name, bytes);
    b->name.len = bytes;
    b->has_name = 1;
    return LARDER_OK;
}

/* ---- Containers ---------------------------------------------------------------------------------------------- */

/* Whether a container with so many levels of M and L may be added here. */
static int build_check_levels(struct larder_builder *b, uint32_t levels) {
    if (b->level + levels <= LARDER_NESTING_MAX)
        return LARDER_OK;
    return build_fail(b, err_set(LARDER_E_INVAL, "lists and maps are nested %u deep; at most %d are allowed",
                                 b->level + levels, LARDER_NESTING_MAX));
}

static int is_container(enum larder_type type) {
    return type >= LARDER_M && type <= LARDER_BS;
}

LARDER_API int larder_begin(struct larder_builder *b, const char *name, enum larder_type type) {
    int is_nested = type == LARDER_M || type == LARDER_L;
    struct build_value value = {.type = type, .ddb_bytes = is_nested ? 3 : 0};
    int result = build_ready(b);
    if (result != LARDER_OK)
        return result;
    if (!is_container(type))
        return build_fail_at(
            b, name,
            err_set(LARDER_E_INVAL, "larder_begin() opens an M, L, SS, NS or BS, not %s", item_type_name(type)));
    if (is_nested && (result = build_check_levels(b, 1)) != LARDER_OK)
        return result;
    result = build_put(b, name, &value);
    if (result != LARDER_OK)
        return result;
    b->levels[++b->level] =
        (struct build_level){.type = type, .is_sorted = 1, .members = b->records.len, .entry_first = b->entry_count};
    return LARDER_OK;
}

/* Moves the members of the innermost level into the order of its entries. */
static int build_reorder(struct larder_builder *b, const struct build_level *level) {
    size_t bytes = b->records.len - level->members;
    int result = build_reserve(b, &b->scratch, bytes);
    if (result != LARDER_OK)
        return result;
    uint8_t *to = b->scratch.at;
    for (size_t i = level->entry_first; i < b->entry_count; i++) {
        const uint8_t *at = b->records.at + b->entries[i].offset;
        to = item_put_bytes(to, at, build_member_bytes(level->type, at));
    }
    item_put_bytes(b->records.at + level->members, b->scratch.at, bytes);
    return LARDER_OK;
}

LARDER_API int larder_end(struct larder_builder *b) {
    struct build_level *level = &b->levels[b->level];
    int result = build_ready(b);
    if (result != LARDER_OK)
        return result;
    if (b->level == 0)
        return build_fail(b, err_set(LARDER_E_INVAL, "larder_end() without an open M, L, SS, NS or BS"));
    if (b->has_name)
        return build_fail(b, err_set(LARDER_E_INVAL, "larder_name() was not followed by a value"));
    if (!level->count && level->type >= LARDER_SS)
        return build_fail(b, err_set(LARDER_E_INVAL, "a set of type %s is empty; at least one member is needed",
                                     item_type_name(level->type)));
    if ((result = build_sort(b, level)) != LARDER_OK ||
        (!level->is_sorted && (result = build_reorder(b, level)) != LARDER_OK) ||
        (result = build_reserve(b, &b->records, b->records.len + 2 * ITEM_VARINT_BYTES_MAX)) != LARDER_OK)
        return result;
    size_t bytes = b->records.len - level->members, rest = item_varint_bytes(level->count) + bytes;
    size_t head = item_varint_bytes(rest) + item_varint_bytes(level->count);
    uint8_t *at = b->records.at + level->members;
    memmove(at + head, at, bytes);
    item_put_varint(item_put_varint(at, rest), level->count);
    b->records.len += head;
    b->entry_count = level->entry_first;
    b->level--;
    return LARDER_OK;
}

/* Copies an M, L or set out of another item, which is checked like any other input. */
static int build_add_container(struct larder_builder *b, const struct larder_value *from) {
    struct item_measure measure;
    if (!item_measure_container(from, &measure))
        return build_fail_at(
            b, NULL,
            err_set(LARDER_E_INVAL, "a value of type %s must be one read from an item", item_type_name(from->type)));
    int result = build_check_levels(b, measure.levels);
    if (result != LARDER_OK)
        return result;
    struct build_value value = {.type = from->type, .body = {from->data, from->bytes}, .ddb_bytes = measure.ddb_bytes};
    uint8_t *end = item_put_varint(value.head, item_varint_bytes(from->count) + from->bytes);
    value.head_bytes = (size_t)(item_put_varint(end, from->count) - value.head);
    return build_put(b, NULL, &value);
}

LARDER_API int larder_add_member(struct larder_builder *b, const struct larder_member *member) {
    int result = build_ready(b);
    if (result == LARDER_OK && member->name)
        result = larder_name(b, member->name, member->name_bytes);
    if (result != LARDER_OK)
        return result;
    return is_container(member->value.type) ? build_add_container(b, &member->value)
                                            : larder_add(b, NULL, &member->value);
}

/* ---- Another item's attributes ------------------------------------------------------------------------------ */

/* An item that is copied, but for some attributes. Runs of records are copied as they lie. */
struct build_copy {
    const struct item_head *from;
    const uint8_t *run;     /* first record that is still to be copied; NULL: none */
    size_t ddb_bytes;       /* of what was copied */
    const char *const *but; /* names of what is left out */
    uint32_t but_count;
    uint64_t left_out[(ITEM_ATTRS_MAX + 63) /
                      64]; /* by ordinal, a bit each, unless the item is walked; as many words as it needs
                                                      are set */
};

/* A walked item has few attributes: each is compared. Of others the names are looked up, whatever number there is of both. */
static int build_is_left_out(const struct build_copy *c, uint32_t ordinal, struct bytes name) {
    if (!item_is_walked(c->from))
        return c->left_out[ordinal / 64] >> (ordinal % 64) & 1;
    for (uint32_t i = 0; i < c->but_count; i++)
        if (*c->but[i] == (char)*name.at && strlen(c->but[i]) == name.len && memcmp(c->but[i], name.at, name.len) == 0)
            return 1;
    return 0;
}

static void build_leave_out(struct build_copy *c) {
    if (item_is_walked(c->from))
        return;
    memset(c->left_out, 0, ((size_t)c->from->attr_count + 63) / 64 * sizeof *c->left_out);
    for (uint32_t i = 0; i < c->but_count; i++) {
        uint16_t ordinal = item_find_attr(c->from, c->but[i], strlen(c->but[i]));
        if (ordinal != ITEM_NO_ATTR)
            c->left_out[ordinal / 64] |= UINT64_C(1) << (ordinal % 64);
    }
}

/* Room in records and entries for all of an item. */
static int build_make_room(struct larder_builder *b, const struct item_head *from) {
    if (b->levels[0].count + from->attr_count > ITEM_ATTRS_MAX)
        return build_fail(b, err_set(LARDER_E_INVAL, "the item has over %u attributes", ITEM_ATTRS_MAX));
    /* Keys get a length of their own. */
    size_t bytes = b->records.len + from->bytes - sizeof *from + 2u * ITEM_VARINT_BYTES_MAX;
    int result = build_reserve(b, &b->records, bytes);
    return result == LARDER_OK ? build_reserve_entries(b, b->entry_count + from->attr_count) : result;
}

/* B3. A container was looked at in full when it was read. */
static int build_is_sane(const struct item_record *r, const struct larder_value *value) {
    struct bytes name = r->name;
    if (!(*r->name_field.at & ITEM_NAME_LISTED)) {
        const uint8_t *text = value->data;
        size_t with_text = name.len + 1 + value->bytes;
        /* A length below 128 between a name and a text parts them: they are text if the whole is. */
        if (value->type == LARDER_S && text == name.at + name.len + 1 &&
            utf8_valid_bytes((const char *)name.at, with_text) == with_text)
            return 1;
        if (utf8_valid_bytes((const char *)name.at, name.len) < name.len)
            return 0;
    }
    if (value->type == LARDER_S)
        return utf8_valid_bytes(value->data, value->bytes) == value->bytes;
    return value->type != LARDER_N || num_is_sane(value->data, value->bytes);
}

/* The records from c->run to `end`. */
static void build_copy_run(struct larder_builder *b, struct build_copy *c, const uint8_t *end) {
    if (c->run) {
        memcpy(b->records.at + b->records.len, c->run, (size_t)(end - c->run));
        b->records.len += (size_t)(end - c->run);
    }
    c->run = NULL;
}

/* A key attribute, whose value lies in the key area. */
static void build_copy_key(struct larder_builder *b, struct bytes name_field, const struct larder_value *value) {
    uint8_t *at = b->records.at + b->records.len;
    *at++ = (uint8_t)value->type;
    at = item_put_bytes(at, name_field.at, name_field.len);
    at = item_put_bytes(item_put_varint(at, value->bytes), value->data, value->bytes);
    b->records.len = (size_t)(at - b->records.at);
}

/* An entry for what lies in records at `offset`, or will when its run is copied. previous: the name copied before, or NULL. */
static void build_note_copy(struct larder_builder *b, size_t offset, const struct item_record *r,
                            const struct bytes *previous) {
    struct build_level *level = &b->levels[0];
    struct build_entry entry = {.offset = (uint32_t)offset};
    uint8_t first = *r->name_field.at;
    entry.prefix = first & ITEM_NAME_LISTED ? item_listed_prefix(first) : build_prefix(r->name);
    if (level->is_sorted && b->entry_count > 0) {
        const struct build_entry *last = &b->entries[b->entry_count - 1];
        level->is_sorted =
            last->prefix < entry.prefix ||
            (last->prefix == entry.prefix &&
             item_compare_bytes(previous ? *previous : build_sort_key(b, LARDER_M, last->offset), r->name) < 0);
    }
    b->entries[b->entry_count++] = entry;
    level->count++;
}

/* The end of the record at `at`; NULL: it leads outside. */
static const uint8_t *build_take_record(const struct build_copy *c, const uint8_t *at, struct item_record *r,
                                        struct larder_value *value) {
    const uint8_t *end = (const uint8_t *)c->from + c->from->bytes;
    if (!item_take_record(at, end, r))
        return NULL;
    if (r->tag != LARDER_S || r->value >= end || *r->value >= 0x80 || *r->value >= end - r->value) {
        unsigned keys = r->tag & ITEM_KEY_FLAGS;
        int is_tag = keys != ITEM_KEY_FLAGS && (r->tag & ~(ITEM_TYPE_MASK | ITEM_KEY_FLAGS)) == 0;
        return is_tag ? item_take_record_value(c->from, r, end, value) : NULL;
    }
    value->type = LARDER_S; /* most are */
    value->data = r->value + 1;
    value->bytes = *r->value;
    return r->value + 1 + *r->value;
}

/* False: something is no attribute. There is room for each key once (build_make_room). */
static int build_copy_all(struct larder_builder *b, struct build_copy *c) {
    const uint8_t *at = item_first_record(c->from);
    struct bytes previous;
    int is_first = 1, keys_seen = 0;
    for (uint32_t i = 0; i < c->from->attr_count; i++) {
        struct item_record r;
        struct larder_value value;
        const uint8_t *start = at;
        at = build_take_record(c, at, &r, &value);
        if (!at || (r.tag & ITEM_KEY_FLAGS & keys_seen))
            return 0;
        int is_key = r.tag & ITEM_KEY_FLAGS, is_left_out = build_is_left_out(c, i, r.name);
        keys_seen |= is_key;
        if (is_key || is_left_out)
            build_copy_run(b, c, start);
        else if (!c->run)
            c->run = start;
        if (is_left_out)
            continue;
        if (!build_is_sane(&r, &value))
            return 0;
        c->ddb_bytes += item_attr_ddb_bytes(r.name, &value);
        build_note_copy(b, b->records.len + (c->run ? (size_t)(start - c->run) : 0), &r, is_first ? NULL : &previous);
        if (is_key)
            build_copy_key(b, r.name_field, &value);
        previous = r.name;
        is_first = 0;
    }
    build_copy_run(b, c, at);
    return 1;
}

LARDER_API int larder_add_all(struct larder_builder *b, const struct larder_item *item, const char *const *but,
                              uint32_t but_count) {
    struct build_copy c; /* large: only what is used is set */
    int result = build_ready(b);
    if (result != LARDER_OK)
        return result;
    if (!item || (but_count && !but))
        return build_fail(b, err_set(LARDER_E_INVAL, "larder_add_all: item or names are NULL"));
    if (b->level || b->has_name)
        return build_fail(b,
                          err_set(LARDER_E_INVAL, "larder_add_all() adds to the item itself, not to what is open in it "
                                                  "and not under a name"));
    c.from = item_head(item);
    if ((result = build_make_room(b, c.from)) != LARDER_OK)
        return result;
    c.but = but;
    c.but_count = but_count;
    build_leave_out(&c);
    c.run = NULL;
    c.ddb_bytes = 0;
    if (!build_copy_all(b, &c))
        return build_fail(b, err_set(LARDER_E_CORRUPT, "the item is damaged: a name or value of it is none"));
    if (c.ddb_bytes > LARDER_ITEM_BYTES_MAX - b->ddb_bytes || b->records.len > ITEM_IMAGE_BYTES_MAX)
        return build_fail(b, err_set(LARDER_E_INVAL,
                                     "with all of another item the item has %zu bytes; at most %d are allowed",
                                     b->ddb_bytes + c.ddb_bytes, LARDER_ITEM_BYTES_MAX));
    b->ddb_bytes += c.ddb_bytes;
    return LARDER_OK;
}

/* ---- Life of a builder --------------------------------------------------------------------------------------- */

LARDER_API void larder_builder_reset(struct larder_builder *b) {
    b->records.len = 0;
    b->entry_count = 0;
    b->level = 0;
    b->levels[0] = (struct build_level){.type = LARDER_M, .is_sorted = 1};
    b->ddb_bytes = 0;
    b->has_name = 0;
    b->error = LARDER_OK;
}

struct larder_builder *item_builder_new(struct priv *p) {
    struct larder_builder *b = priv_alloc(p, sizeof *b);
    if (!b)
        return NULL;
    b->priv = p;
    larder_builder_reset(b);
    return b;
}

LARDER_API int larder_builder_new(struct larder *db, struct larder_builder **out) {
    struct larder_builder *b = item_builder_new(db_priv(db));
    if (!b)
        return LARDER_E_NO_MEMORY;
    *out = b;
    return LARDER_OK;
}

LARDER_API void larder_builder_free(struct larder_builder *b) {
    if (!b)
        return;
    struct priv *p = b->priv;
    priv_free(p, b->records.at);
    priv_free(p, b->scratch.at);
    priv_free(p, b->image.at);
    priv_free(p, b->name.at);
    priv_free(p, b->entries);
    priv_free(p, b);
}

/* Records in the order of the entries. */
static void build_image(const struct larder_builder *b, struct item_head *h) {
    size_t first = item_lay_out(h, b->records.len), at = first;
    if (b->levels[0].is_sorted) { /* they are in order as they lie */
        item_put_bytes((uint8_t *)h + first, b->records.at, b->records.len);
        for (uint32_t i = 0; !item_is_walked(h) && i < h->attr_count; i++)
            item_set_record_offset(h, i, (uint32_t)(first + b->entries[i].offset));
        at += b->records.len;
    } else {
        for (uint32_t i = 0; i < h->attr_count; i++) {
            const uint8_t *record = b->records.at + b->entries[i].offset;
            size_t bytes = build_member_bytes(LARDER_M, record);
            item_set_record_offset(h, i, (uint32_t)at);
            item_put_bytes((uint8_t *)h + at, record, bytes);
            at += bytes;
        }
    }
    memset((uint8_t *)h + at, 0, h->bytes - at);
}

LARDER_API int larder_builder_finish(struct larder_builder *b, const struct larder_item **out) {
    int result = build_ready(b);
    if (result != LARDER_OK)
        return result;
    if (b->level)
        return build_fail(b, err_set(LARDER_E_INVAL, "%u maps, lists or sets are still open", b->level));
    if (b->has_name)
        return build_fail(b, err_set(LARDER_E_INVAL, "larder_name() was not followed by a value"));
    size_t bytes_max = sizeof(struct item_head) + sizeof(uint32_t) * b->entry_count + b->records.len + 8;
    if ((result = build_sort(b, &b->levels[0])) != LARDER_OK ||
        (result = build_reserve(b, &b->image, bytes_max)) != LARDER_OK)
        return result;
    struct item_head *h = (struct item_head *)(void *)b->image.at;
    memset(h, 0, sizeof *h);
    h->attr_count = (uint16_t)b->entry_count;
    item_set_ddb_bytes(h, b->ddb_bytes);
    build_image(b, h);
    *out = (const struct larder_item *)(const void *)h;
    return LARDER_OK;
}
