/* core/item/item_build.c - the builder: makes items from values.
 *
 * Job      Takes attributes in any order and lays out an image (core/item/item.h).
 * Picture  records  what was added, in call order; an open container's members are the tail
 *          entries  offsets into records: the item's attributes, then the members of each open M
 *                   or set, from the outermost to the innermost
 *          levels   levels[0] is the item, levels[level] receives the next add; each knows where
 *                   its part of records and entries begins
 *          Sorting moves only entries. larder_builder_end() then puts a container's members in
 *          order and writes its lengths in front of them. larder_builder_finish() does the same for
 *          the item, into another buffer.
 * Rules    B1 The first failure and its text stay until reset; nothing changes after it.
 *          B2 ddb_bytes is the item's size so far as DynamoDB counts it, never over the limit:
 *             that of items, or that of an expression's values, which no table takes as an item.
 *             records never exceeds ITEM_IMAGE_BYTES_MAX. So no caller makes a builder grow without
 *             end.
 *          B3 All of records is checked: names and S are UTF-8, N is canonical, nesting within the
 *             limit.
 * Locks    None: a builder is used by one thread at a time.
 * Tests    tests/unit/item/item_build_test.c, tests/unit/item/item_refuse_test.c
 */
#include <string.h>

#include "core/base/err.h"
#include "core/base/priv.h"
#include "core/base/utf8.h"
#include "core/item/item_builder.h"
#include "core/item/item_records.h"
#include "core/item/num.h"

/* A value as a record stores it: tag, head (lengths, or a BOOL), body. */
struct build_value {
    enum larder_type type;
    uint8_t tag;
    uint8_t head[2 * ITEM_VARINT_BYTES_MAX];
    size_t head_bytes;
    struct bytes body;
    size_t ddb_bytes;
};

/* ---- Errors ---------------------------------------------------------------------------------- */

/* The name of the value that is being added, from the call or from larder_builder_name(). */
static struct bytes build_given_name(const struct larder_builder *b, const char *name) {
    if (name)
        return (struct bytes){(const uint8_t *)name, strlen(name)};
    return b->has_name ? (struct bytes){b->name.at, b->name.len} : (struct bytes){NULL, 0};
}

/* build_fail() with the attribute's name in front of the text. */
static int build_fail_at(struct larder_builder *b, const char *name, int result) {
    struct bytes given = build_given_name(b, name);
    if (given.len)
        err_set(result, "attribute \"%.*s\": %s", ITEM_SHOWN(given), larder_error());
    return build_fail(b, result);
}

/* ---- Adding ---------------------------------------------------------------------------------- */

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
            return build_fail(b,
                              err_set(LARDER_E_INVAL, "the item has more than %u attributes, the most that are allowed",
                                      ITEM_ATTRS_MAX));
        return LARDER_OK;
    }
    enum larder_type element = build_set_element(level->type);
    if (type == element)
        return LARDER_OK;
    return build_fail(b,
                      err_set(LARDER_E_INVAL, "a value of type %s was added to a set of type %s, which takes %s only",
                              item_type_name(type), item_type_name(level->type), item_type_name(element)));
}

int item_check_name(struct bytes name) {
    if (name.len < 1 || name.len > LARDER_ATTRIBUTE_NAME_MAX)
        return err_set(LARDER_E_INVAL, "the attribute name \"%.*s\" has %zu bytes; 1 to %d are allowed",
                       ITEM_SHOWN(name), name.len, LARDER_ATTRIBUTE_NAME_MAX);
    size_t valid = utf8_valid_bytes((const char *)name.at, name.len);
    if (valid < name.len)
        return err_set(LARDER_E_INVAL, "the attribute name \"%.*s\" is not valid UTF-8 from byte %zu on",
                       ITEM_SHOWN(name), valid);
    return LARDER_OK;
}

/* The name of the value that is added next: a member of an item or M has one, others have none. */
static int build_take_name(struct larder_builder *b, const char *name, struct bytes *out) {
    int is_named = b->levels[b->level].type == LARDER_M;
    *out = build_given_name(b, name);
    if (name && b->has_name)
        return build_fail(b,
                          err_set(LARDER_E_INVAL, "attribute \"%.*s\" was given another name by larder_builder_name()",
                                  ITEM_SHOWN(*out)));
    b->has_name = 0;
    if (!is_named && out->at)
        return build_fail(b, err_set(LARDER_E_INVAL, "a member of a list or set has no name, but \"%.*s\" was given",
                                     ITEM_SHOWN(*out)));
    if (!is_named)
        return LARDER_OK;
    if (!out->at)
        return build_fail(b, err_set(LARDER_E_INVAL, "an attribute needs a name"));
    int result = item_check_name(*out);
    return result == LARDER_OK ? LARDER_OK : build_fail(b, result);
}

/* B2. */
static int build_count_bytes(struct larder_builder *b, struct bytes name, size_t value_bytes) {
    size_t added = name.len + value_bytes + (b->level > 0 && b->levels[b->level].type <= LARDER_L);
    if (added > b->ddb_bytes_max - b->ddb_bytes)
        return build_fail(b, err_set(LARDER_E_INVAL, "with \"%.*s\" the item has %zu bytes; at most %zu are allowed",
                                     ITEM_SHOWN(name), b->ddb_bytes + added, b->ddb_bytes_max));
    b->ddb_bytes += added;
    return LARDER_OK;
}

/* More records than a legal item has. Empty values in a set do not count in B2. */
static int build_refuse_records(struct larder_builder *b, struct bytes name, size_t bytes) {
    if (b->ddb_bytes <= LARDER_ITEM_BYTES_MAX)
        return build_fail(b, err_set(LARDER_E_INVAL, "a set holds a value twice"));
    return build_fail(b, err_set(LARDER_E_INVAL,
                                 "with \"%.*s\" the values take %zu bytes as they are kept; at most %u "
                                 "are allowed",
                                 ITEM_SHOWN(name), bytes, ITEM_IMAGE_BYTES_MAX));
}

/* Appends a member with this value to the open level. Every add ends here or in build_put_top(). */
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
    if (end_max > ITEM_IMAGE_BYTES_MAX)
        return build_refuse_records(b, name, end_max);
    if ((result = build_reserve(b, &b->records, end_max)) != LARDER_OK)
        return result;
    uint8_t *at = b->records.at + start;
    *at++ = value->tag;
    if (level->type == LARDER_M)
        at = item_put_name(at, name);
    at = item_put_bytes(at, value->head, value->head_bytes);
    at = item_put_bytes(at, value->body.at, value->body.len);
    b->records.len = (size_t)(at - b->records.at);
    level->count++;
    b->shape.is_same &= b->level != 0;
    return level->type == LARDER_L ? LARDER_OK : build_push_entry(b, level, start);
}

static __attribute__((noinline)) int build_put_long(struct larder_builder *b, const char *name, enum larder_type type,
                                                    uint8_t tag, struct bytes body) {
    struct build_value value = {.type = type, .tag = tag, .body = body, .ddb_bytes = body.len};
    if (tag < ITEM_SHORT_N)
        value.head_bytes = (size_t)(item_put_varint(value.head, body.len) - value.head);
    return build_put(b, name, &value);
}

/* Adds an S, N or B that has been checked. */
static inline int build_put_scalar(struct larder_builder *b, const char *name, enum larder_type type, const void *data,
                                   size_t bytes) {
    uint8_t tag = item_scalar_tag(type, bytes);
    if (build_is_top(b, name) && build_put_top(b, name, tag, tag < ITEM_SHORT_N ? BUILD_LENGTH : 0, data, bytes))
        return LARDER_OK;
    return build_put_long(b, name, type, tag, (struct bytes){data, bytes});
}

/* A value that no item can hold is refused before it is read. */
static int build_check_data(struct larder_builder *b, const char *name, size_t bytes) {
    if (bytes > LARDER_ITEM_BYTES_MAX)
        return build_fail_at(
            b, name,
            err_set(LARDER_E_INVAL, "the value has %zu bytes; an item has at most %d", bytes, LARDER_ITEM_BYTES_MAX));
    return LARDER_OK;
}

static int build_add_text(struct larder_builder *b, const char *name, const char *text, size_t bytes) {
    int result = build_check_data(b, name, bytes);
    if (result != LARDER_OK)
        return result;
    size_t valid = utf8_valid_bytes(text, bytes);
    if (valid < bytes)
        return build_fail_at(b, name, err_set(LARDER_E_INVAL, "the value is not valid UTF-8 from byte %zu on", valid));
    return build_put_scalar(b, name, LARDER_S, text, bytes);
}

static int build_add_bytes(struct larder_builder *b, const char *name, const void *data, size_t bytes) {
    int result = build_check_data(b, name, bytes);
    return result == LARDER_OK ? build_put_scalar(b, name, LARDER_B, data, bytes) : result;
}

int build_add_sn(struct larder_builder *b, const char *name, const char *text, size_t bytes) {
    static const char public_name[] = "larder_builder_add_sn";
    if (!b) {
        err_null(public_name, "b");
        return LARDER_E_INVAL;
    }
    int result = build_ready(b);
    if (result == LARDER_OK && bytes && !text) {
        err_null(public_name, "text");
        return build_fail(b, LARDER_E_INVAL);
    }
    return result == LARDER_OK ? build_add_text(b, name, text, bytes) : result;
}

LARDER_API int larder_builder_add_s(struct larder_builder *b, const char *name, const char *text) {
    if (ERR_IS_NULL(b))
        return LARDER_E_INVAL;
    int result = build_ready(b);
    if (result == LARDER_OK && ERR_IS_NULL(text))
        return build_fail(b, LARDER_E_INVAL);
    return result == LARDER_OK ? build_add_text(b, name, text, strlen(text)) : result;
}

LARDER_API int larder_builder_add_b(struct larder_builder *b, const char *name, const void *data, size_t bytes) {
    if (ERR_IS_NULL(b))
        return LARDER_E_INVAL;
    int result = build_ready(b);
    if (result == LARDER_OK && bytes && ERR_IS_NULL(data))
        return build_fail(b, LARDER_E_INVAL);
    return result == LARDER_OK ? build_add_bytes(b, name, data, bytes) : result;
}

static int build_add_number(struct larder_builder *b, const char *name, const char *text, size_t text_bytes) {
    uint8_t number[NUM_BYTES_MAX];
    size_t bytes;
    int result = num_encode(text, text_bytes, number, &bytes);
    if (result != LARDER_OK)
        return build_fail_at(b, name, result);
    return build_put_scalar(b, name, LARDER_N, number, bytes);
}

static int build_add_encoded_number(struct larder_builder *b, const char *name, const struct larder_value *value) {
    if (!value->data || !num_is_sane(value->data, value->bytes))
        return build_fail_at(
            b, name, err_set(LARDER_E_INVAL, "a value of type N with count 1 must have been read from an item"));
    return build_put_scalar(b, name, LARDER_N, value->data, value->bytes);
}

LARDER_API int larder_builder_add_n(struct larder_builder *b, const char *name, const char *decimal) {
    if (ERR_IS_NULL(b))
        return LARDER_E_INVAL;
    int result = build_ready(b);
    if (result == LARDER_OK && ERR_IS_NULL(decimal))
        return build_fail(b, LARDER_E_INVAL);
    return result == LARDER_OK ? build_add_number(b, name, decimal, strlen(decimal)) : result;
}

LARDER_API int larder_builder_add_int(struct larder_builder *b, const char *name, int64_t value) {
    uint8_t number[NUM_BYTES_MAX];
    if (ERR_IS_NULL(b))
        return LARDER_E_INVAL;
    return build_put_scalar(b, name, LARDER_N, number, num_encode_int64(value, number));
}

LARDER_API int larder_builder_add_bool(struct larder_builder *b, const char *name, int is_true) {
    if (ERR_IS_NULL(b))
        return LARDER_E_INVAL;
    const uint8_t byte = is_true != 0;
    struct build_value value = {
        .type = LARDER_BOOL, .tag = LARDER_BOOL, .head = {byte}, .head_bytes = 1, .ddb_bytes = 1};
    int is_put = build_is_top(b, name) && build_put_top(b, name, LARDER_BOOL, 0, &byte, 1);
    return is_put ? LARDER_OK : build_put(b, name, &value);
}

LARDER_API int larder_builder_add_null(struct larder_builder *b, const char *name) {
    if (ERR_IS_NULL(b))
        return LARDER_E_INVAL;
    struct build_value value = {.type = LARDER_NULL, .tag = LARDER_NULL, .ddb_bytes = 1};
    int is_put = build_is_top(b, name) && build_put_top(b, name, LARDER_NULL, BUILD_MORE(1), NULL, 0);
    return is_put ? LARDER_OK : build_put(b, name, &value);
}

/* The builder is ready, and the value's data is not NULL. */
static int build_add_value(struct larder_builder *b, const char *name, const struct larder_value *value) {
    switch (value->type) {
    case LARDER_S:
        return build_add_text(b, name, value->data, value->bytes);
    case LARDER_N:
        return value->count == ITEM_N_IS_ENCODED ? build_add_encoded_number(b, name, value)
                                                 : build_add_number(b, name, value->data, value->bytes);
    case LARDER_B:
        return build_add_bytes(b, name, value->data, value->bytes);
    case LARDER_BOOL:
        return larder_builder_add_bool(b, name, value->is_true);
    case LARDER_NULL:
        return larder_builder_add_null(b, name);
    default:
        return build_fail_at(b, name,
                             err_set(LARDER_E_INVAL,
                                     "larder_builder_add() takes a value of type S, N, B, BOOL or NULL, not %s",
                                     item_type_name(value->type)));
    }
}

LARDER_API int larder_builder_add(struct larder_builder *b, const char *name, const struct larder_value *value) {
    if (ERR_IS_NULL(b))
        return LARDER_E_INVAL;
    int result = build_ready(b);
    if (result != LARDER_OK)
        return result;
    if (ERR_IS_NULL(value) || (value->bytes && value->type <= LARDER_B && ERR_IS_NULL(value->data)))
        return build_fail(b, LARDER_E_INVAL);
    return build_add_value(b, name, value);
}

LARDER_API int larder_builder_name(struct larder_builder *b, const char *name, size_t bytes) {
    if (ERR_IS_NULL(b))
        return LARDER_E_INVAL;
    int result = build_ready(b);
    if (result != LARDER_OK)
        return result;
    if (ERR_IS_NULL(name))
        return build_fail(b, LARDER_E_INVAL);
    if (bytes < 1 || bytes > LARDER_ATTRIBUTE_NAME_MAX)
        return build_fail(b, err_set(LARDER_E_INVAL, "an attribute name has %zu bytes; 1 to %d are allowed", bytes,
                                     LARDER_ATTRIBUTE_NAME_MAX));
    if (b->has_name)
        return build_fail(b, err_set(LARDER_E_INVAL, "larder_builder_name() was called twice with no value between"));
    result = build_reserve(b, &b->name, bytes + 1);
    if (result != LARDER_OK)
        return result;
    item_put_bytes(b->name.at, name, bytes);
    b->name.len = bytes;
    b->has_name = 1;
    return LARDER_OK;
}

/* ---- Containers ------------------------------------------------------------------------------ */

int build_check_levels(struct larder_builder *b, uint32_t levels) {
    if (b->level + levels < LARDER_NESTING_MAX)
        return LARDER_OK;
    return build_fail(b, err_set(LARDER_E_INVAL, "%u lists and maps are nested; at most %d are allowed",
                                 b->level + levels, LARDER_NESTING_MAX - 1));
}

static int is_container(enum larder_type type) {
    return type >= LARDER_M && type <= LARDER_BS;
}

LARDER_API int larder_builder_begin(struct larder_builder *b, const char *name, enum larder_type type) {
    int is_nested = type == LARDER_M || type == LARDER_L;
    struct build_value value = {.type = type, .tag = (uint8_t)type, .ddb_bytes = is_nested ? 3 : 0};
    if (ERR_IS_NULL(b))
        return LARDER_E_INVAL;
    int result = build_ready(b);
    if (result != LARDER_OK)
        return result;
    if (!is_container(type))
        return build_fail_at(b, name,
                             err_set(LARDER_E_INVAL, "larder_builder_begin() opens an M, L, SS, NS or BS, not %s",
                                     item_type_name(type)));
    if (is_nested && (result = build_check_levels(b, 1)) != LARDER_OK)
        return result;
    unsigned how = BUILD_OPEN | BUILD_MORE(is_nested ? 3u : 0u);
    if (!build_is_top(b, name) || !build_put_top(b, name, type, how, NULL, 0))
        result = build_put(b, name, &value);
    if (result != LARDER_OK)
        return result;
    b->levels[++b->level] =
        (struct build_level){.type = type, .is_sorted = 1, .members = b->records.len, .entry_first = b->entry_count};
    return LARDER_OK;
}

size_t build_member_bytes(enum larder_type of, const uint8_t *at) {
    struct larder_value value;
    const uint8_t *from = of == LARDER_M ? item_record_at(at).value : at + 1;
    return (size_t)(item_read_value(*at, from, &value) - at);
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

LARDER_API int larder_builder_end(struct larder_builder *b) {
    if (ERR_IS_NULL(b))
        return LARDER_E_INVAL;
    struct build_level *level = &b->levels[b->level];
    int result = build_ready(b);
    if (result != LARDER_OK)
        return result;
    if (b->level == 0)
        return build_fail(b, err_set(LARDER_E_INVAL, "larder_builder_end() without an open M, L, SS, NS or BS"));
    if (b->has_name)
        return build_fail(b, err_set(LARDER_E_INVAL, "larder_builder_name() was not followed by a value"));
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

/* Copies an M, L or set from another item; it is checked like any other input. */
static int build_add_container(struct larder_builder *b, const struct larder_value *from) {
    struct item_measure measure;
    if (!item_measure_container(from, &measure))
        return build_fail_at(
            b, NULL,
            err_set(LARDER_E_INVAL, "a value of type %s must have been read from an item", item_type_name(from->type)));
    int result = build_check_levels(b, measure.levels);
    if (result != LARDER_OK)
        return result;
    struct build_value value = {.type = from->type,
                                .tag = (uint8_t)from->type,
                                .body = {from->data, from->bytes},
                                .ddb_bytes = measure.ddb_bytes};
    uint8_t *end = item_put_varint(value.head, item_varint_bytes(from->count) + from->bytes);
    value.head_bytes = (size_t)(item_put_varint(end, from->count) - value.head);
    return build_put(b, NULL, &value);
}

LARDER_API int larder_builder_add_member(struct larder_builder *b, const struct larder_member *member) {
    if (ERR_IS_NULL(b))
        return LARDER_E_INVAL;
    int result = build_ready(b);
    if (result == LARDER_OK && (ERR_IS_NULL(member) || (member->value.bytes && ERR_IS_NULL(member->value.data))))
        return build_fail(b, LARDER_E_INVAL);
    if (result == LARDER_OK && member->name)
        result = larder_builder_name(b, member->name, member->name_bytes);
    if (result != LARDER_OK)
        return result;
    return is_container(member->value.type) ? build_add_container(b, &member->value)
                                            : build_add_value(b, NULL, &member->value);
}

/* ---- Life of a builder ----------------------------------------------------------------------- */

LARDER_API void larder_builder_reset(struct larder_builder *b) {
    if (!b)
        return;
    b->records.len = 0;
    b->entry_count = 0;
    b->level = 0;
    b->levels[0] = (struct build_level){.type = LARDER_M, .is_sorted = 1};
    b->ddb_bytes = 0;
    b->has_name = 0;
    b->error = LARDER_OK;
    b->shape.is_same = b->shape.is_in_call_order = 1;
}

struct larder_builder *item_builder_new(struct priv *p, size_t ddb_bytes_max) {
    struct larder_builder *b = priv_alloc(p, sizeof *b);
    if (!b)
        return NULL;
    b->priv = p;
    b->ddb_bytes_max = ddb_bytes_max;
    larder_builder_reset(b);
    return b;
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

/* Writes the records in the order of the entries, or of these places of theirs. */
static void build_image(const struct larder_builder *b, struct item_head *h, const uint8_t *order) {
    uint8_t *first = (uint8_t *)h + item_lay_out(h, b->records.len), *end = first + b->records.len;
    if (b->levels[0].is_sorted) { /* they are in order as they lie */
        item_put_bytes(first, b->records.at, b->records.len);
        for (uint32_t i = 0; !item_is_walked(h) && i < h->attr_count; i++)
            item_set_record_offset(h, i, (uint32_t)(first - (uint8_t *)h) + b->entries[i].offset);
    } else
        end = build_copy_ordered(b, order, h, first);
    memset(end, 0, (size_t)((uint8_t *)h + h->bytes - end));
}

LARDER_API int larder_builder_finish(struct larder_builder *b, const struct larder_item **out) {
    if (ERR_IS_NULL(b) || ERR_IS_NULL(out))
        return LARDER_E_INVAL;
    int result = build_ready(b);
    if (result != LARDER_OK)
        return result;
    if (b->level)
        return build_fail(b,
                          err_set(LARDER_E_INVAL,
                                  "%u maps, lists or sets are still open; larder_builder_end() closes one", b->level));
    if (b->has_name)
        return build_fail(b, err_set(LARDER_E_INVAL, "larder_builder_name() was not followed by a value"));
    const uint8_t *order;
    size_t bytes_max = sizeof(struct item_head) + sizeof(uint32_t) * b->entry_count + b->records.len + 8 + BUILD_PIECE;
    if ((result = build_sort_top(b, &order)) != LARDER_OK ||
        (result = build_reserve(b, &b->records, b->records.len + BUILD_PIECE)) != LARDER_OK ||
        (result = build_reserve(b, &b->image, bytes_max)) != LARDER_OK)
        return result;
    struct item_head *h = (struct item_head *)(void *)b->image.at;
    memset(h, 0, sizeof *h);
    h->attr_count = (uint16_t)b->entry_count;
    item_set_ddb_bytes(h, b->ddb_bytes);
    build_image(b, h, order);
    *out = (const struct larder_item *)(const void *)h;
    return LARDER_OK;
}
