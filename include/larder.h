/* larder.h - Larder: a DynamoDB-shaped cache in shared memory. The only header that is installed.
 *
 * Processes of one host attach to one segment and work on the same tables by function calls. Five kinds of object:
 *
 *   struct larder          an attachment to a segment; one per process and segment, shared by all its threads, valid in
 *                          forked children (a child takes writer slots of its own by itself)
 *   struct larder_table    a table of that segment, looked up once by name; lives as long as its struct larder
 *   struct larder_item     one item, immutable bytes: what a builder makes and what a page holds
 *   struct larder_builder  makes items; one thread at a time
 *   struct larder_page     where reads put their items; one thread at a time, reused from call to call
 *
 * Results. Every function that can fail returns an int. 0 is done; a positive value is an outcome to branch on; a
 * negative value is a failure that changed nothing, and larder_error() of the same thread says which value was wrong
 * and what is allowed. Outputs are written only when the result is >= 0; a page given to a read that fails is left empty.
 * A NULL where an object is needed is LARDER_E_INVAL, too, and larder_error() names function and argument. Functions without
 * such a result do nothing then, or answer 0 or NULL. An object of another attachment may be given where not said otherwise.
 *
 * Consistency. A put or delete changes the item and all its index entries in one step, for every process at once. Reads
 * take no lock, store nothing in the segment and wait for nobody.
 *
 * Killed. Any process may die by SIGKILL at any instruction inside any of these functions: acknowledged writes stay,
 * an unacknowledged one is wholly there or wholly not, and whoever next needs what the dead process held repairs it.
 *
 * Stopped. A process that stands still (SIGSTOP, a debugger) holds up no reader, and writers only where they need what it holds:
 * they get LARDER_E_BUSY after options.busy_timeout_ms, and larder_error() names it. When it wakes it goes on as if nothing had been.
 *
 * Trust. Processes that attach read-write are trusted; file modes decide who they are. Others, those that may read included,
 * cannot stop them. A segment of another user is attached to read-write only if the caller asks for it (LARDER_ANY_OWNER).
 * ARCHITECTURE.md has a table: "Who is trusted with what". A damaged segment gives an error, or an answer
 * that has the key asked for and comes in order; never a crash or an endless wait. An item is looked at as far as it is read: what
 * reads an attribute says LARDER_E_CORRUPT if it leads outside of the item. There are no checksums: flipped bytes of names and
 * values come back as they are, and a damaged reference may hide an item. larder_check() finds
 * what breaks an invariant, larder_repair() mends it; while it works every call gives LARDER_E_BUSY, reads too.
 *
 * Stack. A call takes at most 16 KiB of its thread's stack (gcc, release: larder_put() 13, larder_delete() 13, larder_query() 13 where an
 * index projects, else 8, larder_table_stats() 14, larder_increment() 11, larder_builder_add_all() 9, others 6 or less). More if it has to repair
 * what a dead process left, and for larder_check(), larder_repair() and larder_index_add().
 *
 * Memory orders, locks and the bytes of the segment are described in ARCHITECTURE.md.
 */
#ifndef LARDER_H
#define LARDER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LARDER_VERSION "0.1.0"

#if defined(__GNUC__)
#define LARDER_API __attribute__((visibility("default")))
#else
#define LARDER_API
#endif

/* ---- Results ------------------------------------------------------------------------------------------------------
 */

#define LARDER_OK 0
#define LARDER_NOT_FOUND 1  /* no such item; nothing else is wrong */
#define LARDER_MORE 2       /* a page ended before the range did; continue with larder_page_resume() */
#define LARDER_CHANGED 3    /* larder_put_if: what is stored is not what was expected; nothing was changed */
#define LARDER_E_INVAL (-1) /* an argument is not allowed; nothing was changed */
#define LARDER_E_FULL (-2)  /* the segment or its filesystem has no room; nothing was changed */
#define LARDER_E_BUSY (-3)  /* a live process kept a needed lock, or slot, longer than options.busy_timeout_ms */
#define LARDER_E_NO_TABLE (-4)
#define LARDER_E_NO_INDEX (-5)
#define LARDER_E_EXISTS (-6)     /* the table, index or segment exists already */
#define LARDER_E_NO_SEGMENT (-7) /* no segment of that name or path */
#define LARDER_E_FORMAT (-8)     /* no Larder segment, other version, truncated, never finished, no lock file */
#define LARDER_E_READ_ONLY (-9)  /* the attachment is read-only */
#define LARDER_E_DESTROYED (-10) /* the segment was destroyed, or its file removed, while attached */
#define LARDER_E_CORRUPT (-11)   /* the segment's bytes break an invariant; see larder_check() */
#define LARDER_E_OS (-12)        /* a system call failed; larder_error() names the call and the reason */
#define LARDER_E_NO_MEMORY (-13) /* this process is out of private memory */
#define LARDER_E_ACCESS (-14)    /* no permission on the segment, or it belongs to another user */
#define LARDER_E_RETAINED (-15)  /* a table's removal policy is Retain and force was not given */
#define LARDER_E_NO_SLOT (-16)   /* all writer slots were in use for busy_timeout_ms; see "Slots" of larder_open() */

/**
 * The text of this thread's last failure: which value was wrong, and what is allowed.
 * @return A string owned by the library, valid until this thread's next failing call. Never NULL; "" before any
 * failure.
 */
LARDER_API const char *larder_error(void);

/** A short constant name for a result, such as "LARDER_E_FULL". Never NULL. */
LARDER_API const char *larder_result_name(int result);

/* ---- Limits (DynamoDB developer guide, "Quotas and limits"; sizes in bytes)
 * ------------------------------------------ */

#define LARDER_ITEM_BYTES_MAX (400 * 1024) /* names and values, as DynamoDB counts them */
#define LARDER_PARTITION_KEY_BYTES_MAX 2048
#define LARDER_SORT_KEY_BYTES_MAX 1024
#define LARDER_NUMBER_DIGITS_MAX 38
#define LARDER_NUMBER_TEXT_MAX 192 /* longest text larder_value_number() writes, with the final 0 */
#define LARDER_NESTING_MAX 32 /* levels of a document: an attribute is the first, so 31 M and L may lie in each other */
#define LARDER_GLOBAL_INDEXES_MAX 20
#define LARDER_LOCAL_INDEXES_MAX 5
#define LARDER_INDEXES_MAX 25
#define LARDER_NAME_BYTES_MAX 255 /* table, index and key attribute names; table and index names have at least 3 */
#define LARDER_ATTRIBUTE_NAME_MAX 65535 /* names of attributes that are no key */
#define LARDER_PROJECTED_NAMES_MAX 100  /* non-key attributes over all indexes of a table */
#define LARDER_TABLES_MAX 256           /* tables of one segment */
#define LARDER_SEGMENT_BYTES_MIN (4u << 20)
#define LARDER_SLOTS_MIN 2 /* writer slots of one segment: see "Slots" of larder_open() */
#define LARDER_SLOTS_MAX 8192
#define LARDER_SLOT_BYTES 384 /* what each of them takes of the segment */

/* ---- Segment ------------------------------------------------------------------------------------------------------
 */

struct larder;

#define LARDER_CREATE 1u    /* create the segment if it is missing, else attach */
#define LARDER_EXCLUSIVE 2u /* with LARDER_CREATE: fail with LARDER_E_EXISTS unless this call makes the file */
#define LARDER_READ_ONLY 4u /* map PROT_READ, take no slot; every writing call gives LARDER_E_READ_ONLY */
#define LARDER_MEMFD 8u     /* segment is options.memfd, or with LARDER_CREATE and memfd -1 a new memfd */
#define LARDER_REPAIR                                                                                                  \
    16u /* attach also to a segment whose repair was cut off; only larder_repair() works until it is whole */
/* A hint that never fails: huge pages, for fewer TLB misses in large segments. Each process that attaches gives it for itself; those
 * that put should, for memory is claimed in huge pages only by them. See "Huge pages" of larder_open(). */
#define LARDER_HUGE_PAGES 32u
/* Attach read-write, or destroy, also if the segment belongs to another user. See "Owners" of larder_open(). */
#define LARDER_ANY_OWNER 64u
#define LARDER_FORCE 1 /* of larder_destroy() */

/** How to open. Zero it, then set what you need; zero means the default given. */
struct larder_options {
    const char *segment;   /* a name (POSIX shared memory, no '/') or a path (has a '/'); default "larder" */
    uint32_t flags;        /* LARDER_CREATE, ... */
    uint32_t mode;         /* permissions of a new segment, whatever the umask; default 0600, which is always part of
                              it; no right to write without the right to read */
    uint64_t size_bytes;   /* maximum size of a new segment, claimed as it fills; default 1 GiB, rounded up to 64 KiB */
    uint32_t stripe_count; /* of each table of a new segment: a power of 2, 2..65536; default follows the size */
    uint32_t
        busy_timeout_ms; /* longest wait for a lock that a live process holds, and for a writer slot; default 2000 */
    int memfd;           /* with LARDER_MEMFD: an inherited or passed descriptor; borrowed. -1 with CREATE: new */
    uint32_t
        slot_count; /* writer slots of a new segment: 2..LARDER_SLOTS_MAX; default 1024, below 64 MiB 16 a MiB, at least 64 */
};

/**
 * Attaches to a segment, creating it when asked.
 *
 * Of two creators at once one creates and the other attaches; a segment left half made by a creator that died is taken
 * over. With LARDER_EXCLUSIVE only a file that this call itself makes becomes the segment: an empty or half-made one
 * that was there is LARDER_E_EXISTS. Opening without it takes such a file over, larder_destroy() by force removes it.
 *
 * @param options [in]  Borrowed for the call; NULL means all defaults (attach read-write to "larder").
 * @param out     [out] The attachment. Close with larder_close(). Use from any thread, and in forked children.
 * @return LARDER_OK, LARDER_E_INVAL (sizes, flags), LARDER_E_NO_SEGMENT, LARDER_E_EXISTS, LARDER_E_FORMAT (foreign,
 * truncated, other version, lock file missing), LARDER_E_ACCESS (no permission; another user's),
 * LARDER_E_FULL (no room for the first spans), LARDER_E_OS,
 * LARDER_E_NO_MEMORY, LARDER_E_BUSY (another process is still creating it after busy_timeout_ms).
 *
 * Owners       A file belongs to another user if its owner is not the effective user of this
 *              process; root is no exception. Opening one read-write is LARDER_E_ACCESS, and
 *              larder_error() names the owner: anybody may have put it there. With LARDER_ANY_OWNER
 *              a finished segment is attached to, as far as its mode allows. So processes of
 *              several users can share one, and root can look at one. An empty or half-made file of
 *              another user is never made a segment. Read-only needs no flag: modes like 0644 are
 *              there for readers with fewer rights. A reader trusts the owner not to lie, and not
 *              to shorten the file (SIGBUS). A memfd has no name that others could take: a process
 *              that takes a descriptor trusts its giver.
 * Lock file    A segment with a name or a path has an empty file beside it,
 *              ".larder-ID-INODE.lock". Only those can open it that may write to the segment. Its
 *              directory must allow its owner to make files, and all processes must see both files
 *              in one directory: mount the directory into a container, not the file. The segment
 *              may be renamed within its directory. Moved out of it, or without its lock file, it
 *              is LARDER_E_FORMAT for those that write. A copy gets a lock file of its own when its
 *              owner first opens it for writing. After chmod, chown or chgrp of the segment, its
 *              lock file follows when owner or root next open it for writing; access lists
 *              (setfacl) are not followed. A memfd has none: a process that was handed any
 *              descriptor of it, even one for reading, can hold up its writers by a lock (fcntl).
 * Removal      larder_destroy() is the way to remove a segment. If its file is removed by hand, or
 *              another file is renamed over it, the calls of those attached give LARDER_E_DESTROYED
 *              within a second, and the lock file goes, too. If nobody was attached, the empty lock
 *              file stays.
 * Slots        A call that writes needs a writer slot for as long as it takes; reads need none. A segment has options.slot_count
 *              of them, LARDER_SLOT_BYTES each: 1,024 are 384 KiB. That bounds the calls at the same moment, and not the threads
 *              or processes attached: a call that finds none free waits for one up to busy_timeout_ms, then gives
 *              LARDER_E_NO_SLOT (LARDER_E_BUSY, if one is just being recovered, taken or left). A slot whose owner died is
 *              recovered by those who wait.
 *              To take one costs some system calls (10 us; 60 with 1,024 taken, 220 with 4,096), so an attachment keeps up to eight for
 *              its next calls. It keeps none while another process waits, and none of the last quarter of the segment's
 *              slots: so processes that do nothing hold at most three quarters, however many they are. A process that stands
 *              still in the middle of a call keeps the slot of that call. All go with the process, however it ends.
 *              The first is taken here, if one is free. Taking one opens the lock file again through /proc: a process that
 *              changes its user (setuid) needs permission on the file as the new one, or must go on with a slot that it has: it
 *              keeps one for good if it writes, or opens, before the change while less than three quarters are taken and nobody
 *              waits; its threads then take turns with it. The file must lie
 *              on a filesystem of this host: not NFS or its kind, which may take a lock from a process that lives.
 * Threads      Any thread may use the attachment. After fork() the child may, too, with slots of its own. Programs that clone
 *              without fork handlers (vfork, raw clone) must exec before they call anything here. A thread that is cancelled
 *              (deferred, the default) ends after its call; one that leaves a call in another way (pthread_exit() or longjmp()
 *              out of a signal handler) keeps its locks as long as its process lives. Signals may come at any time; handlers
 *              must not call anything here, nor fork and go on in the child.
 * Memory       A put claims memory from the filesystem before it touches it: none left is LARDER_E_FULL. A memory limit of a
 *              control group is not seen that way: the kernel kills in the group, which is a death like any other; give
 *              size_bytes, or the tmpfs its size=, so that the limit is not met. Whoever shortens the file of a segment ends those
 *              who use it by SIGBUS, as with any mapped file; a memfd is sealed against that.
 * Huge pages   LARDER_HUGE_PAGES asks for transparent ones (madvise). The kernel gives them to a memfd if
 *              /sys/kernel/mm/transparent_hugepage/shmem_enabled is "advise" (or "within_size", "always"), and to a name or a path
 *              if the tmpfs, /dev/shm for names, is mounted with huge=advise or the like; Linux 5.14. Memory is then claimed by
 *              2 MiB at a time, and a put that claims waits for them to be zeroed. A path on a hugetlbfs mount needs no flag.
 * Descriptors  An attachment keeps two, of a memfd one. A thread's first slot, and repairing what a dead process left,
 *              need one free descriptor for a moment; LARDER_E_OS says if there is none.
 * Killed here  A half-made segment is made anew by the next creator.
 */
LARDER_API int larder_open(const struct larder_options *options, struct larder **out);

/**
 * Detaches: gives back the slots and every byte of private memory. Builders, pages and tables of db end with it. A library
 * that was loaded with dlopen() stays when it is closed; handles need not be closed before.
 * No other thread may be inside a call with db: it would lose the memory it works on, and the process die of it (others
 * recover). NULL is allowed.
 */
LARDER_API void larder_close(struct larder *db);

/** The descriptor of a LARDER_MEMFD segment, to pass to another process; -1 for a named one. Owned by db. */
LARDER_API int larder_memfd(const struct larder *db);

/**
 * Removes a segment by name or path. Processes still attached get LARDER_E_DESTROYED from their next call and go on
 * living.
 * @param segment Name or path as in larder_options; NULL means "larder".
 * @param how     0, or LARDER_FORCE: even if a table's removal policy is Retain, its bytes are damaged or half made, or
 *                its lock file is missing. With LARDER_ANY_OWNER also if it belongs to another user, as far as the
 *                directory allows it.
 * @return LARDER_OK, LARDER_E_NO_SEGMENT, LARDER_E_RETAINED, LARDER_E_FORMAT, LARDER_E_ACCESS (also: another user's),
 *         LARDER_E_OS, LARDER_E_INVAL (no possible name), LARDER_E_BUSY (another process has been creating it for two
 *         seconds).
 */
LARDER_API int larder_destroy(const char *segment, int how);

/**
 * The clock that decides expiry, in epoch seconds; for tests. Called outside every lock.
 * @param now Called with arg from any thread that uses db, the expirer included; NULL restores the system clock.
 * Each process sets its own. Each different pair of now and arg takes 32 bytes until larder_close(). The clock may jump: what is
 * visible follows the reader's clock at once, forward and back; what is removed for good follows the clock of the process that
 * removes it: an expirer's, or that of a write that finds no room. Waiting and time limits do not follow it.
 */
LARDER_API void larder_set_clock(struct larder *db, int64_t (*now)(void *arg), void *arg);

/* ---- Tables -------------------------------------------------------------------------------------------------------
 */

enum larder_type {
    LARDER_S = 1,
    LARDER_N,
    LARDER_B,
    LARDER_BOOL,
    LARDER_NULL,
    LARDER_M,
    LARDER_L,
    LARDER_SS,
    LARDER_NS,
    LARDER_BS
};

enum larder_projection { LARDER_PROJECT_ALL, LARDER_PROJECT_KEYS_ONLY, LARDER_PROJECT_INCLUDE };
enum larder_removal { LARDER_REMOVAL_DELETE, LARDER_REMOVAL_RETAIN };

struct larder_key_def {
    const char *name;      /* attribute name, 1..255 bytes; NULL for "no sort key" */
    enum larder_type type; /* LARDER_S, LARDER_N or LARDER_B */
};

struct larder_index_def {
    const char *name; /* 3..255 of a-z A-Z 0-9 _ - . */
    int is_local;     /* nonzero: local index; its partition key must be the table's */
    struct larder_key_def partition, sort;
    enum larder_projection projection;
    const char *const *included; /* LARDER_PROJECT_INCLUDE: included_count names of attributes that are no key */
    uint32_t included_count;
};

/** A table's shape, given to larder_table_create() and returned by larder_table_describe(). */
struct larder_table_def {
    const char *name; /* 3..255 of a-z A-Z 0-9 _ - . */
    struct larder_key_def partition, sort;
    const struct larder_index_def *indexes;
    uint32_t index_count;
    const char *ttl_attribute; /* NULL: items do not expire */
    enum larder_removal removal;
};

struct larder_table;

/**
 * Creates an empty table. All or nothing.
 * @param def [in] Borrowed for the call.
 * @return LARDER_OK, LARDER_E_INVAL (a name, type, count or duplicate), LARDER_E_EXISTS, LARDER_E_FULL, LARDER_E_BUSY,
 * LARDER_E_READ_ONLY, LARDER_E_DESTROYED, LARDER_E_NO_SLOT.
 */
LARDER_API int larder_table_create(struct larder *db, const struct larder_table_def *def);

/**
 * Finds a table by name. Cheap, but meant to be done once and kept.
 * @param out [out] Valid until larder_close(); if the table is dropped, calls with it give LARDER_E_NO_TABLE (and its 320
 * bytes stay until larder_close(), too: something to know for programs that drop and create tables all day).
 * @return LARDER_OK, LARDER_E_NO_TABLE, LARDER_E_INVAL, LARDER_E_DESTROYED, LARDER_E_CORRUPT, LARDER_E_NO_MEMORY.
 */
LARDER_API int larder_table_open(struct larder *db, const char *name, struct larder_table **out);

/**
 * A table's present definition (indexes added and TTL changes included).
 * @param out [out] Points into memory owned by t's attachment, valid until larder_close(), whatever the table's definition is
 * by then. Never NULL on LARDER_OK. The same definition is kept once, so describing a table often takes no more memory; each
 * different one that was described takes some 6 KB until larder_close().
 */
LARDER_API int larder_table_describe(struct larder_table *t, const struct larder_table_def **out);

/**
 * Names of all tables, sorted.
 * @param names [out] Array of `capacity` pointers; the strings live until larder_close().
 * @param count [out] Number of tables; names beyond capacity are not written.
 */
LARDER_API int larder_table_list(struct larder *db, const char **names, uint32_t capacity, uint32_t *count);

/**
 * Drops a table. It is gone for everybody when this returns, and its name is free. Its memory comes back afterwards, in small pieces
 * that nobody waits for: by a thread of this process, which ends when nothing is left, at the latest in larder_close(). What is left
 * then is given back by any expirer, by larder_check(), by writes that find no room, and by larder_expire(db, 0, ..), which returns
 * when it has all been given back: so call that to wait for the memory.
 * @return LARDER_OK, LARDER_E_NO_TABLE, LARDER_E_BUSY (a live process holds a stripe or another definition is being changed: nothing
 *         changed), LARDER_E_INVAL, LARDER_E_READ_ONLY, LARDER_E_DESTROYED, LARDER_E_NO_SLOT, LARDER_E_CORRUPT.
 * Killed here  The table is there whole, or gone for everybody at once; its memory is given back by those above.
 * Cost         Each stripe's lock once, whatever the table holds.
 */
LARDER_API int larder_table_drop(struct larder *db, const char *name);

/**
 * Adds a global index to a table, which may hold data and be in use: it is filled and then appears in one step.
 * Until then queries on it give LARDER_E_NO_INDEX. If this process dies on the way the index does not appear, and what
 * was filled is given back. Items whose value for a key of the index has the wrong type or size do not enter the index
 * (DynamoDB developer guide, "Detecting and correcting index key violations").
 */
LARDER_API int larder_index_add(struct larder_table *t, const struct larder_index_def *def);

/** Sets (or with NULL, ends) the table's TTL attribute. Reads follow it from the moment this returns. */
LARDER_API int larder_ttl_set(struct larder_table *t, const char *attribute);

/** Sets the removal policy of a table: LARDER_REMOVAL_RETAIN makes larder_destroy() refuse without force. */
LARDER_API int larder_removal_set(struct larder_table *t, enum larder_removal removal);

/* ---- Values and items ---------------------------------------------------------------------------------------------
 */

/**
 * A value to give, or one read. S and B: data and bytes. N given: decimal text in data and bytes, count 0. An N read
 * from an item has count 1 and an encoded form in data: larder_value_number() makes text of it, and as it is it may be
 * added to a builder or used in a key.
 */
struct larder_value {
    enum larder_type type;
    const void *data; /* borrowed; S B: the bytes. N: text when given, encoded form when read (larder_value_number) */
    size_t bytes;
    int is_true;    /* BOOL */
    uint32_t count; /* read from an item: members of an M, L, SS, NS or BS; 1 with an N; else 0 */
};

/** Shorthands for values, in keys above all: larder_str("SHOP#1"), larder_num("17"), larder_bin(data, bytes). NULL: no bytes. */
LARDER_API struct larder_value larder_str(const char *text);
LARDER_API struct larder_value larder_num(const char *text);
LARDER_API struct larder_value larder_bin(const void *data, size_t bytes);

struct larder_item;

/**
 * Looks up a top-level attribute without parsing the others.
 * @return LARDER_OK, LARDER_NOT_FOUND, or LARDER_E_CORRUPT (the item came out of a damaged segment, and a record that was looked at
 * leads outside of it). The value points into the item and lives as long as it.
 */
LARDER_API int larder_item_get(const struct larder_item *item, const char *name, struct larder_value *out);

/** Same, with a name that may hold zero bytes. */
LARDER_API int larder_item_getn(const struct larder_item *item, const char *name, size_t name_bytes,
                                struct larder_value *out);

/** Number of top-level attributes. */
LARDER_API uint32_t larder_item_count(const struct larder_item *item);

/**
 * Size as DynamoDB counts it (developer guide, "Item sizes and formats"): names, S and B in bytes; N one byte per two
 * digits on either side of the point, plus 1, plus 1 if negative; BOOL and NULL 1; M and L 3 and 1 per member.
 */
LARDER_API size_t larder_item_size(const struct larder_item *item);

/** Walks the members of an item, M, L or set. Zero cost to start; the members point into the item. */
struct larder_iter {
    const unsigned char *at, *end; /* private */
    const struct larder_item *item;
    uint32_t left, ordinal;
    enum larder_type of;
};

/** One member: name is NULL for members of lists and sets. */
struct larder_member {
    const char *name;
    size_t name_bytes;
    struct larder_value value;
};

LARDER_API void larder_iter_item(const struct larder_item *item, struct larder_iter *it);
/** @param value An M, L, SS, NS or BS read from an item; any other type, and NULL, gives an empty walk. */
LARDER_API void larder_iter_value(const struct larder_value *value, struct larder_iter *it);
/**
 * @return LARDER_OK with the next member, in name order for an item or M; LARDER_NOT_FOUND at the end; LARDER_E_CORRUPT if the item is
 * damaged here: the walk is over.
 */
LARDER_API int larder_iter_next(struct larder_iter *it, struct larder_member *out);

/**
 * Decimal text of an N value, exact and in plain notation (no exponent), as DynamoDB returns it.
 * @param text [out] At least LARDER_NUMBER_TEXT_MAX bytes.
 * @return LARDER_OK, or LARDER_E_INVAL if value is no N (or given as text that is no number).
 */
LARDER_API int larder_value_number(const struct larder_value *value, char *text);

/** Same as an integer. LARDER_E_INVAL if it is no N, has a fraction or does not fit. */
LARDER_API int larder_value_int64(const struct larder_value *value, int64_t *out);

struct larder_builder;

/** A builder's memory comes from db's arena and ends with larder_builder_free() or larder_close(). */
LARDER_API int larder_builder_new(struct larder *db, struct larder_builder **out);
LARDER_API void larder_builder_free(struct larder_builder *b);
/** Empties the builder, keeping its memory; also clears an error. */
LARDER_API void larder_builder_reset(struct larder_builder *b);

/*
 * Adding attributes. Names are borrowed for the call; inside a list or set the name must be NULL. A failure (a bad
 * name, number or UTF-8, an attribute twice, nesting too deep, over LARDER_ITEM_BYTES_MAX) is remembered: later calls
 * do nothing and larder_builder_finish() returns it, until larder_builder_reset(). Each also returns it at once; a name
 * or set member that is there twice is found by larder_builder_end(), or by larder_builder_finish() for the item's own
 * attributes.
 */
LARDER_API int larder_builder_add(struct larder_builder *b, const char *name,
                                  const struct larder_value *value); /* S N B BOOL NULL */
LARDER_API int larder_builder_add_s(struct larder_builder *b, const char *name, const char *text);
LARDER_API int larder_builder_add_sn(struct larder_builder *b, const char *name, const char *text, size_t bytes);
LARDER_API int larder_builder_add_n(struct larder_builder *b, const char *name, const char *decimal);
LARDER_API int larder_builder_add_int(struct larder_builder *b, const char *name, int64_t value);
LARDER_API int larder_builder_add_b(struct larder_builder *b, const char *name, const void *data, size_t bytes);
LARDER_API int larder_builder_add_bool(struct larder_builder *b, const char *name, int is_true);
LARDER_API int larder_builder_add_null(struct larder_builder *b, const char *name);
/** Opens an M, L, SS, NS or BS; what is added until larder_builder_end() goes into it. Sets may not be empty or hold a value
 * twice. */
LARDER_API int larder_builder_begin(struct larder_builder *b, const char *name, enum larder_type type);
LARDER_API int larder_builder_end(struct larder_builder *b);
/** Copies one member read from another item, with everything inside it. Into a list or set: set its name to NULL. */
LARDER_API int larder_builder_add_member(struct larder_builder *b, const struct larder_member *member);
/**
 * Copies all attributes of an item but some into the item that is being built: what is read, changed and put again. Copied in runs,
 * so it costs little more than the copy.
 * @param item      [in] From a page or a finished builder, not b itself; borrowed for the call. All of it is checked, as
 *                       larder_builder_add_member() does: LARDER_E_CORRUPT if it came out of a damaged segment and is none.
 * @param but       [in] Names (0-terminated) to leave out, but_count of them; those that the item does not have do not matter. NULL: none.
 */
LARDER_API int larder_builder_add_all(struct larder_builder *b, const struct larder_item *item, const char *const *but,
                                      uint32_t but_count);
/**
 * Names the next larder_builder_add or larder_builder_begin, whose own name must be NULL: for a name that may hold zero bytes or is not
 * 0-terminated. 1 to LARDER_ATTRIBUTE_NAME_MAX bytes. Copied.
 */
LARDER_API int larder_builder_name(struct larder_builder *b, const char *name, size_t bytes);

/**
 * Ends the item.
 * @param out [out] Owned by the builder, valid until its next reset, add or free.
 * @return LARDER_OK, or the first failure: LARDER_E_INVAL (what the adds refuse; an open M or L; over
 * LARDER_ITEM_BYTES_MAX), LARDER_E_NO_MEMORY.
 */
LARDER_API int larder_builder_finish(struct larder_builder *b, const struct larder_item **out);

/* ---- Reading ------------------------------------------------------------------------------------------------------
 */

struct larder_page;

/** A page's memory comes from db's arena, grows as needed, and ends with larder_page_free() or larder_close(). */
LARDER_API int larder_page_new(struct larder *db, struct larder_page **out);
LARDER_API void larder_page_free(struct larder_page *page);
/** Items in the page; 0 for NULL, as all that asks a page. */
LARDER_API uint32_t larder_page_count(const struct larder_page *page);
/** The i-th item; NULL if it was not found (only larder_get_many leaves such holes) or i is too large. Valid until the
 * page's next use. */
LARDER_API const struct larder_item *larder_page_item(const struct larder_page *page, uint32_t i);
/** After LARDER_MORE: the key to continue after (DynamoDB's LastEvaluatedKey): an item of the key attributes. Else
 * NULL. */
LARDER_API const struct larder_item *larder_page_resume(const struct larder_page *page);
/** Items looked at for this page, those that had expired left out (DynamoDB's ScannedCount). */
LARDER_API uint64_t larder_page_scanned(const struct larder_page *page);
/** 1 if all items of the page were there at one moment: after larder_get(), and after larder_query() as "Consistency" there says. Else 0. */
LARDER_API int larder_page_is_snapshot(const struct larder_page *page);

struct larder_key {
    struct larder_value partition, sort; /* sort is ignored by a table without sort key */
};

/**
 * Reads one item.
 * @param page [in,out] Earlier contents are discarded; on LARDER_OK holds the one item.
 * @return LARDER_OK, LARDER_NOT_FOUND (absent or expired), LARDER_E_INVAL (key type or size), LARDER_E_NO_TABLE,
 * LARDER_E_CORRUPT, LARDER_E_DESTROYED, LARDER_E_NO_MEMORY. Cost: about two dependent cache misses and the copy. Locks:
 * none.
 */
LARDER_API int larder_get(struct larder_table *t, const struct larder_key *key, struct larder_page *page);

/**
 * Reads many items, overlapping their cache misses.
 * @param keys count keys, whose bytes do not lie in `page`. The page then has `count` places in the order of the keys, NULL where
 *             an item is missing.
 * @return as larder_get(), but LARDER_OK also when some or all are missing. Each item is whole; together they are no
 * snapshot.
 */
LARDER_API int larder_get_many(struct larder_table *t, const struct larder_key *keys, uint32_t count,
                               struct larder_page *page);

enum larder_sort_op {
    LARDER_SORT_ANY,
    LARDER_SORT_EQ,
    LARDER_SORT_LT,
    LARDER_SORT_LE,
    LARDER_SORT_GT,
    LARDER_SORT_GE,
    LARDER_SORT_BETWEEN, /* sort_value <= key <= sort_value2 */
    LARDER_SORT_BEGINS_WITH
};

/** What to query. Zero it, then set. */
struct larder_query_spec {
    const char *index; /* NULL: the table */
    struct larder_value partition;
    enum larder_sort_op sort_op;
    struct larder_value sort_value, sort_value2;
    int is_descending;
    uint32_t limit;                      /* most items in this page; 0: no bound */
    uint32_t bytes_max;                  /* page ends once it holds this much; 0: 1 MiB, as DynamoDB's */
    const struct larder_item *start_key; /* continue after this key; NULL starts afresh */
};

/**
 * Reads the items of one partition of the table or of an index, in sort-key order, a page at a time.
 *
 * Copies live items into the page until the range ends, limit or bytes_max is reached. An index's projection is
 * applied. Items of equal sort key come in an order that is fixed for each item (by hash of its primary key).
 *
 * @return LARDER_OK    The range is finished; the page may be empty.
 *         LARDER_MORE  Stopped early; continue with start_key = larder_page_resume(page).
 *         LARDER_E_INVAL (partition or sort value of the wrong type or size, BEGINS_WITH on a number; a start key that has not the key
 * attributes of table and index, or has others, or is outside of what is asked for), LARDER_E_NO_INDEX, LARDER_E_NO_TABLE,
 * LARDER_E_CORRUPT, LARDER_E_DESTROYED, LARDER_E_NO_MEMORY.
 *
 * Consistency  Each item is whole and is under the index key that it has, and none is twice in a page. A page is a snapshot of its range:
 *              all of it was there at one moment, and nothing else. It is read again until it is, so also pages of 1 MiB are
 *              snapshots beside a thousand writes a second to the same partition. If writers change the partition faster than the
 *              page can be read, up to 32 times, or 3 if each saw over a dozen changes, the page is right item by item only: one
 *              that moved meanwhile may be missing. larder_page_is_snapshot() then says 0; ask again, or for a shorter page.
 *              Several pages are not one snapshot.
 * Locks        None, and no store to the segment.
 * Cost         O(log n) to the first item, then one step and one item miss (overlapped) per item.
 */
LARDER_API int larder_query(struct larder_table *t, const struct larder_query_spec *spec, struct larder_page *page);

struct larder_scan_spec {
    uint32_t segment, segment_count;     /* this worker of so many (parallel scan); 0, 0: the whole table */
    uint32_t limit, bytes_max;           /* as in larder_query_spec */
    const struct larder_item *start_key; /* continue after this key */
};

/**
 * Reads all items of a table in hash order, a page at a time. An item that is there during the whole scan is returned
 * exactly once, however the table grows meanwhile. A page is no snapshot: items come one after the other. The start key has the key
 * attributes of the table, and no other. @return as larder_query().
 */
LARDER_API int larder_scan(struct larder_table *t, const struct larder_scan_spec *spec, struct larder_page *page);

/* ---- Writing ------------------------------------------------------------------------------------------------------
 */

/**
 * Stores an item, replacing the one with the same key.
 *
 * When this returns LARDER_OK every process sees the item through the table and all its indexes, and no death undoes
 * it.
 *
 * @param item     [in] From a builder or a page; borrowed for the call.
 * @param replaced [out] NULL, or a page that receives the item that was replaced (empty if there was none or it had
 *                       expired). Not the page that holds `item`, nor one of another attachment than t's.
 * @return LARDER_OK, LARDER_E_INVAL (a key attribute is missing, empty, too long or of the wrong type, for the table or
 * an index; item over 400 KB), LARDER_E_FULL, LARDER_E_BUSY, LARDER_E_READ_ONLY, LARDER_E_NO_TABLE, LARDER_E_DESTROYED,
 * LARDER_E_NO_SLOT, LARDER_E_CORRUPT, LARDER_E_NO_MEMORY.
 *
 * Full         A write that finds no room makes some: it removes items that have expired by the handle's clock, wherever they are, and
 *              gives back memory of dropped tables, and tries again. It needs no expirer for that and waits for none. It removes
 *              a bounded number, which takes a tenth of a second at most; where nothing has expired LARDER_E_FULL comes at once.
 *              The same holds for every call that needs memory.
 * Locks        The item's stripe, and inside it one list or timer at a time. A holder that died is recovered by whoever waits
 *              for it; one that is alive and stopped costs busy_timeout_ms, then LARDER_E_BUSY.
 * Killed here  Before the one store that publishes: as if never called. After it: as if returned. Readers see nothing else, and
 *              the next who needs the stripe tidies up.
 * Cost         One block, one copy, and per index whose key changed a leaf of some dozens of entries built anew.
 */
LARDER_API int larder_put(struct larder_table *t, const struct larder_item *item, struct larder_page *replaced);

/**
 * Stores an item only if what is stored under its key is still the very version that the caller has read: for whatever is read,
 * changed and written back, such as locks, and "create it if it is not there". Of several writers who read the same
 * version one gets LARDER_OK, and the others LARDER_CHANGED.
 *
 * What memcached calls "cas" (protocol.txt, "Storage commands"; "gets" is larder_get() here), and DynamoDB conditional writes
 * (developer guide, "DynamoDB condition expression CLI example": "Conditional put"; "Optimistic locking with version number"). Its
 * condition attribute_not_exists(PK) is expected == NULL. Here the version need not be an attribute: each item has one.
 *
 * @param item     [in] As larder_put()'s.
 * @param expected [in] A whole item with item's key, in a page that larder_get(), larder_get_many(), larder_query() or larder_scan()
 *                      of this table filled, or this function, larder_put() or larder_delete(). Not one that an index's projection
 *                      cut, nor a builder's. NULL: only if there is no item, or an expired one, which is replaced. An expected
 *                      item that has expired since it was read is no longer there.
 * @param found    [out] NULL, or a page: on LARDER_OK it receives the replaced item as larder_put()'s does, on LARDER_CHANGED the
 *                       item that is there now, to try again with, or nothing if there is none. It may be the page that holds
 *                       `expected`, which is gone then; not the one that holds `item`. On a failure it is left as it was.
 * @return LARDER_OK, LARDER_CHANGED: nothing was changed; LARDER_E_INVAL also if `expected` has another key, or no version (see
 *         above). All else as larder_put().
 *
 * Versions     Whatever writes an item gives it a new version, also with the same attributes: a put of the same item, larder_index_add()
 *              and a change of the TTL attribute while they work through the table, larder_repair(). So LARDER_CHANGED may come where
 *              no attribute differs: try again, which ends as soon as no other write comes between. A version is never used again: not
 *              after a delete, nor in another table, nor if a table is dropped and made anew. (larder_repair() of a
 *              segment that lost its counts may begin them anew: read again after it.)
 * Locks, Killed here, Cost   As larder_put(). The comparison is made under the stripe's lock; LARDER_CHANGED takes no block.
 *
 *     for (r = larder_get(table, &key, page); r >= 0;) {                 // the highest bid; created if missing
 *         const struct larder_item *old = larder_page_item(page, 0), *item;
 *         int64_t highest = 0;
 *         larder_builder_reset(b);
 *         if (old && larder_item_get(old, "bid", &value) == LARDER_OK && larder_value_int64(&value, &highest) == LARDER_OK &&
 *             highest >= bid)
 *             break;
 *         if (old)
 *             larder_builder_add_all(b, old, (const char *[]){"bid"}, 1);
 *         else
 *             larder_builder_add(b, "id", &key.partition);
 *         larder_builder_add_int(b, "bid", bid);
 *         if ((r = larder_builder_finish(b, &item)) == LARDER_OK &&
 *             (r = larder_put_if(table, item, old, page)) != LARDER_CHANGED)
 *             break;
 *     }
 */
LARDER_API int larder_put_if(struct larder_table *t, const struct larder_item *item, const struct larder_item *expected,
                             struct larder_page *found);

/**
 * Adds to a number of an item, in one write: counters, rate limits, stock. Of all who add at the same time each counts.
 *
 * DynamoDB's UpdateItem with "ADD name :by" (developer guide, "Update expressions": "ADD"), Redis' HINCRBY, memcached's "incr". As with ADD,
 * an item that is not there, or has expired, is made of its key and this attribute, and a missing attribute counts as 0. All other
 * attributes stay, the item's expiry too. Several numbers in one step, or decisions between: larder_put_if().
 *
 * @param key   [in] Of the item.
 * @param name  [in] The attribute, 0-terminated; no key of the table. It may be a key of an index: the item moves there.
 * @param by    [in] What to add; negative to take away. 0 writes the item, too.
 * @param value [out] NULL, or the number afterwards. Set on LARDER_OK only.
 * @return LARDER_OK; LARDER_E_INVAL: key or name is NULL, the key is none of the table, the attribute is part of it, or is there and is no
 *         integer of 64 bits, or the sum is none (for others of DynamoDB's 38 digits: larder_put_if()). All else as larder_put(): so an
 *         item that an index left out for a key of the wrong type may be refused.
 *
 * Locks, Killed here   As larder_put(). A number that is there is read and written under one lock of the item's stripe. Where more has to be
 *              made (item, attribute, expiry), it is read and put by larder_put_if(), again if another write came between.
 * Cost         As larder_put() of an item that is ready. Neither builder nor page are needed.
 */
LARDER_API int larder_increment(struct larder_table *t, const struct larder_key *key, const char *name, int64_t by,
                                int64_t *value);

/** Deletes by key. LARDER_NOT_FOUND if it was absent or expired. Works in a full segment. Otherwise as larder_put(). */
LARDER_API int larder_delete(struct larder_table *t, const struct larder_key *key, struct larder_page *deleted);

/* ---- Expiry -------------------------------------------------------------------------------------------------------
 */

/**
 * Starts a thread that gives expired items' memory back, repairs what dead processes left and empties dropped tables.
 * Any number of processes may carry it; one at a time works. When it dies another takes over at once, and when it
 * stands still (SIGSTOP, a debugger) another stands in for it after a second. Stopped by larder_close(). LARDER_OK if
 * already running.
 */
LARDER_API int larder_expirer_start(struct larder *db);
LARDER_API void larder_expirer_stop(struct larder *db);

/**
 * Does the expirer's work now, in this thread, beside expirers that are at work or stand still: recovers what dead
 * processes left, empties dropped tables, and removes what has expired by the handle's clock. With items_max 0 all of
 * it; else at most about items_max items, and a piece of what dropped tables have.
 * @param removed [out] NULL or the number of items removed.
 * @return LARDER_OK done; LARDER_MORE some is left: call again; LARDER_E_BUSY what could be done is done, and the rest is
 *         locked by a live process that stands still (*removed is not set); LARDER_E_READ_ONLY, LARDER_E_DESTROYED,
 *         LARDER_E_NO_SLOT, LARDER_E_CORRUPT.
 */
LARDER_API int larder_expire(struct larder *db, uint64_t items_max, uint64_t *removed);

/* ---- Looking inside -----------------------------------------------------------------------------------------------
 */

struct larder_counters { /* since create; kept per slot and summed, so that writers share no line */
    uint64_t puts, deletes, expired, lock_waits, recoveries, undone, finished;
};

struct larder_segment_stats {
    uint64_t size_bytes, claimed_bytes, /* claimed from the kernel so far */
        free_bytes,                     /* of claimed: in free spans and free blocks */
        used_bytes;                     /* in blocks handed out, rounding included */
    uint64_t private_bytes;             /* this handle's private memory */
    uint32_t table_count, slots_used, slots_max, stripe_count;
    uint8_t uuid[16];
    uint32_t format_version;
    struct larder_counters counters;
};
LARDER_API int larder_segment_stats(struct larder *db, struct larder_segment_stats *out);

struct larder_class_stats {
    uint32_t block_bytes; /* 0: runs of whole spans */
    uint64_t spans, blocks_used, blocks_free;
};
/** Size classes of the allocator. @param count [out] number written, at most capacity. */
LARDER_API int larder_class_stats(struct larder *db, struct larder_class_stats *out, uint32_t capacity,
                                  uint32_t *count);

struct larder_index_stats {
    const char *name; /* "" for table order */
    uint64_t entries, partitions, bytes;
};
struct larder_table_stats {
    uint64_t item_count; /* expired ones whose memory is not back yet included */
    uint64_t item_bytes; /* blocks of items */
    uint64_t bucket_bytes;
    uint64_t wheel_entries;
    uint32_t index_count;
    struct larder_index_stats indexes[LARDER_INDEXES_MAX + 1];
};
/** Walks the table; for people, not for hot paths. */
LARDER_API int larder_table_stats(struct larder_table *t, struct larder_table_stats *out);

struct larder_slot_stats {
    uint32_t slot;
    int32_t pid;               /* in its own PID namespace */
    int is_alive, is_expirer;  /* a user that may only read cannot tell the dead: all are alive to it */
    uint64_t started_s;        /* epoch seconds of the attach */
    uint32_t lock_count;       /* locks held just now */
    uint64_t lock_held_ns;     /* by the oldest of them */
    const char *lock_kinds[8]; /* constant strings such as "stripe" */
    struct larder_counters counters;
};
/** Writer slots in use. @param count [out] number written, at most capacity. */
LARDER_API int larder_slot_stats(struct larder *db, struct larder_slot_stats *out, uint32_t capacity, uint32_t *count);

struct larder_check_report {
    uint64_t items, index_entries, blocks, errors, leaked_blocks, stale_entries, dead_slots;
    char first_error[256]; /* "" if errors is 0 */
    uint64_t
        unjudged;    /* what changed whenever it was looked at: neither right nor wrong. Usual on a read-only attachment
                                * beside writers, else 0 */
    uint64_t passes; /* walks: 1, and one for each time that what was doubtful was looked at again */
    uint64_t longest_pause_ns; /* longest hold of a lock: so long a writer may have waited */
};

/** What larder_check_with() may be given. Zero it, then set what you need. */
struct larder_check_options {
    void (*note)(void *arg, const char *line); /* NULL, or called with a line of text for each error, in the end */
    int (*progress)(void *arg, uint64_t done,
                    uint64_t total); /* NULL, or called often: so much of the work is done. Nonzero ends it */
    void *arg;                       /* of both. They are called outside of locks, by this thread */
};

/**
 * Walks everything and verifies every invariant: keys and hashes, counts, order of every list, entry against item both
 * ways, timers, blocks reachable exactly once. Dead slots are recovered first. The segment may be in use: no error is reported
 * that is only a write under way, and no error that stays is missed.
 *
 * @param options [in]  Borrowed for the call; NULL: neither notes nor progress.
 * @param report  [out] Written unless the result is LARDER_E_INVAL or LARDER_E_DESTROYED.
 * @return LARDER_OK clean; LARDER_E_CORRUPT with report->errors > 0; LARDER_MORE: options->progress ended it, and report says what
 *         was seen until then; LARDER_E_BUSY: a process that stands still holds a lock, larder_error() names it; LARDER_E_NO_SLOT,
 *         LARDER_E_NO_MEMORY, LARDER_E_DESTROYED, LARDER_E_OS, LARDER_E_INVAL.
 *
 * Locks        One stripe, list, timer shard or heap bin at a time, for about a millisecond, however large it is; then those who waited
 *              for it come first. Nobody waits for the whole.
 * Read-only    On a read-only attachment nothing is locked or recovered. What looks wrong is looked at again, and is an error only if it
 *              stays the same. Beside writers some of it cannot be judged: report->unjudged. Leaks are then among that.
 * Killed here  Nothing but locks is left, which the next who needs them takes over.
 * Cost         About a second for a million items with two lists each, and linear in them; what writers change meanwhile is looked at
 *              twice. Private memory: a 64th of what is in use, half a byte an item, 32 bytes a timer. Stack: 12 KB.
 */
LARDER_API int larder_check_with(struct larder *db, const struct larder_check_options *options,
                                 struct larder_check_report *report);

/** larder_check_with() with a note alone. */
LARDER_API int larder_check(struct larder *db, void (*note)(void *arg, const char *line), void *arg,
                            struct larder_check_report *report);

struct larder_repair_report {
    uint64_t errors_found; /* by the check before; 0: the segment was clean, and nothing was changed */
    uint64_t errors_left;  /* by the check after */
    uint64_t tables_kept, tables_lost;
    uint64_t items_kept, items_lost; /* those of a table that was lost are counted as far as it can still be told */
    uint64_t items_mended;           /* kept, with index slots, an expiry, version or key sequence made anew */
    uint64_t index_entries, timers;  /* made anew */
    uint64_t freed_bytes;            /* less memory in use than before */
    uint64_t slots_cleared, locks_cleared;
};
/**
 * Makes a damaged segment whole again, in place: keeps every item that is still whole, and makes everything else anew from
 * the items: lists of all indexes, timers, the heap, locks, and writer slots without an owner. What cannot be kept is dropped
 * and named. A clean segment stays as it is, and in any other every item that is whole. What takes an item's place is read
 * back before it is stored.
 *
 * An item is whole if its slot in the hash table refers to an image that makes sense in every byte and has the hash of its own
 * key. There is no checksum over attributes: bytes of a value that were changed into others are not noticed. Images that no
 * slot refers to are not looked for: memory that was given back is full of old versions and deleted items that look the same.
 *
 * @param db     [in]  Attached read-write; with LARDER_REPAIR it may be a segment whose repair was cut off.
 * @param note   [in]  NULL, or called with lines of text, outside locks: "found: ..." for what larder_check() says is wrong, then
 *                     "lost: ..." for each item and table that is dropped (table, key if it can be read, why), "mended: ...".
 * @param report [out] Written whatever the result is, unless it is LARDER_E_INVAL or LARDER_E_READ_ONLY.
 * @return LARDER_OK        The segment is clean now, as larder_check() says; if a process stands still with a lock already, as far
 *                          as it could look.
 *         LARDER_E_BUSY      A live process is in the middle of a change, or its slot looks like it, or another process repairs or
 *                          removes the segment; or stripes of a table were lost and others are attached. larder_error() names
 *                          whom to end. Nothing was changed.
 *         LARDER_E_CORRUPT It cannot be repaired (larder_error() says why), nothing was changed; or with errors_left: it is better
 *                          than before, and not clean.
 *         LARDER_E_FULL      The kernel has no memory to give that lists need. Nothing is dropped for that; the segment is marked as below.
 *         LARDER_E_NO_MEMORY, LARDER_E_OS. The same, if it had begun.
 *         LARDER_E_READ_ONLY, LARDER_E_DESTROYED, LARDER_E_NO_SLOT, LARDER_E_INVAL.
 *
 * Meanwhile    Writers wait at a gate, or get LARDER_E_BUSY, and so does every call that begins meanwhile.
 *              A read that was under way notices that its table changed. Nobody can attach.
 * Killed here  The segment is marked: it cannot be attached without LARDER_REPAIR, and calls on it give LARDER_E_CORRUPT. Repairing it
 *              again finds the same items.
 * Full         The lists are made anew before items are dropped for want of room: expired items first, then some of the table.
 * Cost         A look at everything, three times, and an insertion per item and index. Private memory: 8 bytes an item, some 70 more
 *              and 8 per index while lists are made, and a hundredth of the segment. Stack: 48 KB. The clock is db's (larder_set_clock()).
 */
LARDER_API int larder_repair(struct larder *db, void (*note)(void *arg, const char *line), void *arg,
                             struct larder_repair_report *report);

#ifdef __cplusplus
}
#endif
#endif
