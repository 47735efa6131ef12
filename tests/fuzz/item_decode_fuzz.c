/* tests/fuzz/item_decode_fuzz.c - bytes that may be an item's image.
 *
 * Goal     What item_is_sane() accepts, every reader can follow blindly (rule I3 of
 *          core/item/item.h). It has one form only: taken apart and built again it has the same
 *          bytes. What it refuses is never followed.
 * Method   The input is the image, copied to a block of exactly its size, so that the address
 *          sanitizer sees a byte too far. The fuzzer's own mutator corrects what random bytes never
 *          hit (length, directory, size), so that most inputs get past the head, and their records
 *          decide.
 */
#include "core/base/utf8.h"
#include "core/item/item_records.h"
#include "core/item/num.h"
#include "tests/fuzz/fuzz.h"

/* ---- The mutator: makes the head agree with the records -------------------------------------- */

/* What is left to walk. A walker of its own: the one in core/ is under test. */
struct walk {
    const uint8_t *at, *end;
    size_t ddb_bytes;
};

static int walk_varint(struct walk *w, size_t *value) {
    *value = 0;
    for (unsigned shift = 0; w->at < w->end && shift < 28; shift += 7) {
        *value |= (size_t)(*w->at & 0x7f) << shift;
        if (!(*w->at++ & 0x80))
            return 1;
    }
    return 0;
}

static int walk_run(struct walk *w) {
    size_t bytes;
    if (!walk_varint(w, &bytes) || bytes > (size_t)(w->end - w->at))
        return 0;
    w->at += bytes;
    w->ddb_bytes += bytes;
    return 1;
}

static int walk_name(struct walk *w) {
    if (w->at == w->end)
        return 0;
    unsigned first = *w->at;
    if (first & ITEM_NAME_LISTED) {
        w->ddb_bytes += item_listed_name((uint8_t)first).len;
        w->at++;
        return 1;
    }
    w->at += first == 0; /* a length of more than seven bits follows */
    return walk_run(w);
}

static int walk_value(struct walk *w, unsigned type, int level);

static int walk_members(struct walk *w, unsigned type, int level) {
    size_t rest, count;
    if (!walk_varint(w, &rest) || !walk_varint(w, &count) || level > 40)
        return 0;
    if (type == LARDER_M || type == LARDER_L)
        w->ddb_bytes += 3 + count;
    for (; count > 0 && w->at < w->end; count--) {
        unsigned member = *w->at++;
        if ((type == LARDER_M && !walk_name(w)) || !walk_value(w, member, level + 1))
            return 0;
    }
    return count == 0;
}

static int walk_value(struct walk *w, unsigned type, int level) {
    if (type >= ITEM_SHORT_N) {
        size_t bytes = type >= ITEM_SHORT_S ? type - ITEM_SHORT_S : type - ITEM_SHORT_N;
        int is_inside = bytes <= (size_t)(w->end - w->at);
        w->at += is_inside ? bytes : 0;
        w->ddb_bytes += bytes;
        return is_inside;
    }
    if (type == LARDER_S || type == LARDER_B)
        return walk_run(w);
    if (type == LARDER_M || type == LARDER_L || type == LARDER_SS || type == LARDER_NS || type == LARDER_BS)
        return walk_members(w, type, level);
    w->ddb_bytes++;
    w->at += type == LARDER_BOOL && w->at < w->end;
    return type == LARDER_BOOL || type == LARDER_NULL;
}

/* Sets length, directory and size to what follows from the records, as far as they make sense. */
static void put_right(uint8_t *data, size_t size) {
    struct item_head *h = (struct item_head *)(void *)data;
    h->flags &= ITEM_WIDE | ITEM_TIMED | ITEM_WALKED;
    h->index_count %= 8;
    size_t fixed = sizeof *h + item_key_area_bytes(h) + sizeof(struct item_index_slot) * h->index_count;
    if (fixed + item_directory_entry_bytes(h) * h->attr_count > size)
        return;
    struct walk w = {.at = item_directory(h) + item_directory_entry_bytes(h) * h->attr_count, .end = data + size};
    for (uint32_t i = 0; i < h->attr_count && w.at < w.end; i++) {
        item_set_record_offset(h, i, (uint32_t)(w.at - data));
        unsigned tag = *w.at++;
        if (!walk_name(&w))
            return;
        if (item_tag_keys(tag))
            w.ddb_bytes += tag & ITEM_IN_SORT_KEY ? h->sort_bytes : h->partition_bytes;
        else if (!walk_value(&w, tag, 0))
            return;
    }
    size_t bytes = item_round8((size_t)(w.at - data));
    item_set_ddb_bytes(h, w.ddb_bytes);
    bytes += item_timed_bytes(h);
    h->bytes = (uint32_t)bytes;
    if (bytes <= size)
        memset((uint8_t *)w.at, 0, bytes - (size_t)(w.at - data));
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
    static _Alignas(8) uint8_t image[1 << 20];
    size = LLVMFuzzerMutate(data, size, max_size < sizeof image ? max_size : sizeof image);
    if (size < sizeof(struct item_head) || seed % 4 == 0)
        return size;
    memcpy(image, data, size);
    memset(image + size, 0, item_round8(size) - size);
    put_right(image, size);
    memcpy(data, image, size);
    return size;
}

/* ---- Reading everything ---------------------------------------------------------------------- */

/* So that no read is optimised away. */
static volatile uint8_t sink;

static void touch(const void *at, size_t bytes) {
    for (size_t i = 0; i < bytes; i++)
        sink ^= ((const uint8_t *)at)[i];
}

static void read_value(const struct larder_value *v, int level);

static void read_members(struct larder_iter *it, int level) {
    struct larder_member m, before = {.name = NULL};
    while (larder_iter_next(it, &m) == LARDER_OK) {
        touch(m.name, m.name_bytes);
        if (m.name && before.name)
            FUZZ_CHECK(fuzz_compare_bytes(before.name, before.name_bytes, m.name, m.name_bytes) < 0,
                       "names are not in order");
        before = m;
        read_value(&m.value, level);
    }
}

static void read_value(const struct larder_value *v, int level) {
    char text[LARDER_NUMBER_TEXT_MAX];
    int64_t number;
    struct larder_iter it;
    struct item_measure measure;
    FUZZ_CHECK(v->type >= LARDER_S && v->type <= LARDER_BS, "type %d", (int)v->type);
    if (v->type != LARDER_BOOL && v->type != LARDER_NULL)
        touch(v->data, v->bytes);
    if (v->type == LARDER_N) {
        FUZZ_CHECK(larder_value_number(v, text) == LARDER_OK && strlen(text) < sizeof text, "%s", larder_error());
        larder_value_int64(v, &number);
        num_floor(v->data, v->bytes);
    }
    if (v->type >= LARDER_M) {
        FUZZ_CHECK(level < LARDER_NESTING_MAX + 1, "nested too deep");
        FUZZ_CHECK(item_measure_container(v, &measure), "a container that cannot be measured");
        larder_iter_value(v, &it);
        read_members(&it, level + 1);
    }
}

/* Every look-up by name or ordinal finds what the iterator finds. */
static void read_by_name(const struct item_head *h) {
    const struct larder_item *item = (const struct larder_item *)(const void *)h;
    struct larder_iter it;
    struct larder_member m;
    uint32_t count = 0;
    for (larder_iter_item(item, &it); larder_iter_next(&it, &m) == LARDER_OK; count++) {
        struct larder_value v;
        FUZZ_CHECK(item_find_attr(h, m.name, m.name_bytes) == count, "attribute %u is not found", count);
        FUZZ_CHECK(larder_item_getn(item, m.name, m.name_bytes, &v) == LARDER_OK && v.type == m.value.type &&
                       v.data == m.value.data && v.bytes == m.value.bytes,
                   "attribute %u is another by its name", count);
        item_ttl_of(h, m.name, m.name_bytes, 1700000000);
        struct larder_value by_number;
        item_read_attr(h, count, &by_number);
        FUZZ_CHECK(by_number.type == v.type && by_number.data == v.data, "attribute %u is another by number", count);
    }
    FUZZ_CHECK(count == larder_item_count(item), "%u of %u attributes", count, larder_item_count(item));
    larder_iter_item(item, &it);
    read_members(&it, 0);
    for (uint32_t i = 0; i < h->index_count; i++) {
        struct bytes key = item_index_partition(h, i), sort = item_index_sort(h, i);
        touch(key.at, key.len);
        touch(sort.at, sort.len);
        FUZZ_CHECK(key.len <= LARDER_PARTITION_KEY_BYTES_MAX && sort.len <= LARDER_SORT_KEY_BYTES_MAX, "a long key");
    }
}

/* ---- Taken apart and built again ------------------------------------------------------------- */

/* Every name and S in it, at any depth. */
static int is_text(struct larder_iter *it) {
    struct larder_member m;
    struct larder_iter inner;
    while (larder_iter_next(it, &m) == LARDER_OK) {
        if (m.name && utf8_valid_bytes(m.name, m.name_bytes) != m.name_bytes)
            return 0;
        if (m.value.type == LARDER_S && utf8_valid_bytes(m.value.data, m.value.bytes) != m.value.bytes)
            return 0;
        larder_iter_value(&m.value, &inner);
        if (!is_text(&inner))
            return 0;
    }
    return 1;
}

/* How deep M and L are nested. Items of older libraries may have one level more than a builder
 * takes today. */
static unsigned nesting_of(struct larder_iter *it) {
    struct larder_member m;
    struct larder_iter inner;
    unsigned most = 0;
    while (larder_iter_next(it, &m) == LARDER_OK) {
        if (m.value.type != LARDER_M && m.value.type != LARDER_L)
            continue;
        larder_iter_value(&m.value, &inner);
        unsigned nesting = 1 + nesting_of(&inner);
        most = nesting > most ? nesting : most;
    }
    return most;
}

static int can_be_built(const struct larder_item *item) {
    struct larder_iter it;
    larder_iter_item(item, &it);
    if (!is_text(&it))
        return 0;
    larder_iter_item(item, &it);
    return nesting_of(&it) < LARDER_NESTING_MAX;
}

/* Adds members one by one, the last first: the builder must put them in order. */
static void add_backwards(struct larder_builder *b, const struct larder_iter *it) {
    struct larder_iter rest = *it;
    struct larder_member m, none;
    if (larder_iter_next(&rest, &m) != LARDER_OK)
        return;
    struct larder_iter peek = rest;
    /* A list keeps its order, and long runs are not worth a deep stack: those go forwards. */
    int is_backwards = it->of != LARDER_L && it->left < 100 && larder_iter_next(&peek, &none) == LARDER_OK;
    if (is_backwards)
        add_backwards(b, &rest);
    if (m.value.type >= LARDER_M) {
        struct larder_iter inner;
        larder_iter_value(&m.value, &inner);
        if (m.name)
            larder_builder_name(b, m.name, m.name_bytes);
        larder_builder_begin(b, NULL, m.value.type);
        add_backwards(b, &inner);
        larder_builder_end(b);
    } else {
        larder_builder_add_member(b, &m);
    }
    if (!is_backwards)
        add_backwards(b, &rest);
}

/* The image as a builder makes it, from whole values or from the smallest parts. */
static const struct item_head *rebuild(const struct larder_item *item, struct larder_builder *b, int is_by_parts) {
    struct larder_iter it;
    struct larder_member m;
    const struct larder_item *out;
    larder_builder_reset(b);
    larder_iter_item(item, &it);
    if (is_by_parts)
        add_backwards(b, &it);
    else
        while (larder_iter_next(&it, &m) == LARDER_OK)
            larder_builder_add_member(b, &m);
    FUZZ_CHECK(larder_builder_finish(b, &out) == LARDER_OK, "%s", larder_error());
    FUZZ_CHECK(item_is_sane(out, item_head(out)->bytes), "what was built is not sane");
    return item_head(out);
}

static void check_same(const struct item_head *a, const struct item_head *b, const char *what) {
    FUZZ_CHECK(a->bytes == b->bytes && !memcmp(a + 1, b + 1, a->bytes - sizeof *a) &&
                   item_ddb_bytes(a) == item_ddb_bytes(b) && a->attr_count == b->attr_count && a->flags == b->flags,
               "%s has other bytes", what);
}

/* A projection to all its names, in both orders, and to every second one. Returns the whole one;
 * the caller frees it. */
static struct item_head *check_project(const struct item_head *h, const struct item_head *built) {
    static struct bytes names[ITEM_ATTRS_MAX];
    struct item_head *all = calloc(1, item_project_bytes_max(h)), *half = calloc(1, item_project_bytes_max(h));
    uint32_t count = h->attr_count;
    FUZZ_CHECK(all && half, "out of memory");
    for (uint32_t i = 0; i < count; i++)
        names[count - 1 - i] = item_record_at(item_record(h, i)).name;
    size_t bytes = item_project(h, names, count, all);
    FUZZ_CHECK(bytes == all->bytes && bytes <= item_project_bytes_max(h) && item_is_sane(all, bytes), "%zu", bytes);
    if (built)
        check_same(all, built, "a projection on all names");
    bytes = item_project(h, names, count / 2, half);
    FUZZ_CHECK(bytes <= item_project_bytes_max(h) && item_is_sane(half, bytes) && half->attr_count == count / 2,
               "%zu bytes, %u attributes", bytes, half->attr_count);
    free(half);
    return all;
}

/* The shape of a table that stores the item with the keys it has. */
static int shape_of(const struct item_head *h, struct item_shape *shape) {
    for (uint32_t i = 0; i < h->attr_count; i++) {
        struct item_record r = item_record_at(item_record(h, i));
        if (!item_tag_keys(r.tag) || r.name.len > LARDER_NAME_BYTES_MAX)
            continue;
        struct item_key_attr *key = r.tag & ITEM_IN_SORT_KEY ? &shape->sort : &shape->partition;
        *key = (struct item_key_attr){(const char *)r.name.at, (uint32_t)r.name.len, r.tag & ITEM_TYPE_MASK};
    }
    return shape->partition.name != NULL;
}

/* Puts the plain form into a table with the same keys: the key area and the records stay as they
 * were. */
static void check_store(const struct item_head *h, const struct item_head *plain) {
    struct item_shape shape = {.index_count = 0};
    const struct larder_item *item = (const struct larder_item *)(const void *)plain;
    struct item_head *stored;
    if (!shape_of(h, &shape))
        return;
    void *to = calloc(1, item_stored_bytes_max(&shape, item));
    FUZZ_CHECK(to, "out of memory");
    int r = item_to_stored(&shape, item, 1700000000, to, &stored);
    FUZZ_CHECK(r == LARDER_OK, "%s", larder_error());
    FUZZ_CHECK(stored->bytes <= item_stored_bytes_max(&shape, item) && item_is_sane(stored, stored->bytes),
               "what was stored is not sane");
    FUZZ_CHECK(stored->partition_bytes == h->partition_bytes && stored->sort_bytes == h->sort_bytes &&
                   !memcmp(item_key_area(stored), item_key_area(h), item_key_area_bytes(h)),
               "another key");
    if (!h->index_count && !(h->flags & ITEM_TIMED))
        check_same(stored, h, "what was stored");
    free(to);
}

/* What a page holds: only its head was checked. Every reader stays inside, and says so if it cannot
 * go on. */
static void read_loosely(struct larder_iter *it) {
    struct larder_member m;
    struct larder_iter inner;
    int r;
    while ((r = larder_iter_next(it, &m)) == LARDER_OK) {
        touch(m.name, m.name_bytes);
        if (m.value.type != LARDER_BOOL && m.value.type != LARDER_NULL)
            touch(m.value.data, m.value.bytes);
        larder_iter_value(&m.value, &inner);
        read_loosely(&inner);
    }
    FUZZ_CHECK(r == LARDER_NOT_FOUND || r == LARDER_E_CORRUPT, "%s", larder_result_name(r));
}

static void check_unchecked(const struct item_head *h) {
    const struct larder_item *item = (const struct larder_item *)h;
    struct larder_iter it;
    struct larder_value value;
    static const char *const names[] = {"", "PK", "SK", "a", "m", "z"};
    larder_iter_item(item, &it);
    read_loosely(&it);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (larder_item_get(item, names[i], &value) == LARDER_OK && value.type <= LARDER_B)
            touch(value.data, value.bytes);
    for (uint32_t i = 0; i < h->index_count; i++) {
        struct bytes partition = item_index_partition(h, i), sort = item_index_sort(h, i);
        touch(partition.at, partition.len);
        touch(sort.at, sort.len);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct larder_builder *whole, *parts;
    void *image = malloc(size ? size : 1);
    FUZZ_CHECK(image, "out of memory");
    memcpy(image, data, size);
    const struct item_head *h = image;
    const struct larder_item *item = image;
    if (size >= sizeof *h && item_head_is_sane(h, size))
        check_unchecked(h);
    if (item_is_sane(image, size)) {
        /* NOLINTNEXTLINE(clang-analyzer-core.uninitialized.Assign): a sane image is whole */
        uint32_t bytes = h->bytes;
        FUZZ_CHECK(bytes <= size && !item_is_sane(image, bytes - 1), "it is sane without its last byte");
        read_by_name(h);
        const struct item_head *built = NULL;
        if (can_be_built(item)) {
            built = rebuild(item, fuzz_builder(&whole), 0);
            check_same(rebuild(item, fuzz_builder(&parts), 1), built, "an item built from its parts");
            /* Of a table's item, or one with a timer, only the attributes are what a builder
             * makes. */
            if (!h->partition_bytes && !h->index_count && !(h->flags & ITEM_TIMED))
                check_same(h, built, "what was built");
        }
        struct item_head *plain = check_project(h, built);
        check_store(h, plain);
        free(plain);
    }
    free(image);
    return 0;
}
