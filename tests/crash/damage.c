/* tests/crash/damage.c - one try: a copy is damaged and used. See damage.h.
 *
 * Method   One memfd holds the copy; it is restored from the template for every try.
 */
#include <fcntl.h>
#include <unistd.h>

#include "core/memory/htab.h"
#include "core/segment/seg_layout.h"
#include "tests/crash/damage.h"
#include "tests/crash/damage_parts.h"

int damage_memfd = -1;
int damage_is_pristine;

void damage_restore(const struct damage_template *t) {
    MUST(pwrite(damage_memfd, t->bytes, t->claimed_bytes, 0) == (ssize_t)t->claimed_bytes);
    MUST(t->claimed_bytes == t->size_bytes ||
         fallocate(damage_memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)t->claimed_bytes,
                   (off_t)(t->size_bytes - t->claimed_bytes)) == 0);
}

static void set_word(uint64_t off, uint64_t value) {
    MUST(pwrite(damage_memfd, &value, sizeof value, (off_t)off) == sizeof value);
}

static uint64_t mix(uint64_t n) { /* splitmix64 */
    n += UINT64_C(0x9e3779b97f4a7c15);
    n = (n ^ n >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    n = (n ^ n >> 27) * UINT64_C(0x94d049bb133111eb);
    return n ^ n >> 31;
}

/* A block or structure, by number. */
static uint64_t some_offset(const struct damage_template *t, uint32_t value) {
    uint32_t c = value % DAMAGE_CLASSES;
    return t->counts[c] ? t->extents[c][value / DAMAGE_CLASSES % t->counts[c]].off : t->claimed_bytes;
}

static uint64_t edited(const struct damage_template *t, const struct damage_edit *e, const struct damage_extent *x,
                       uint64_t word) {
    const uint64_t low = UINT64_C(0xffffffff), tag = UINT64_C(0xffff) << 48;
    switch (e->kind % DAMAGE_KINDS) {
    case 0:
        return word ^ UINT64_C(1) << e->value % 64;
    case 1:
        return 0;
    case 2:
        return ~UINT64_C(0);
    case 3:
        return word + 8;
    case 4:
        return word - 8;
    case 5:
        return some_offset(t, e->value);
    case 6:
        return e->value;
    case 7:
        return (word & ~(UINT64_C(0xff) << 8 * (e->value >> 8 & 7))) | (uint64_t)(e->value & 0xff)
                                                                           << 8 * (e->value >> 8 & 7);
    case 8:
        return (word & ~low) | e->value;
    case 9:
        return (word & low) | (uint64_t)e->value << 32;
    case 10:
        return x->off;
    case 11:
        return (word & tag) | x->off;
    case 12:
        return mix(e->value);
    case 13:
        return (word & tag) | some_offset(t, e->value);
    case 14:
        return (word & ~tag) | (uint64_t)e->value << 48;
    default:
        return t->claimed_bytes - e->value % 64;
    }
}

void damage_try(const struct damage_template *t, const struct damage_edit *edits, uint32_t count) {
    damage_restore(t);
    damage_is_pristine = 1;
    for (uint32_t i = 0; i < count && i < DAMAGE_EDITS_MAX; i++) {
        const struct damage_edit *e = &edits[i];
        uint32_t c = e->class_index % (DAMAGE_CLASSES + 1);
        struct damage_extent raw = {.off = (uint64_t)(e->which % 16) << 16, .bytes = 1u << 16};
        const struct damage_extent *x = &raw; /* one more class: anywhere */
        if (c < DAMAGE_CLASSES && t->counts[c] == 0)
            continue;
        if (c < DAMAGE_CLASSES)
            x = &t->extents[c][e->which % t->counts[c]];
        uint64_t off = x->off + (uint64_t)(e->word % (x->bytes / 8)) * 8, word;
        if (off + 8 > t->claimed_bytes)
            continue;
        MUST(pread(damage_memfd, &word, sizeof word, (off_t)off) == sizeof word);
        uint64_t now = edited(t, e, x, word);
        damage_is_pristine &= now == word;
        set_word(off, now);
    }
    damage_use(t);
}

void damage_try_words(const struct damage_template *t, const struct damage_word *words, uint32_t count) {
    damage_restore(t);
    for (uint32_t i = 0; i < count; i++)
        set_word(words[i].off, words[i].value);
    damage_is_pristine = 0;
    damage_use(t);
}
