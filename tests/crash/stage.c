/* tests/crash/stage.c - see stage.h. */
#include "tests/crash/stage.h"
#include "core/memory/heap_span.h"
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define PAGE 4096u
#define METADATA_MAX (256u << 10)
#define FREE_SPANS_KEPT 8u
#define RUBBISH 0xa5

static const struct seg_shm *head_of(const unsigned char *bytes) {
    return (const struct seg_shm *)bytes;
}

static const struct span_shm *span_of(const unsigned char *bytes, uint32_t i) {
    return (const struct span_shm *)(bytes + head_of(bytes)->spans_off) + i;
}

/* The end of the last span that is not free. */
static uint64_t end_of_use(const unsigned char *bytes) {
    const struct seg_shm *head = head_of(bytes);
    uint32_t used = (uint32_t)((head->claimed_bytes - head->data_off) / SPAN_BYTES);
    while (used > 0 && span_of(bytes, used - 1)->state == SPAN_FREE)
        used--;
    return head->data_off + (uint64_t)used * SPAN_BYTES;
}

void stage_open(struct stage *s, int memfd) {
    struct stat st;
    cr_assert(fstat(memfd, &st) == 0);
    s->memfd = memfd;
    s->size = (uint64_t)st.st_size;
    s->bytes = mmap(NULL, s->size, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
    cr_assert(s->bytes != MAP_FAILED);
    cr_assert(head_of(s->bytes)->data_off <= METADATA_MAX);
}

void stage_close(struct stage *s) {
    munmap(s->bytes, s->size);
    close(s->memfd);
}

struct state stage_take(const struct stage *s) {
    uint64_t claimed = head_of(s->bytes)->claimed_bytes, end = end_of_use(s->bytes) + FREE_SPANS_KEPT * SPAN_BYTES;
    struct state state = {.count = end < claimed ? end : claimed};
    state.bytes = malloc(state.count);
    cr_assert(state.bytes);
    memcpy(state.bytes, s->bytes, state.count);
    return state;
}

void state_free(struct state *state) {
    free(state->bytes);
    state->bytes = NULL;
}

/* What was claimed since then is given back to the kernel: claiming it again is part of the
 * operation. */
void stage_set(struct stage *s, const struct state *state) {
    uint64_t claimed = head_of(state->bytes)->claimed_bytes;
    if (head_of(s->bytes)->claimed_bytes > claimed)
        cr_assert(fallocate(s->memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)claimed,
                            (off_t)(s->size - claimed)) == 0);
    for (uint64_t at = 0; at < state->count; at += PAGE) {
        uint64_t bytes = state->count - at < PAGE ? state->count - at : PAGE;
        if (memcmp(s->bytes + at, state->bytes + at, bytes) != 0)
            memcpy(s->bytes + at, state->bytes + at, bytes);
    }
}

static void scrub_span(unsigned char *data, const struct span_shm *span) {
    uint32_t block_bytes = heap_class_bytes(span->class_index);
    for (uint32_t i = 0; i < SPAN_BYTES / block_bytes; i++)
        if (!(span->bitmap[i / 64] >> (i % 64) & 1))
            memset(data + (uint64_t)i * block_bytes, RUBBISH, block_bytes);
}

void stage_scrub(struct stage *s) {
    const struct seg_shm *head = head_of(s->bytes);
    for (uint32_t i = 0; i < (head->claimed_bytes - head->data_off) / SPAN_BYTES; i++) {
        const struct span_shm *span = span_of(s->bytes, i);
        unsigned char *data = s->bytes + head->data_off + (uint64_t)i * SPAN_BYTES;
        if (span->state == SPAN_FREE)
            memset(data, RUBBISH, SPAN_BYTES);
        else if (span->state == SPAN_SMALL)
            scrub_span(data, span);
    }
}

/* ---- The hash -------------------------------------------------------------------------------- */

static void mask_slot(struct slot_shm *slot) {
    slot->pid = 0;
    slot->generation = slot->started_s = slot->lock_since_ns = 0;
    slot->puts = slot->deletes = slot->expired = slot->lock_waits = 0;
    slot->recoveries = slot->undone = slot->finished = 0;
}

static void hash_metadata(XXH3_state_t *hash, const unsigned char *bytes) {
    static unsigned char copy[METADATA_MAX] __attribute__((aligned(64)));
    const struct seg_shm *head = head_of(bytes);
    memcpy(copy, bytes, head->data_off);
    ((struct seg_shm *)copy)->slot_turn = 0; /* a time */
    for (uint32_t i = 0; i < head->slot_count; i++)
        mask_slot((struct slot_shm *)(copy + head->slots_off) + i);
    XXH3_64bits_update(hash, copy, head->data_off);
}

/* The blocks of a span that are handed out, neighbours in one piece. */
static void hash_blocks(XXH3_state_t *hash, const unsigned char *data, const struct span_shm *span) {
    uint32_t block_bytes = heap_class_bytes(span->class_index), blocks = SPAN_BYTES / block_bytes, first = 0;
    for (uint32_t i = 0; i <= blocks; i++) {
        if (i < blocks && (span->bitmap[i / 64] >> (i % 64) & 1))
            continue;
        if (i > first)
            XXH3_64bits_update(hash, data + first * block_bytes, (i - first) * block_bytes);
        first = i + 1;
    }
}

uint64_t state_hash(const unsigned char *bytes) {
    const struct seg_shm *head = head_of(bytes);
    XXH3_state_t hash;
    uint32_t spans = (uint32_t)((end_of_use(bytes) - head->data_off) / SPAN_BYTES);
    XXH3_64bits_reset(&hash);
    hash_metadata(&hash, bytes);
    for (uint32_t i = 0; i < spans; i++) {
        const struct span_shm *span = span_of(bytes, i);
        const unsigned char *data = bytes + head->data_off + (uint64_t)i * SPAN_BYTES;
        if (span->state == SPAN_SMALL)
            hash_blocks(&hash, data, span);
        else if (span->state != SPAN_FREE)
            XXH3_64bits_update(&hash, data, SPAN_BYTES);
    }
    return XXH3_64bits_digest(&hash);
}

/* ---- The set --------------------------------------------------------------------------------- */

/* Where it is, or would be: 0 marks an empty place. */
static uint64_t place_of(const uint64_t *places, uint64_t capacity, uint64_t hash) {
    uint64_t i = hash & (capacity - 1);
    while (places[i] != 0 && places[i] != hash)
        i = (i + 1) & (capacity - 1);
    return i;
}

static void grow(struct seen *seen) {
    uint64_t capacity = seen->capacity ? seen->capacity * 2 : 1024;
    uint64_t *places = calloc(capacity, sizeof *places);
    cr_assert(places);
    for (uint64_t i = 0; i < seen->capacity; i++)
        if (seen->hash[i])
            places[place_of(places, capacity, seen->hash[i])] = seen->hash[i];
    free(seen->hash);
    seen->hash = places;
    seen->capacity = capacity;
}

int seen_add(struct seen *seen, uint64_t hash) {
    hash += hash == 0;
    if (seen->count * 2 >= seen->capacity)
        grow(seen);
    uint64_t *place = &seen->hash[place_of(seen->hash, seen->capacity, hash)];
    int is_new = *place == 0;
    *place = hash;
    seen->count += (uint64_t)is_new;
    return is_new;
}

int seen_has(const struct seen *seen, uint64_t hash) {
    hash += hash == 0;
    return seen->capacity && seen->hash[place_of(seen->hash, seen->capacity, hash)] != 0;
}

void seen_free(struct seen *seen) {
    free(seen->hash);
    *seen = (struct seen){0};
}
