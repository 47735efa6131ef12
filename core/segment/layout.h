/* core/segment/layout.h - the bytes of a segment.
 *
 * Job      Every structure of a segment outside the heap's blocks, and its place. Structures inside
 *          blocks belong to their modules: items to core/item/item.h, lists to index/leaf.h and
 *          index/skl.h, timers to ttl/wheel.h.
 * Picture  0            struct seg_shm                     identity, geometry, global words
 *          slots_off    struct slot_shm [slot_count]       one per writing call: its locks, blocks
 *                                                          in hand, open steps
 *          catalog_off  struct table_shm [tables]          one per table
 *          bins_off     struct bin_shm [arenas * classes]  small-block lists of the heap
 *          shards_off   wheel shards, ttl/wheel.h
 *          spans_off    struct span_shm [span_count]       one cache line per 16 KiB span: state,
 *                                                          block bitmap; backed by memory only
 *                                                          for spans that were claimed
 *          data_off     the spans
 * Rules    L1 Fixed-width integers, atomics of those, and named padding only: no pointer, size_t,
 *             bool or enum.
 *          L2 A reference is a 64-bit offset from the segment's start; 0 is none. It is checked
 *             before it is followed (seg_at).
 *          L3 Lock words, sequences, slots, catalog, bins and spans never move and never become
 *             anything else: a late compare-and-swap of a stopped process hits the same kind of
 *             word.
 * Tests    tests/unit/segment/seg_test.c
 */
#ifndef LARDER_SEGMENT_LAYOUT_H
#define LARDER_SEGMENT_LAYOUT_H

#include "core/base/shm.h"
#include "larder.h"

#define SEG_MAGIC UINT64_C(0x0a7265647261c34c) /* "L\xc3ardr.\n": no text file starts like this */
/* 2: locks are on a file beside the segment (core/segment/seg_lock.h), unknown to libraries that
 * read only 1. 3: stripes may be marked by a transaction (core/memory/record.h), which libraries
 * that read only 2 do not see. 4: an index has a key of several attributes (core/item/item_join.h);
 * the first definition with one makes a segment of any older format one of 4
 * (core/segment/seg_layout.h). Segments of older formats are read and written as they are. */
#define SEG_FORMAT_VERSION 3u /* of a new segment */
#define SEG_FORMAT_JOINED 4u
#define SEG_FORMAT_NEWEST SEG_FORMAT_JOINED
#define SEG_FORMAT_OLDEST 1u
#define INDEX_FORMAT 2u /* of the blocks of index/: raised when they change */

/* Far apart: a flipped bit makes no other state. */
#define SEG_STATE_INITIALISING 0x696e6974u
#define SEG_STATE_READY 0x72656479u
#define SEG_STATE_DESTROYED 0x676f6e65u
#define SEG_STATE_REPAIRING 0x6d656e64u /* larder_repair() works, or died (core/audit/repair.h) */

#define SPAN_BYTES 16384u
#define CLAIM_BYTES (256u << 10) /* memory is claimed from the kernel in pieces of this size */
#define SLOT_COUNT_MAX LARDER_SLOTS_MAX
#define SEG_ARENAS_MAX 64u
#define FREE_LISTS 12u  /* list k: runs of 2^k to 2^(k+1) - 1 free spans; the last also longer */
#define CLASS_COUNT 44u /* heap size classes; core/memory/heap.c has the list */

/* ---- Locks ----------------------------------------------------------------------------------- */
/* 0: free. Else the owner's slot number + 1, and LOCK_WAITERS if a thread may sleep on the word
 * (core/memory/lock.h). */
typedef _Atomic uint32_t lock_word;
#define LOCK_WAITERS 0x80000000u

/* ---- The head of a segment ------------------------------------------------------------------- */
struct seg_shm {
    uint64_t magic;
    _Atomic uint32_t format_version; /* becomes SEG_FORMAT_JOINED, in one store; else never changes */
    uint32_t page_bytes;
    uint64_t fingerprint; /* of the structures' sizes and the byte order; an attacher must agree */
    uint8_t uuid[16];
    uint64_t size_bytes;
    _Atomic uint32_t state;
    uint32_t stripe_count; /* per table, items and partitions each */
    uint64_t hash_seed;
    uint64_t created_s;
    uint32_t slot_count, span_count, arena_count, shard_count;
    /* From the segment's start: bytes, and span descriptors, beyond it are not backed by memory.
     * Only grows; changed under span_lock. Every call reads this cache line; it rarely changes. */
    shm_word claimed_bytes;
    uint64_t slots_off, catalog_off, bins_off, shards_off, spans_off, data_off;
    uint64_t sum; /* checksum of the members above that never change (seg_layout_sum) */
    /* Padding in older libraries, so 0 in their segments. */
    /* rung when a slot becomes free and a call waits for one (core/memory/slot_map.h) */
    _Atomic uint32_t slot_bell;
    /* nonzero: READY, but the creator may have died before it set this file mode */
    _Atomic uint32_t mode_to_set;
    /* waiting calls take turns to look for dead owners: time of the last turn, start of the next */
    shm_word slot_turn;
    /* names the lock file (core/segment/seg_lock.h), and says if it is settled; 0: no lock file */
    shm_word lock_id;
    /* the segment's inode number when that was made; a segment with another number is a copy */
    shm_word lock_for;

    _Alignas(64) lock_word catalog_lock; /* guards table_shm and definitions; rank first */
    lock_word expirer_lock;              /* held by the expirer */
    /* while held, no other process changes anything (core/memory/gate.h) */
    lock_word gate_lock;
    /* changes while the expirer is awake (ttl/expirer.c, E5) */
    shm_word expirer_beat;
    /* counters, 0 in older segments: bytes of blocks that were moved (core/table/move.h); calls
     * that got LARDER_E_FULL, and the block that the last of them lacked (core/table/make_room.c);
     * items that were evicted (core/table/evict.c) */
    shm_word moved_bytes, full_count, full_bytes, evicted;
    /* guards span states, run lengths and the words below; rank last */
    _Alignas(64) lock_word span_lock;
    _Atomic uint32_t span_hint; /* no span below is free */
    /* spans that the lists cover; if not all claimed ones, they are rebuilt
     * (core/memory/free_runs.h) */
    _Atomic uint32_t free_listed;
    _Atomic uint32_t free_spans;            /* of those */
    _Atomic uint32_t free_list[FREE_LISTS]; /* runs of free spans by length: span number + 1 */
};

/* ---- Slots: what one writing thread is doing ------------------------------------------------- */
#define SLOT_FREE 0u
#define SLOT_LIVE 1u /* taken; dead if its liveness lock is not held (core/segment/live.h) */

#define SLOT_LOCKS 8u
#define SLOT_HAND 16u
#define SLOT_STEPS 2u

/* One journalled publication of one word, from old_word to new_word (core/memory/journal.h). */
struct step_shm {
    shm_word word_off; /* 0: no step open. Stored last, cleared last */
    shm_word old_word, new_word;
    shm_word seq_off; /* sequence to bump before old blocks are given back */
};

/* What the call does, for its recovery. */
#define OP_NONE 0u
#define OP_ITEM 1u         /* put or delete of an item, a = catalog index; step 0: its slot word */
#define OP_TABLE_CREATE 2u /* a = catalog index */
#define OP_TABLE_DROP 3u   /* a = catalog index; no longer written: TABLE_DROPPING says it */
#define OP_INDEX_ADD 4u    /* a = catalog index, b = index ordinal */

struct slot_shm {
    _Atomic uint32_t state;
    _Atomic int32_t pid; /* for messages only: in PID namespaces it identifies no process */
    shm_word generation; /* counts owners */
    shm_word started_s;
    _Atomic uint32_t op, op_a, op_b;
    /* low half of the generation of the last owner that was found dead (core/memory/writer.h) */
    _Atomic uint32_t found_dead;
    /* nonzero: an item of this stripe is being written, by OP_ITEM or inside another op */
    shm_word op_stripe_off;
    /* offsets of lock words being taken, held or just released; 0 unused */
    shm_word locks[SLOT_LOCKS];
    shm_word lock_since_ns; /* CLOCK_MONOTONIC when the oldest was taken */
    /* blocks taken and not yet, or no longer, linked: offset | HAND_ tag */
    shm_word hand[SLOT_HAND];
    struct step_shm step[SLOT_STEPS];
    /* struct larder_counters */
    shm_word puts, deletes, expired, lock_waits, recoveries, undone, finished;
    /* in slot g, a hint which of slots 64 g to 64 g + 63 are free (core/memory/slot_map.h). Does
     * not belong to the slot's owner */
    shm_word map;
    /* 0, or the record of this slot's transaction (core/memory/record.h). Padding in older
     * libraries, so 0 in their segments */
    shm_word record_off;
};
_Static_assert(sizeof(struct slot_shm) == LARDER_SLOT_BYTES, "larder.h says what a slot costs");
_Static_assert(sizeof(struct slot_shm) % 64 == 0, "slots share no cache line");

/* ---- Tables ---------------------------------------------------------------------------------- */
/* Four bits apart: a flipped bit makes no other state. */
#define TABLE_FREE 0u
#define TABLE_CREATING 0x0fu
#define TABLE_READY 0x33u
#define TABLE_DROPPING 0x3cu

struct table_shm {
    /* state | generation << 8; any change of the definition takes a new generation */
    shm_word life;
    shm_word schema_off; /* block with the definition (core/table/schema.h); valid while READY */
    /* struct stripe_shm [stripe_count]; kept when the table is dropped (rule L3) */
    shm_word items_off;
    shm_word partitions_off; /* the same for the partitions of all its indexes */
    /* nonzero: items may have an expiry by an older TTL attribute; the expirer rewrites them */
    shm_word restamp;
    /* DROPPING: how many stripes are empty for good, items first (core/table/table_empty.c); else
     * 0 */
    shm_word emptied;
    /* struct marks_shm (core/table/marks.h), made when the table first evicts; kept like the
     * stripes. Padding in older libraries, which evict nothing */
    shm_word marks_off;
    uint64_t reserved;
};
_Static_assert(sizeof(struct table_shm) == 64, "table_shm is one line");

/* ---- Stripes and buckets: core/memory/htab.h ------------------------------------------------- */
#define STRIPE_LEFT 8u /* a power of 2: a number keeps its place when the count wraps round */

/* Of stripe.seq: a transaction changes items of this stripe (core/memory/record.h). */
#define SEQ_MARK (UINT64_C(1) << 63)

struct stripe_shm {
    lock_word lock;
    _Atomic uint32_t count; /* blocks linked in its buckets */
    /* bumped after a block was unlinked and before its memory is given back. Its highest bit is
     * SEQ_MARK */
    shm_word seq;
    /* bucket array: offset | bucket count << 48; one word, so both change at once */
    shm_word array;
    /* numbers the writes of this stripe: item versions and key sequences */
    shm_word writes;
    _Atomic uint32_t spares_used; /* spare buckets of the array that are linked */
    /* partition stripes: count of leaves that left a list, for page snapshots (index/skl_left.c).
     * Item stripes: count of items that were moved (core/table/move.h) */
    _Atomic uint32_t moves;
    /* partition stripes: marks of the last of them, each at its number */
    _Atomic uint16_t left[STRIPE_LEFT];
    /* with SEQ_MARK: the transaction's record. Padding in older libraries */
    shm_word record_off;
};
_Static_assert(sizeof(struct stripe_shm) == 64, "a stripe is one cache line");

#define BUCKET_SLOTS 7
struct bucket_shm {
    /* tag << 48 | block offset; 0 empty. The tag is the low 16 bits of the hash */
    shm_word slot[BUCKET_SLOTS];
    shm_word link; /* number of a spare bucket of the same array + 1; 0 none */
};
_Static_assert(sizeof(struct bucket_shm) == 64, "a bucket is one cache line");

/* The bits of a hash that choose stripe, bucket and tag. */
#define HTAB_HASH_MASK UINT64_C(0xffffffff0000ffff)

#define WORD_OFF(word) ((word)&UINT64_C(0x0000ffffffffffff))
#define WORD_TAG(word) ((uint16_t)((word) >> 48))
#define WORD_MAKE(tag, off) ((uint64_t)(uint16_t)(tag) << 48 | (off))

/* ---- Heap: core/memory/heap.h ---------------------------------------------------------------- */
#define SPAN_FREE 0u
#define SPAN_SMALL 1u /* cut into blocks of one class */
#define SPAN_RUN 2u   /* first span of a large block */
#define SPAN_TAIL 3u  /* further span of a large block */

#define SPAN_BITMAP_WORDS 6u /* 384 bits: SPAN_BYTES / the smallest class, rounded up */

struct span_shm {
    _Atomic uint8_t state, class_index, arena, is_listed;
    _Atomic uint16_t used, pad;
    /* SMALL: in the bin's list, span number + 1. RUN: next is the number of spans. FREE:
     * core/memory/free_runs.h */
    _Atomic uint32_t next, prev;
    /* SMALL: 1 = block handed out. FREE: core/memory/free_runs.h */
    shm_word bitmap[SPAN_BITMAP_WORDS];
};
_Static_assert(sizeof(struct span_shm) == 64, "a span descriptor is one cache line");

struct bin_shm {
    lock_word lock;
    /* list of spans with free blocks, span number + 1; a cache: the descriptors are the truth */
    _Atomic uint32_t head;
    uint64_t reserved[7];
};
_Static_assert(sizeof(struct bin_shm) == 64, "a bin is one cache line");

/* ---- Timers: ttl/wheel.h --------------------------------------------------------------------- */

#define WHEEL_LEVELS 4u
#define WHEEL_SLOTS 256u

struct wheel_shard_shm {
    lock_word lock;
    uint32_t pad;
    /* all timers up to and including this second were handled. Guarded by lock */
    shm_word now_s;
    shm_word purge; /* where ttl/purge.c continues: a hint, not guarded */
    /* counts removals of entries from each level (W4). Guarded by lock */
    shm_word taken[WHEEL_LEVELS];
    uint64_t reserved;
    /* offset of the newest chunk, 0 none. Guarded by lock */
    shm_word slot[WHEEL_LEVELS][WHEEL_SLOTS];
};
_Static_assert(sizeof(struct wheel_shard_shm) == 64 + 8192, "wheel_shard_shm is part of the segment format");

#endif
