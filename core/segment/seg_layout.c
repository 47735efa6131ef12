/* core/segment/seg_layout.c - see core/segment/seg_layout.h.
 *
 * Rules    Y1 Areas lie in the order of core/segment/layout.h's picture, each on a cache line, the
 *             spans on a multiple of SPAN_BYTES.
 *          Y2 A head is input: its counts are checked before anything is computed from them.
 * Tests    tests/unit/segment/seg_test.c, tests/unit/segment/seg_foreign_test.c
 */
#include "core/segment/seg_layout.h"

#include <sys/sysinfo.h>
#include <unistd.h>
#include <xxhash.h>

#include "core/base/err.h"
#include "core/item/item.h"
#include "core/item/item_names.h"
#include "core/segment/seg_file.h"

#define SEG_SHARDS_MAX 256u
#define SEG_FIRST_SPANS 8u /* enough for a table's definition and its first items */
#define MIB (UINT64_C(1) << 20)

static uint64_t seg_layout_round_up(uint64_t n, uint64_t step) {
    return (n + step - 1) / step * step;
}

static int seg_layout_is_power_of_2(uint64_t n) {
    return n != 0 && (n & (n - 1)) == 0;
}

/* Places the next area at *end, and moves *end behind it. */
static uint64_t seg_layout_take(uint64_t *end, uint64_t count, uint64_t bytes) {
    uint64_t off = *end;
    *end = seg_layout_round_up(off + count * bytes, 64);
    return off;
}

/* Offsets and span_count from size and counts. */
static void seg_layout_place(struct seg_shm *head) {
    uint64_t end = sizeof *head, spans_max = head->size_bytes / SPAN_BYTES;
    head->slots_off = seg_layout_take(&end, head->slot_count, sizeof(struct slot_shm));
    head->catalog_off = seg_layout_take(&end, LARDER_TABLES_MAX, sizeof(struct table_shm));
    head->bins_off = seg_layout_take(&end, (uint64_t)head->arena_count * CLASS_COUNT, sizeof(struct bin_shm));
    head->shards_off = seg_layout_take(&end, head->shard_count, sizeof(struct wheel_shard_shm));
    head->spans_off = seg_layout_take(&end, spans_max, sizeof(struct span_shm));
    head->data_off = seg_layout_round_up(end, SPAN_BYTES);
    uint64_t data_bytes = head->size_bytes > head->data_off ? head->size_bytes - head->data_off : 0;
    head->span_count = (uint32_t)(data_bytes / SPAN_BYTES);
}
_Static_assert(sizeof(struct seg_shm) % 64 == 0, "the first area starts on a cache line");
_Static_assert(SEG_BYTES_MAX / SPAN_BYTES <= UINT64_C(1) << 32, "spans before data_off make room for the last number");

static uint32_t seg_layout_default_stripes(uint64_t size_bytes) {
    uint32_t stripes = 16;
    while (stripes < 16384 && (uint64_t)stripes * 2 * (256u << 10) <= size_bytes)
        stripes *= 2;
    return stripes;
}

/* 6 KiB of a MiB. */
static uint32_t seg_layout_default_slots(uint64_t size_bytes) {
    uint64_t slots = size_bytes / MIB * 16;
    return slots < 64 ? 64 : slots > 1024 ? 1024 : (uint32_t)slots;
}

uint32_t seg_layout_arenas(uint64_t size_bytes, uint32_t processors) {
    uint32_t least = size_bytes < 4096 * MIB ? 4 : 8;
    uint64_t most = size_bytes / SEG_ARENA_BYTES;
    if (size_bytes < 256 * MIB)
        return 1;
    if (most > SEG_ARENAS_MAX)
        most = SEG_ARENAS_MAX;
    return processors <= least ? least : processors < most ? processors : (uint32_t)most;
}

static int seg_layout_check_options(const struct larder_options *o) {
    if (o->size_bytes != 0 && o->size_bytes < LARDER_SEGMENT_BYTES_MIN)
        return err_set(LARDER_E_INVAL, "size_bytes %llu is too small: at least %u", (unsigned long long)o->size_bytes,
                       LARDER_SEGMENT_BYTES_MIN);
    if (o->size_bytes > SEG_BYTES_MAX)
        return err_set(LARDER_E_INVAL, "size_bytes %llu is too large: at most %llu", (unsigned long long)o->size_bytes,
                       (unsigned long long)SEG_BYTES_MAX);
    if (o->stripe_count != 0 &&
        (o->stripe_count < 2 || o->stripe_count > SEG_STRIPES_MAX || !seg_layout_is_power_of_2(o->stripe_count)))
        return err_set(LARDER_E_INVAL,
                       "stripe_count %u is not allowed: a power of 2 from 2 to %u, or 0 for the default",
                       o->stripe_count, SEG_STRIPES_MAX);
    if (o->slot_count != 0 && (o->slot_count < LARDER_SLOTS_MIN || o->slot_count > LARDER_SLOTS_MAX))
        return err_set(LARDER_E_INVAL, "slot_count %u is not allowed: %u to %u, or 0 for the default", o->slot_count,
                       LARDER_SLOTS_MIN, LARDER_SLOTS_MAX);
    return LARDER_OK;
}

/* A segment without room for one table is refused now, with the size that is needed, not later as
 * full. */
static int seg_layout_check_room(const struct seg_shm *head) {
    uint64_t stripes = UINT64_C(2) * head->stripe_count * sizeof(struct stripe_shm);
    uint64_t need = head->data_off + stripes + SEG_FIRST_SPANS * UINT64_C(2) * SPAN_BYTES;
    if (need <= head->size_bytes)
        return LARDER_OK;
    return err_set(LARDER_E_INVAL, "size_bytes %llu is too small for stripe_count %u and slot_count %u: at least %llu",
                   (unsigned long long)head->size_bytes, head->stripe_count, head->slot_count,
                   (unsigned long long)seg_layout_round_up(need, SEG_BYTES_STEP));
}

int seg_layout_plan(struct seg_shm *head, const struct larder_options *options, uint64_t page_bytes) {
    int result = seg_layout_check_options(options);
    if (result != LARDER_OK)
        return result;
    uint64_t asked = options->size_bytes ? options->size_bytes : SEG_BYTES_DEFAULT;
    uint64_t size = seg_layout_round_up(asked, page_bytes > SEG_BYTES_STEP ? page_bytes : SEG_BYTES_STEP);
    struct seg_shm plan = {.magic = SEG_MAGIC,
                           .format_version = SEG_FORMAT_VERSION,
                           .page_bytes = (uint32_t)page_bytes,
                           .fingerprint = seg_layout_fingerprint(),
                           .size_bytes = size,
                           .state = SEG_STATE_INITIALISING,
                           .stripe_count =
                               options->stripe_count ? options->stripe_count : seg_layout_default_stripes(size),
                           .slot_count = options->slot_count ? options->slot_count : seg_layout_default_slots(size),
                           .arena_count = seg_layout_arenas(size, (uint32_t)get_nprocs()),
                           .shard_count = size < 64 * MIB ? 1 : 8};
    seg_layout_place(&plan);
    plan.sum = seg_layout_sum(&plan); /* again when the identity is known */
    result = seg_layout_check_room(&plan);
    if (result != LARDER_OK)
        return result;
    *head = plan;
    return LARDER_OK;
}

uint64_t seg_layout_first_claim(const struct seg_shm *head) {
    uint64_t claim = seg_layout_round_up(head->data_off + SEG_FIRST_SPANS * (uint64_t)SPAN_BYTES, CLAIM_BYTES);
    uint64_t end = head->data_off + head->span_count * (uint64_t)SPAN_BYTES;
    return claim < end ? claim : end;
}

static int seg_layout_damaged(const char *shown, const char *field, uint64_t value) {
    return err_set(LARDER_E_FORMAT, SEG_NAMED_TEXT ": damaged: %s %llu is invalid", shown, field,
                   (unsigned long long)value);
}

/* Rule Y2. */
static int seg_layout_check_counts(const struct seg_shm *head, const char *shown) {
    if (head->size_bytes < LARDER_SEGMENT_BYTES_MIN || head->size_bytes > SEG_BYTES_MAX ||
        head->size_bytes % SEG_BYTES_STEP != 0)
        return seg_layout_damaged(shown, "size_bytes", head->size_bytes);
    if (head->stripe_count < 2 || head->stripe_count > SEG_STRIPES_MAX || !seg_layout_is_power_of_2(head->stripe_count))
        return seg_layout_damaged(shown, "stripe_count", head->stripe_count);
    if (head->slot_count < 1 || head->slot_count > SLOT_COUNT_MAX)
        return seg_layout_damaged(shown, "slot_count", head->slot_count);
    if (head->arena_count < 1 || head->arena_count > SEG_ARENAS_MAX)
        return seg_layout_damaged(shown, "arena_count", head->arena_count);
    if (head->shard_count > SEG_SHARDS_MAX || !seg_layout_is_power_of_2(head->shard_count))
        return seg_layout_damaged(shown, "shard_count", head->shard_count);
    return LARDER_OK;
}

static int seg_layout_check_places(const struct seg_shm *head, const char *shown) {
    struct seg_shm right = {.size_bytes = head->size_bytes,
                            .slot_count = head->slot_count,
                            .arena_count = head->arena_count,
                            .shard_count = head->shard_count};
    seg_layout_place(&right);
    const struct {
        const char *name;
        uint64_t is, should;
    } fields[] = {
        {"slots_off", head->slots_off, right.slots_off},   {"catalog_off", head->catalog_off, right.catalog_off},
        {"bins_off", head->bins_off, right.bins_off},      {"shards_off", head->shards_off, right.shards_off},
        {"spans_off", head->spans_off, right.spans_off},   {"data_off", head->data_off, right.data_off},
        {"span_count", head->span_count, right.span_count}};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (fields[i].is != fields[i].should)
            return seg_layout_damaged(shown, fields[i].name, fields[i].is);
    return head->span_count < SEG_FIRST_SPANS ? seg_layout_damaged(shown, "size_bytes", head->size_bytes) : LARDER_OK;
}

int seg_layout_check(const struct seg_shm *head, uint64_t file_bytes, uint64_t page_bytes, const char *shown) {
    if (head->fingerprint != seg_layout_fingerprint())
        return err_set(LARDER_E_FORMAT, SEG_NAMED_TEXT ": has another layout: made by a library built differently",
                       shown);
    if (head->page_bytes != page_bytes)
        return err_set(LARDER_E_FORMAT, SEG_NAMED_TEXT ": made for memory pages of %u bytes; here they have %llu",
                       shown, head->page_bytes, (unsigned long long)page_bytes);
    int result = seg_layout_check_counts(head, shown);
    if (result != LARDER_OK)
        return result;
    if (file_bytes < head->size_bytes)
        return err_set(LARDER_E_FORMAT, SEG_NAMED_TEXT ": truncated: %llu bytes of %llu", shown,
                       (unsigned long long)file_bytes, (unsigned long long)head->size_bytes);
    result = seg_layout_check_places(head, shown);
    if (result == LARDER_OK && !seg_layout_has_sum(head))
        return err_set(LARDER_E_FORMAT,
                       SEG_NAMED_TEXT ": damaged: the checksum of identity, geometry and hash seed does not match",
                       shown);
    return result;
}

uint64_t seg_layout_fingerprint(void) {
    /* Hashed as they lie in memory, so the hash includes the byte order. */
    const uint64_t facts[] = {sizeof(struct seg_shm),
                              offsetof(struct seg_shm, state),
                              offsetof(struct seg_shm, slots_off),
                              offsetof(struct seg_shm, sum),
                              offsetof(struct seg_shm, catalog_lock),
                              offsetof(struct seg_shm, span_lock),
                              sizeof(struct slot_shm),
                              offsetof(struct slot_shm, locks),
                              offsetof(struct slot_shm, hand),
                              offsetof(struct slot_shm, step),
                              offsetof(struct slot_shm, puts),
                              sizeof(struct step_shm),
                              sizeof(struct table_shm),
                              sizeof(struct stripe_shm),
                              offsetof(struct stripe_shm, seq),
                              sizeof(struct bucket_shm),
                              sizeof(struct span_shm),
                              offsetof(struct span_shm, bitmap),
                              sizeof(struct bin_shm),
                              sizeof(struct item_head),
                              ITEM_WALKED_MAX,
                              ITEM_SHORT_S,
                              ITEM_SHORT_N,
                              INDEX_FORMAT,
                              HTAB_HASH_MASK,
                              sizeof(struct item_timed),
                              sizeof(struct item_index_slot),
                              LARDER_TABLES_MAX,
                              SPAN_BYTES,
                              CLAIM_BYTES,
                              CLASS_COUNT,
                              SLOT_LOCKS,
                              SLOT_HAND,
                              SLOT_STEPS,
                              BUCKET_SLOTS,
                              sizeof(struct wheel_shard_shm),
                              8 * sizeof(struct wheel_shard_shm),
                              XXH3_64bits(item_names, sizeof item_names)};
    return XXH3_64bits(facts, sizeof facts);
}
