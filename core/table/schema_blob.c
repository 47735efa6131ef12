/* core/table/schema_blob.c - the bytes of a definition: writing them into a block, reading them as
 * untrusted input.
 *
 * Job      schema_write() and schema_decode() are each other's inverse. The picture is in schema.h.
 * Rules    B1 Writing needs no private memory, so it may run under the catalog lock. The same code
 *             counts the bytes.
 *          B2 Reading never leaves the copy, whatever is in it. Every length is checked before it
 *             is used, and the first wrong one ends the reading.
 * Tests    tests/unit/table/schema_test.c
 */
#include "core/table/schema.h"

#include <string.h>
#include <xxhash.h>

#include "core/base/debug.h"
#include "core/base/err.h"

/* ---- Writing --------------------------------------------------------------------------------- */

#define WRITER_CHUNK_BYTES 256u

/* Puts bytes one after the other into a block, a chunk at a time. With no block it only counts. */
struct blob_writer {
    uint8_t *block; /* NULL: count */
    uint32_t bytes; /* put so far */
    _Alignas(8) uint8_t chunk[WRITER_CHUNK_BYTES];
};

static void put_u8(struct blob_writer *to, uint32_t value) {
    uint32_t at = to->bytes++ % WRITER_CHUNK_BYTES;
    to->chunk[at] = (uint8_t)value;
    if (at == WRITER_CHUNK_BYTES - 1 && to->block)
        shm_copy_in(to->block + to->bytes - WRITER_CHUNK_BYTES, to->chunk, WRITER_CHUNK_BYTES);
}

static void put_string(struct blob_writer *to, const char *text) {
    size_t bytes = text ? strlen(text) : 0;
    put_u8(to, (uint32_t)bytes);
    for (size_t i = 0; i < bytes; i++)
        put_u8(to, (uint8_t)text[i]);
    put_u8(to, 0);
}

static void put_key(struct blob_writer *to, const struct larder_key_def *key) {
    put_u8(to, key->name ? (uint32_t)key->type : 0);
    put_string(to, key->name);
}

#define INDEX_IS_JOINED 2u

static void put_more(struct blob_writer *to, const struct larder_key_def *more, uint32_t count) {
    put_u8(to, count);
    for (uint32_t i = 0; i < count; i++)
        put_key(to, &more[i]);
}

static void put_index(struct blob_writer *to, const struct larder_index_def *def) {
    put_u8(to, schema_is_joined(def) ? INDEX_IS_JOINED : def->is_local ? 1 : 0);
    put_u8(to, (uint32_t)def->projection);
    put_string(to, def->name);
    put_key(to, &def->partition);
    put_key(to, &def->sort);
    put_u8(to, def->included_count);
    for (uint32_t i = 0; i < def->included_count; i++)
        put_string(to, def->included[i]);
    if (!schema_is_joined(def))
        return;
    put_more(to, def->partition_more, def->partition_more_count);
    put_more(to, def->sort_more, def->sort_more_count);
}

/* What follows the head, with the padding. */
static void put_body(struct blob_writer *to, const struct schema_source *source) {
    put_string(to, source->def.name);
    put_key(to, &source->def.partition);
    put_key(to, &source->def.sort);
    put_string(to, source->def.ttl_attribute);
    for (uint32_t i = 0; i < source->index_count; i++) {
        put_u8(to, source->index[i] ? source->state[i] : INDEX_DEAD);
        if (source->index[i])
            put_index(to, source->index[i]);
    }
    while (to->bytes % 8 != 0)
        put_u8(to, 0);
}

static uint32_t definition_bytes(const struct schema_source *source) {
    struct blob_writer count = {.block = NULL};
    put_body(&count, source);
    return (uint32_t)sizeof(struct schema_head) + count.bytes;
}

uint32_t schema_bytes(const struct schema_source *source) {
    struct schema_head head = {.bytes = definition_bytes(source),
                               .settings_bytes = (uint32_t)source->def.settings_bytes};
    return schema_block_bytes(&head);
}

static void put_rest(struct blob_writer *to) {
    uint32_t rest = to->bytes % WRITER_CHUNK_BYTES;
    shm_copy_in(to->block + to->bytes - rest, to->chunk, rest);
}

/* Never 0, which says that they were lost. */
static uint64_t settings_checksum(const void *settings, size_t bytes) {
    uint64_t sum = XXH3_64bits(settings, bytes);
    return sum ? sum : 1;
}

/* Behind the definition. */
static void write_settings(const struct larder_table_def *def, uint8_t *block) {
    struct blob_writer to = {.block = block};
    uint64_t sum = settings_checksum(def->settings, def->settings_bytes);
    const uint8_t *bytes = def->settings;
    for (size_t i = 0; i < sizeof sum; i++)
        put_u8(&to, (uint8_t)(sum >> (8 * i)));
    for (uint64_t i = 0; i < def->settings_bytes; i++)
        put_u8(&to, bytes[i]);
    while (to.bytes % 8 != 0)
        put_u8(&to, 0);
    put_rest(&to);
}

void schema_write(const struct schema_source *source, void *block) {
    struct schema_head head = {.magic = SCHEMA_MAGIC,
                               .bytes = definition_bytes(source),
                               .settings_bytes = (uint32_t)source->def.settings_bytes,
                               .birth = source->birth,
                               .ttl_generation = source->ttl_generation,
                               .removal = (uint8_t)source->def.removal,
                               .eviction = (uint8_t)source->def.eviction,
                               .index_count = (uint8_t)source->index_count};
    for (uint32_t i = 0; i < source->index_count; i++) {
        const struct larder_index_def *index = source->index[i];
        head.included_count += index ? (uint16_t)index->included_count : 0;
        head.more_count += index ? (uint8_t)(index->partition_more_count + index->sort_more_count) : 0;
    }
    DEBUG_ASSERT(head.bytes <= SCHEMA_BYTES_MAX);
    struct blob_writer to = {.block = (uint8_t *)block + sizeof head};
    put_body(&to, source);
    put_rest(&to);
    if (head.settings_bytes)
        write_settings(&source->def, (uint8_t *)block + head.bytes);
    shm_copy_in(block, &head, sizeof head);
    /* No other thread knows the block yet, so its bytes can be read as plain memory. */
    const size_t skipped = sizeof head.checksum;
    SHM_STORE((shm_word *)block, XXH3_64bits((const uint8_t *)block + skipped, head.bytes - skipped));
}

/* ---- Sources --------------------------------------------------------------------------------- */

void schema_source_of_def(const struct larder_table_def *def, struct schema_source *source) {
    memset(source, 0, sizeof *source);
    source->def = *def;
    source->ttl_generation = 1;
    source->index_count = def->index_count;
    for (uint32_t i = 0; i < def->index_count; i++) {
        source->index[i] = &def->indexes[i];
        source->state[i] = INDEX_ACTIVE;
    }
}

void schema_source_of_view(const struct table_view *v, struct schema_source *source) {
    memset(source, 0, sizeof *source);
    source->def = v->def;
    source->birth = v->birth;
    source->ttl_generation = v->ttl_generation;
    source->index_count = v->shape.index_count;
    for (uint32_t i = 0; i < v->shape.index_count; i++) {
        source->index[i] = v->index_def[i];
        source->state[i] = v->index_state[i];
    }
}

/* ---- Reading --------------------------------------------------------------------------------- */

struct blob_reader {
    const uint8_t *at, *end;
    int is_bad; /* sticky: what is read after that means nothing */
};

static uint32_t get_u8(struct blob_reader *from) {
    if (from->at == from->end)
        from->is_bad = 1;
    return from->is_bad ? 0 : *from->at++;
}

/* NULL: the empty string, or the reader is bad. */
static const char *get_string(struct blob_reader *from) {
    uint32_t bytes = get_u8(from);
    const char *text = (const char *)from->at;
    size_t left = (size_t)(from->end - from->at);
    if (left < bytes + 1u || strnlen(text, bytes + 1u) != bytes)
        from->is_bad = 1;
    if (from->is_bad)
        return NULL;
    from->at += bytes + 1u;
    return bytes ? text : NULL;
}

static void get_key(struct blob_reader *from, struct larder_key_def *key) {
    uint32_t type = get_u8(from);
    key->name = get_string(from);
    if ((type == 0) != (key->name == NULL))
        from->is_bad = 1;
    key->type = (enum larder_type)type;
}

static uint32_t get_more(struct blob_reader *from, struct larder_key_def *more, uint32_t room) {
    uint32_t count = get_u8(from);
    if (count > room)
        from->is_bad = 1;
    for (uint32_t i = 0; i < count && !from->is_bad; i++)
        get_key(from, &more[i]);
    return from->is_bad ? 0 : count;
}

static void get_joined(struct blob_reader *from, struct larder_index_def *def, struct larder_key_def *more,
                       uint32_t room) {
    uint32_t count = def->partition_more_count = get_more(from, more, room);
    def->sort_more_count = get_more(from, more + count, room - count);
    def->partition_more = count ? more : NULL;
    def->sort_more = def->sort_more_count ? more + count : NULL;
    if (!schema_is_joined(def))
        from->is_bad = 1;
}

static void get_index(struct blob_reader *from, struct larder_index_def *def, const char **included, uint32_t room,
                      struct larder_key_def *more, uint32_t more_room) {
    uint32_t kind = get_u8(from);
    def->is_local = kind != INDEX_IS_JOINED && kind;
    def->projection = (enum larder_projection)get_u8(from);
    def->name = get_string(from);
    get_key(from, &def->partition);
    get_key(from, &def->sort);
    uint32_t count = get_u8(from);
    if (count > room)
        from->is_bad = 1;
    for (uint32_t i = 0; i < count && !from->is_bad; i++)
        included[i] = get_string(from);
    def->included = count ? included : NULL;
    def->included_count = count;
    if (kind == INDEX_IS_JOINED)
        get_joined(from, def, more, more_room);
}

static void get_body(struct blob_reader *from, const struct schema_head *head, struct schema_parts *parts) {
    uint32_t included = 0, more = 0;
    parts->def.name = get_string(from);
    get_key(from, &parts->def.partition);
    get_key(from, &parts->def.sort);
    parts->def.ttl_attribute = get_string(from);
    parts->def.removal = (enum larder_removal)head->removal;
    parts->def.eviction = head->eviction;
    for (uint32_t i = 0; i < head->index_count && !from->is_bad; i++) {
        memset(&parts->index[i], 0, sizeof parts->index[i]);
        parts->state[i] = (uint8_t)get_u8(from);
        if (parts->state[i] < INDEX_FILLING || parts->state[i] > INDEX_DEAD)
            from->is_bad = 1;
        if (parts->state[i] == INDEX_DEAD)
            continue;
        get_index(from, &parts->index[i], parts->included + included, head->included_count - included,
                  parts->more + more, head->more_count - more);
        if (!from->is_bad) {
            included += parts->index[i].included_count;
            more += parts->index[i].partition_more_count + parts->index[i].sort_more_count;
        }
    }
    while (!from->is_bad && from->at < from->end && *from->at == 0)
        from->at++;
    if (from->at != from->end || included != head->included_count || more != head->more_count)
        from->is_bad = 1;
}

int schema_head_is_sane(const struct schema_head *head) {
    return head->magic == SCHEMA_MAGIC && head->bytes > sizeof *head && head->bytes <= SCHEMA_BYTES_MAX &&
           head->bytes % 8 == 0 && head->more_count <= SCHEMA_MORE_MAX &&
           head->included_count <= LARDER_PROJECTED_NAMES_MAX && head->ttl_generation != 0 &&
           head->ttl_generation <= ITEM_TTL_GENERATION_MAX && head->settings_bytes <= LARDER_SETTINGS_BYTES_MAX;
}

const char *schema_name(const struct schema_head *copy, size_t bytes) {
    const uint8_t *start = (const uint8_t *)copy;
    struct blob_reader from = {.at = start + sizeof *copy, .end = start + bytes};
    return bytes < sizeof *copy ? NULL : get_string(&from);
}

static void get_settings(const struct schema_head *copy, struct schema_parts *parts) {
    const uint8_t *at = (const uint8_t *)copy + copy->bytes;
    uint64_t sum;
    if (!copy->settings_bytes)
        return;
    memcpy(&sum, at, sizeof sum);
    if (sum == 0) /* a repair found them damaged */
        return;
    parts->has_bad_settings = sum != settings_checksum(at + sizeof sum, copy->settings_bytes);
    if (parts->has_bad_settings)
        return;
    parts->def.settings = at + sizeof sum;
    parts->def.settings_bytes = copy->settings_bytes;
}

int schema_decode(const struct schema_head *copy, struct schema_parts *parts) {
    const uint8_t *start = (const uint8_t *)copy;
    const size_t skipped = sizeof copy->checksum;
    memset(&parts->def, 0, sizeof parts->def);
    if (!schema_head_is_sane(copy))
        return err_set(LARDER_E_CORRUPT, "the head of a table's definition makes no sense");
    if (XXH3_64bits(start + skipped, copy->bytes - skipped) != copy->checksum)
        return err_set(LARDER_E_CORRUPT, "a table's definition of %u bytes does not have its checksum", copy->bytes);
    struct blob_reader from = {.at = start + sizeof *copy, .end = start + copy->bytes};
    get_body(&from, copy, parts);
    if (from.is_bad)
        return err_set(LARDER_E_CORRUPT, "a table's definition makes no sense at byte %zu of %u",
                       (size_t)(from.at - start), copy->bytes);
    get_settings(copy, parts);
    return LARDER_OK;
}
