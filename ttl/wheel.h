/* ttl/wheel.h - hierarchical timer wheel: which timers are due at a second.
 *
 * Job      Keeps entries (hash, second, table) and hands out those whose second has come, at a cost
 *          per entry that does not depend on their number (Varghese & Lauck 1987). Knows no items:
 *          what an entry means is decided when it fires (core/table/upkeep.h, upkeep_expire).
 * Picture  shard[hash] -> slot[level][i] -> newest chunk -> older chunk -> 0
 *          (arrows are offsets of blocks)
 *          A second is four bytes. With next = now_s + 1, the first second not handled yet:
 *            level 0  256 slots of 1 second            differ from next in the lowest byte only
 *            level 1  256 slots of 256 seconds         .. in the second byte
 *            level 2  256 slots of 65,536 seconds      .. in the third byte
 *            level 3  256 slots of 16,777,216 seconds  .. in the highest byte
 *          Within a level a larger slot number is a later time, and nothing wraps around. To find
 *          the first second with work, look at the slots after that of next, level by level: a
 *          clock that jumps by years costs a thousand loads. All zero is empty at second 0.
 * Rules    W1 A chunk has 1 to capacity entries, 1 <= capacity <= WHEEL_CHUNK_ENTRIES, and is in
 *             one list. Its capacity is what its block has room for: if no block of the wanted size
 *             is free, a smaller one does.
 *          W2 An entry lies in a slot whose time includes its second (or next, if its second is
 *             past). It may lie on a higher level than necessary: in the slot of next itself, until
 *             that is taken apart.
 *          W3 now_s moves past a slot only when the slot is empty, under the same hold of the lock
 *             that saw it empty.
 *          W4 Several threads may take entries out at the same time: the expirer, a stand-in,
 *             writes that make room. Each looks, fires without the lock, and takes out. Before a
 *             chunk of a level loses entries, taken[level] counts up. What a thread remembers of a
 *             level's chunks (offsets, places in them) is valid only while taken[level] is
 *             unchanged: until then chunks only get more entries, and newer chunks are put in
 *             front. An entry that fired and cannot be taken out fires again, and finds nothing.
 *          W5 An item's armed_s, if not 0, has an entry.
 *          W6 When a sweep leaves so little of a chunk that it fits into the chunk in front of it,
 *             it goes there. So the memory of timers that went comes back although some between
 *             them stay. This needs no memory.
 *          ttl/ttl_check.c verifies them by these names.
 * Locks    The shard's lock for everything here, the expirer included. It is dropped while entries
 *          fire, which takes the lock of the item's stripe.
 * Not here Removing the timer of an item that is deleted or gets a later expiry: when it fires it
 *          finds nothing, or a later time to arm for (and see purge.h). Seconds after 2106-02-07:
 *          they are armed for the last second (WHEEL_LAST_S), which the wheel's time never reaches.
 *          From then on sweeps look at all of them.
 * Tests    tests/unit/ttl/wheel_test.c
 */
#ifndef LARDER_TTL_WHEEL_H
#define LARDER_TTL_WHEEL_H

#include "core/base/circle.h"
#include "core/memory/journal.h"
#include "core/segment/seg.h"

#define WHEEL_CHUNK_ENTRIES 63u /* with the chunk's head 1024 bytes, a size class */
#define WHEEL_LAST_S UINT32_MAX
#define WHEEL_NOW_MAX (WHEEL_LAST_S - 1)

struct wheel_entry {
    uint64_t hash;
    uint32_t second; /* the item's armed_s */
    uint16_t table;  /* ordinal in the catalog */
    uint16_t reserved;
};
_Static_assert(sizeof(struct wheel_entry) == 16, "wheel_entry is part of the segment format");

struct wheel_chunk_shm {
    shm_word next;       /* older chunk, or 0 */
    shm_word fill;       /* entries in use | capacity << 32 */
    shm_word entry[][2]; /* struct wheel_entry as two words */
};
_Static_assert(sizeof(struct wheel_chunk_shm) == 16, "wheel_chunk_shm is part of the segment format");

/* A private copy of a chunk's head, as its list has it now; bounds checked. */
struct wheel_chunk {
    struct wheel_chunk_shm *shm;
    uint64_t off, next;
    uint32_t count, capacity;
};

struct wheel_shard_shm *wheel_shard(const struct seg *s, uint32_t i);
/* The shard that keeps the timers of a hash. */
uint32_t wheel_shard_of(const struct seg *s, uint64_t hash);

/* LARDER_OK, or LARDER_E_CORRUPT: off is no chunk. */
int wheel_chunk_at(const struct seg *s, uint64_t off, struct wheel_chunk *chunk);
struct wheel_entry wheel_chunk_entry(const struct wheel_chunk *chunk, uint32_t i);

/* The slot (level * WHEEL_SLOTS + i) of a second >= next. */
uint32_t wheel_place(uint32_t next, uint32_t second);

/* Adds a timer. Takes the shard's lock. LARDER_OK, LARDER_E_FULL, OBSTACLE_CLAIM, LARDER_E_BUSY,
 * LARDER_E_CORRUPT. */
int wheel_add(struct writer *w, uint64_t hash, uint32_t second, uint16_t table);

/* One walk over a shard. Zero it, then set shard and now_s. */
struct wheel_walk {
    uint32_t shard;
    uint32_t now_s; /* entries up to this second are due; at most WHEEL_NOW_MAX except in a sweep */
    /* Searches slots for due entries, moves nothing and leaves the shard's time: for when there is
     * no memory to move entries down, and only removing items can free some. A walk that has
     * reached now_s becomes a sweep, too. */
    int is_sweep;
    uint32_t late_s;          /* 0, or what is due for the sweep that a walk becomes, instead of now_s */
    uint32_t slot, slots_end; /* the slots of the sweep; slots_end 0: all. It counts slot up */
    uint32_t looked;          /* counts the chunks that the sweep has looked at */
    uint32_t freed;           /* counts the chunks given back by wheel_retire() */
    /* private: how often the sweep began the slot again because others took entries out */
    uint32_t restarts;
    uint64_t after;    /* private: chunk of that slot it has looked at, 0 none */
    uint64_t taken;    /* private: taken[level] for which `after` is valid (W4) */
    struct circle way; /* private: of the chunks of that slot */
    uint64_t opened;   /* private: chunks taken apart since the shard's time moved */
};

/* Due entries of one chunk, to be fired outside the lock. */
struct wheel_batch {
    struct wheel_entry entry[WHEEL_CHUNK_ENTRIES];
    uint32_t count;
    uint64_t done; /* bit i: entry[i] is done; set by the code that fires it. The others stay */
    /* Private: the entries' places, valid while the level's `taken` is this (W4). */
    uint64_t chunk_off, taken;
    uint8_t place[WHEEL_CHUNK_ENTRIES];
    uint32_t slot;
};

/* Moves the shard's time on while nothing is due, taking slots of higher levels apart, and returns
 * the entries that are due next. LARDER_MORE: fire batch->entry[0..count), which may be none, call
 * wheel_retire() if there were any, and call again. LARDER_OK: no entry up to now_s is left, except
 * those that are not done. LARDER_E_FULL, OBSTACLE_CLAIM: no memory to move an entry down.
 * LARDER_E_BUSY, LARDER_E_CORRUPT. */
int wheel_collect(struct writer *w, struct wheel_walk *walk, struct wheel_batch *batch);
/* Takes the entries of the batch that are done out of the wheel. If other threads took some out
 * meanwhile, they stay, which does no harm. LARDER_OK, LARDER_E_BUSY (they stay),
 * LARDER_E_CORRUPT. */
int wheel_retire(struct writer *w, struct wheel_walk *walk, const struct wheel_batch *batch);

#endif
