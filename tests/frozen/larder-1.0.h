/* larder.h - Larder: a DynamoDB-shaped cache in shared memory. The only header that is installed.
 *
 * Processes of one host attach to one segment and work on the same tables by function calls.
 *
 * Contents
 *   Results        larder_error, larder_errno, larder_result_name, larder_version,
 *                  larder_version_number
 *   Limits         LARDER_..._MAX
 *   Segment        larder_open, larder_close, larder_memfd, larder_destroy, larder_set_clock
 *   Tables         larder_table_create, _open, _close, _describe, _list, _drop;
 *                  larder_table_def_free, larder_table_def_is_current; larder_index_add,
 *                  larder_index_drop, larder_ttl_set, larder_removal_set,
 *                  larder_eviction_set, larder_settings_set
 *   Items          larder_str, larder_num, larder_bin; larder_item_get, _getn, _count, _size,
 *                  _copy, _free; larder_iter_item, _value, _next; larder_value_number, _int64
 *   Builder        larder_builder_new, _new_values, _free, _reset, _finish; _add, _add_s,
 *                  _add_sn, _add_n, _add_int, _add_b, _add_bool, _add_null, _add_member, _add_all;
 *                  _begin, _end, _name
 *   Expressions    larder_prepare, larder_expr_free
 *   Reading        larder_page_new, _free, _count, _item, _resume, _scanned, _matched,
 *                  _is_snapshot; larder_get, larder_get_many, larder_batch_get, larder_query,
 *                  larder_scan
 *   Writing        larder_put, larder_put_if, larder_increment, larder_increment_n, larder_delete,
 *                  larder_write, larder_transact, larder_transact_get, larder_batch_write
 *   Expiry         larder_expirer_start, larder_expirer_stop, larder_expire
 *   Looking inside larder_segment_stats, larder_table_stats, larder_index_stats,
 *                  larder_class_stats, larder_slot_stats, larder_check, larder_repair
 *
 * Objects
 *   struct larder          an attachment to a segment: one per process and segment
 *   struct larder_table    a table of that segment, looked up once by name; lives as long as its
 *                          attachment
 *   struct larder_item     one item, immutable bytes: what a builder makes, a page holds and a copy
 *                          keeps
 *   struct larder_builder  makes items
 *   struct larder_page     where reads put their items; reused from call to call
 *   struct larder_expr     an expression that was prepared: a condition, an update
 *
 * Names. A function is named for the object that it works on: larder_page_count() works on a page.
 * Functions without an object's name, such as larder_get(), work on a table. larder_begin and
 * larder_commit are free.
 *
 * Results. Every function that can fail returns an int. 0 is done. A positive value is an outcome
 * to branch on. A negative value is a failure: larder_error() of the same thread says which value
 * was wrong and what is allowed. A call that fails has changed nothing, unless its comment says
 * otherwise. Each comment lists every result that its function can give.
 *
 * Outputs are written only when the result is >= 0. Two kinds of call go further when they fail: a
 * read (larder_get() to larder_scan()) empties the page it was given, and an add is remembered by
 * its builder.
 *
 * NULL where an object is needed is LARDER_E_INVAL, and larder_error() names function and argument.
 * Functions that return no int then do nothing, or return 0 or NULL. NULL is allowed where a
 * comment says so.
 *
 * Count. `count` always says how many there are. For an array that is given, it is the number of
 * its elements. An array to fill has room for `capacity` elements, and *count becomes the number
 * that exist; if they are more than `capacity`, the first `capacity` are written. So capacity 0,
 * with a NULL array, asks for the number alone.
 *
 * Threads. Any number of threads may use an attachment and its tables at the same time. A builder,
 * page, iterator or copy is used by one thread at a time. After fork() the child may use all of
 * them, too.
 *
 * Ownership. Arguments are borrowed for the call. Pages, builders and copies take private memory of
 * their attachment, and end with their own _free() or with larder_close(). Objects of another
 * attachment may be given unless a comment says otherwise.
 *
 * Consistency. A put or delete changes the item and all its index entries in one step, for every
 * process at once. Reads take no lock, store nothing in the segment and wait for nothing.
 *
 * Killed. Any process may die by SIGKILL at any instruction inside any of these functions.
 * Acknowledged writes stay. An unacknowledged write is there as a whole or not at all. The next
 * process that needs what the dead one held recovers it.
 *
 * Stopped. A process that stands still (SIGSTOP, a debugger) holds up no reader. It holds up only
 * writers that need what it holds: they get LARDER_E_BUSY after options.busy_timeout_ms, and
 * larder_error() names it. When it wakes it goes on as if it had never stopped.
 *
 * Trust. Processes that attach read-write are trusted; file modes decide which may. Others, readers
 * included, cannot stop them. A segment of another user is attached to read-write only on request
 * (LARDER_ANY_OWNER). ARCHITECTURE.md has a table: "Who is trusted with what".
 *
 * Damage. A damaged segment gives an error, or an answer with the key that was asked for and in
 * order; never a crash or an endless wait. Keys are compared where the item keeps them for that,
 * not where attributes are read. There are no checksums: an attribute, one of the key too, may come
 * back with another name, type or value, or be missing, and a damaged reference may hide an item.
 * larder_check() finds all of this but one name or value that became another valid one and is no
 * key of the table or of an index that has the item, nor its expiry. larder_repair() mends. While
 * it works, every call gives LARDER_E_BUSY.
 *
 * Growth. A program that was built against this header works with later 1.x libraries. Structures
 * that the caller allocates keep their size: new members take the place of `reserved` ones. Zero
 * them (an initialiser with named members does): a reserved member that is given must be 0, else
 * LARDER_E_INVAL. The library writes 0 to reserved members. larder_value, larder_key,
 * larder_key_def and larder_member never change.
 *
 * Stack. A call takes at most 16 KiB of its thread's stack (gcc, release): larder_put(),
 * larder_delete() and larder_query() of a projecting index 13, larder_increment() 11,
 * larder_builder_add_all() 9, others less. Recovering what a dead process left takes more, and so
 * do larder_check(), larder_repair() and larder_index_add().
 *
 * Signals. They may come at any time. Handlers must call nothing of this header.
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
#define LARDER_VERSION_NUMBER 1000 /* 1000000 * major + 1000 * minor + patch; fits #if */

#if defined(__GNUC__)
#define LARDER_API __attribute__((visibility("default")))
#else
#define LARDER_API
#endif

/* ---- Results --------------------------------------------------------------------------------- */

/* Done. */
#define LARDER_OK 0
/* Outcomes: the call did what it is for. */
#define LARDER_NOT_FOUND 1 /* no such item or attribute, or the end of a walk */
#define LARDER_MORE 2      /* there is more: continue (larder_page_resume()) or call again */
#define LARDER_CHANGED 3   /* larder_put_if(), larder_settings_set(): another version is stored */
#define LARDER_DAMAGED 4   /* larder_check(), larder_repair(): there are errors; see the report */
#define LARDER_REFUSED 5   /* larder_write(), larder_transact(): a condition is not true; nothing was changed */
/* Failures. */
#define LARDER_E_INVAL (-1)      /* an argument is not allowed */
#define LARDER_E_FULL (-2)       /* segment, filesystem or kernel have no memory for it */
#define LARDER_E_BUSY (-3)       /* a live process held it for busy_timeout_ms, or repairs */
#define LARDER_E_NO_TABLE (-4)   /* no table of that name, or it was dropped */
#define LARDER_E_NO_INDEX (-5)   /* no index of that name, or it is being filled */
#define LARDER_E_EXISTS (-6)     /* the table, index or segment exists already */
#define LARDER_E_NO_SEGMENT (-7) /* no segment of that name or path */
#define LARDER_E_FORMAT (-8)     /* no segment, other version, never finished, no lock file */
#define LARDER_E_READ_ONLY (-9)  /* the attachment is read-only */
#define LARDER_E_DESTROYED (-10) /* segment destroyed, or its file removed, while attached */
#define LARDER_E_CORRUPT (-11)   /* the segment's bytes break an invariant; see larder_check() */
#define LARDER_E_OS (-12)        /* a system call failed; larder_errno() says why */
#define LARDER_E_NO_MEMORY (-13) /* this process is out of private memory */
#define LARDER_E_ACCESS (-14)    /* no permission on the segment, or it belongs to another user */
#define LARDER_E_RETAINED (-15)  /* a table's removal policy is Retain; LARDER_FORCE */
#define LARDER_E_NO_SLOT (-16)   /* no writer slot for busy_timeout_ms: larder_open(), "Slots" */

/**
 * The text of this thread's last failure: which value was wrong, and what is allowed.
 * @return A string of the library, valid until this thread's next failing call. Never NULL; ""
 *         before any failure.
 */
LARDER_API const char *larder_error(void);

/**
 * The system's errno of this thread's last failure. Set with every LARDER_E_OS, and where a system
 * call led to LARDER_E_FULL or LARDER_E_ACCESS.
 * @return An errno such as EMFILE; 0 if the last failure did not come from a system call, or before
 *         any failure.
 */
LARDER_API int larder_errno(void);

/** The name of a result, such as "LARDER_E_FULL". A constant string, never NULL. */
LARDER_API const char *larder_result_name(int result);

/** LARDER_VERSION of the library that is loaded. The macro is the header's. A constant string. */
LARDER_API const char *larder_version(void);

/** LARDER_VERSION_NUMBER of the library that is loaded. */
LARDER_API uint32_t larder_version_number(void);

/* ---- Limits (DynamoDB developer guide, "Quotas and limits") ---------------------------------- */

#define LARDER_ITEM_BYTES_MAX (400 * 1024) /* names and values, as DynamoDB counts them */
/* Of a value. Of an index's key of several attributes: of them all, with a byte between two; before
 * the last a byte of value 0 or 1 counts twice. */
#define LARDER_PARTITION_KEY_BYTES_MAX 2048
#define LARDER_SORT_KEY_BYTES_MAX 1024
/* Of a global index's partition key, and of its sort key. Items of an index with a key of several
 * attributes have at most 65,280 attributes. */
#define LARDER_KEY_ATTRIBUTES_MAX 4
#define LARDER_NUMBER_DIGITS_MAX 38
#define LARDER_NUMBER_TEXT_MAX 192 /* bytes of the longest text of a number, final 0 included */
#define LARDER_NESTING_MAX 32      /* an attribute is the first level: 31 M and L in each other */
#define LARDER_GLOBAL_INDEXES_MAX 20
#define LARDER_LOCAL_INDEXES_MAX 5
#define LARDER_INDEXES_MAX 25
#define LARDER_NAME_BYTES_MAX 255       /* tables, indexes (3 at least) and key attributes */
#define LARDER_ATTRIBUTE_NAME_MAX 65535 /* bytes; names of attributes that are no key */
/* An expression's values with their names (developer guide, "Limits for expression parameters").
 * What a value takes besides, mostly 3 bytes, counts too. */
#define LARDER_VALUES_BYTES_MAX (2 << 20)
#define LARDER_PROJECTED_NAMES_MAX 100 /* non-key attributes over all indexes of a table */
#define LARDER_TRANSACT_ACTIONS_MAX 100
#define LARDER_TOKEN_BYTES_MAX 36
#define LARDER_TRANSACT_BYTES_MAX (4 << 20) /* of all items of a transaction */
#define LARDER_BATCH_GET_MAX 100            /* keys of one larder_batch_get(), of all tables */
#define LARDER_BATCH_GET_BYTES_MAX (16u << 20)
#define LARDER_BATCH_WRITE_MAX 25             /* puts and deletes of one larder_batch_write() */
#define LARDER_TABLES_MAX 256                 /* tables of one segment */
#define LARDER_SETTINGS_BYTES_MAX (96 * 1024) /* of a table: larder_settings_set() */
#define LARDER_SEGMENT_BYTES_MIN (4u << 20)
#define LARDER_SLOTS_MIN 2 /* writer slots of one segment: "Slots" of larder_open() */
#define LARDER_SLOTS_MAX 8192
#define LARDER_SLOT_BYTES 384 /* of the segment, for each of them */

/* ---- Segment --------------------------------------------------------------------------------- */

struct larder;

#define LARDER_CREATE 1u    /* create the segment if it is missing, else attach */
#define LARDER_EXCLUSIVE 2u /* with CREATE: LARDER_E_EXISTS unless this call makes it */
#define LARDER_READ_ONLY 4u /* map PROT_READ, take no slot; writes give LARDER_E_READ_ONLY */
#define LARDER_MEMFD 8u     /* the segment is options.memfd; with CREATE and -1 a new one */
#define LARDER_REPAIR 16u   /* attach where a repair was cut off; only for larder_repair() */
/* A hint that never fails: huge pages, for fewer TLB misses in large segments. Each process that
 * attaches gives it for itself; those that put should. See "Huge pages" of larder_open(). */
#define LARDER_HUGE_PAGES 32u
#define LARDER_ANY_OWNER 64u /* also where it belongs to another user: larder_open(), "Owners" */
#define LARDER_FORCE 1u      /* of larder_destroy() alone, beside LARDER_ANY_OWNER */

/* For options.busy_timeout_ms: LARDER_E_BUSY instead of waiting. See "No wait" of larder_open(). */
#define LARDER_NO_WAIT UINT32_MAX

/** How to open. Zero it, then set what you need; zero means the default given. */
struct larder_options {
    /* A name (POSIX shared memory, no '/') or a path (with a folder: "./NAME" or "/tmp/NAME"). A
     * leading '/' and no other, as shm_open() takes it, is LARDER_E_INVAL. Default "larder". */
    const char *segment;
    /* LARDER_CREATE, ... */
    uint32_t flags;
    /* Permissions of a new segment, whatever the umask. Default 0600, which must be part of it. No
     * class may write without the right to read. */
    uint32_t mode;
    /* Most bytes of a new segment, claimed as it fills. Default 1 GiB; rounded up to 64 KiB. */
    uint64_t size_bytes;
    /* Of each table of a new segment: a power of 2, 2..65536. The default follows the size. */
    uint32_t stripe_count;
    /* Longest wait for a lock that a live process holds, or for a writer slot. Default 2000.
     * LARDER_NO_WAIT: no wait. */
    uint32_t busy_timeout_ms;
    /* With LARDER_MEMFD: an inherited or passed descriptor, borrowed. -1 with CREATE: a new one. */
    int memfd;
    /* Writer slots of a new segment: 2..LARDER_SLOTS_MAX. Default 1024; below 64 MiB 16 a MiB, at
     * least 64. */
    uint32_t slot_count;
    uint64_t reserved[8]; /* 0 */
};

/**
 * Attaches to a segment, creating it when asked.
 *
 * Of two creators at once, one creates and the other attaches. A segment that a dead creator left
 * half made is taken over. With LARDER_EXCLUSIVE only a file that this call itself makes becomes
 * the segment: an empty or half-made file that was there is LARDER_E_EXISTS. (Opening without it
 * takes such a file over; larder_destroy() by force removes it.)
 *
 * @param options [in]  NULL means all defaults: attach read-write to "larder".
 * @param out     [out] The attachment. End it with larder_close().
 * @return LARDER_OK.
 *         LARDER_E_INVAL       A size, count, mode, flag, name or reserved member.
 *         LARDER_E_NO_SEGMENT  The segment, or its directory, does not exist.
 *         LARDER_E_EXISTS      LARDER_EXCLUSIVE: the file exists.
 *         LARDER_E_FORMAT      Foreign, truncated, other version, never finished, lock file
 *                              missing.
 *         LARDER_E_ACCESS      No permission, or it belongs to another user.
 *         LARDER_E_BUSY        Another process is still creating, removing or repairing it.
 *         LARDER_E_CORRUPT     A repair was cut off (LARDER_REPAIR), or the segment's state is
 *                              damaged.
 *         LARDER_E_FULL        No room for the first bytes.
 *         LARDER_E_OS, LARDER_E_NO_MEMORY.
 *
 * No wait      With LARDER_NO_WAIT a call that finds its item's lock, or every writer slot, taken
 *              gives LARDER_E_BUSY or LARDER_E_NO_SLOT at once. It still recovers what a dead
 *              process left. Short locks inside the call are waited for, 10 ms at most each.
 *              larder_open() itself waits 100 ms at most for a process that is creating the
 *              segment.
 * Owners       A file belongs to another user if its owner is not the effective user of this
 *              process. Root is no exception. Opening such a file read-write is LARDER_E_ACCESS,
 *              because any user may have put it there; larder_error() names the owner. With
 *              LARDER_ANY_OWNER a finished segment is attached as far as its mode allows: so
 *              processes of several users can share one, and root can inspect one. An empty or
 *              half-made file of another user is never made a segment. Read-only needs no flag:
 *              modes like 0644 are there for readers with fewer rights. A reader trusts the owner
 *              not to lie, and not to shorten the file (SIGBUS). A memfd has no name that others
 *              could take: a process that accepts a descriptor trusts the sender.
 * Lock file    A segment with a name or a path has an empty file beside it,
 *              ".larder-ID-INODE.lock". Only processes that may write to the segment can open it.
 *              Its directory must allow its owner to make files, and all processes must see both
 *              files in one directory: mount the directory into a container, not the file. The
 *              segment may be renamed within its directory. Moved out of it, or without its lock
 *              file, it is LARDER_E_FORMAT for writers. A copy gets a lock file of its own when its
 *              owner first opens it for writing. After chmod, chown or chgrp of the segment, its
 *              lock file follows when owner or root next open it for writing. Access lists
 *              (setfacl) are not followed. A memfd has no lock file: a process that has any
 *              descriptor of it, even one for reading, can hold up its writers by a lock (fcntl).
 * Removal      larder_destroy() is the way to remove a segment. If its file is removed by hand, or
 *              another file is renamed over it, calls of attached processes give LARDER_E_DESTROYED
 *              within a second, and the lock file goes too. If no process was attached, the empty
 *              lock file stays.
 * Slots        A call that writes needs a writer slot for as long as it takes. Reads need none. A
 *              segment has options.slot_count of them, LARDER_SLOT_BYTES each: 1,024 are 384 KiB.
 *              That bounds the calls that write at one moment, not the threads or processes
 *              attached. A call that finds no free slot waits for one up to busy_timeout_ms, then
 *              gives LARDER_E_NO_SLOT (LARDER_E_BUSY if a slot is just being recovered, taken or
 *              left). Waiting calls recover the slots of dead owners. Taking one costs some system
 *              calls (10 us; 60 with 1,024 taken, 220 with 4,096), so an attachment keeps up to
 *              eight for its next calls. It keeps none while another process waits, and none of the
 *              last quarter of the segment's slots: so idle processes hold at most three quarters,
 *              however many they are. A process that stands still in the middle of a call keeps the
 *              slot of that call. All its slots are freed when a process ends, in whatever way.
 *              larder_open() takes a first slot, if one is free. Taking a slot opens the lock file
 *              again through /proc. After a process changes its user (setuid), the new user needs
 *              permission on the file, or the process goes on with a slot that it has. It keeps one
 *              for good if it writes, or opens, before the change, while less than three quarters
 *              are taken and no process waits; its threads then take turns. The file must lie on a
 *              filesystem of this host: NFS and the like may take a lock from a live process.
 * Forks        A child of fork() may use the attachment, with its own slots. A child made without
 *              fork handlers (vfork, raw clone) must exec before it calls anything here.
 * Threads      A thread that is cancelled (deferred, the default) ends after its call. A thread
 *              that leaves a call by pthread_exit() or longjmp() in a signal handler keeps its
 *              locks as long as its process lives. A signal handler must not fork and continue in
 *              the child.
 * Memory       A put claims memory from the filesystem before it touches it: if none is left it
 *              gives LARDER_E_FULL. At the memory limit of a control group the kernel instead kills
 *              a process of the group, a death like any other. Choose size_bytes, or the tmpfs'
 *              size=, so that the limit is not met. Shortening the file of a segment ends the
 *              processes that use it by SIGBUS, as with any mapped file. A memfd is sealed against
 *              that.
 * Huge pages   LARDER_HUGE_PAGES asks for transparent ones (madvise). The kernel gives them to a
 *              memfd if /sys/kernel/mm/transparent_hugepage/shmem_enabled is "advise" (or
 *              "within_size", "always"), and to a name or a path if the tmpfs, /dev/shm for names,
 *              is mounted with huge=advise or the like; Linux 5.14. Memory is then claimed by 2 MiB
 *              at a time, and a put that claims waits for them to be zeroed. A path on a hugetlbfs
 *              mount needs no flag.
 * Descriptors  An attachment keeps two, of a memfd one. A thread's first slot, and repairing what a
 *              dead process left, need one free descriptor for a moment; without one the call gives
 *              LARDER_E_OS.
 * Killed here  The next creator makes a half-made segment again.
 */
LARDER_API int larder_open(const struct larder_options *options, struct larder **out);

/**
 * Detaches: gives back the slots and every byte of private memory. Builders, pages, copies and
 * tables of db end with it. No other thread may be inside a call with db: it would lose the memory
 * it works on, and crash this process (others recover). A library that was loaded with dlopen()
 * stays loaded after dlclose(); handles need not be closed before.
 * @param db NULL is allowed.
 */
LARDER_API void larder_close(struct larder *db);

/** The descriptor of a LARDER_MEMFD segment, to pass on; owned by db. Else, and for NULL, -1. */
LARDER_API int larder_memfd(const struct larder *db);

/**
 * Removes a segment by name or path. Attached processes get LARDER_E_DESTROYED from their next
 * call.
 * @param segment [in] Name or path as in larder_options; NULL means "larder".
 * @param flags   0, or LARDER_FORCE: also if a table's removal policy is Retain, its bytes are
 *                damaged or half made, or its lock file is missing. LARDER_ANY_OWNER: also if it
 *                belongs to another user, as far as the directory allows it.
 * @return LARDER_OK.
 *         LARDER_E_INVAL       The name, or a flag.
 *         LARDER_E_NO_SEGMENT, LARDER_E_RETAINED.
 *         LARDER_E_FORMAT      Not a Larder segment. Without LARDER_FORCE also: half made, or no
 *                              lock file.
 *         LARDER_E_CORRUPT     Damaged, and without LARDER_FORCE.
 *         LARDER_E_ACCESS      No permission, or it belongs to another user.
 *         LARDER_E_BUSY        Another process has been creating or removing it for two seconds.
 *         LARDER_E_OS          Also: the name is a mount of the file (mount --bind).
 *         LARDER_E_FULL (of the kernel's memory), LARDER_E_NO_MEMORY.
 *         After a failure the segment is as it was. There is one exception, and larder_error() says
 *         so: the system refuses to remove a name that looked removable. Then the segment is
 *         destroyed and its file is left.
 */
LARDER_API int larder_destroy(const char *segment, uint32_t flags);

/**
 * The clock that decides expiry, for tests. Each process sets its own. It may jump: what is visible
 * follows the reader's clock at once, forward and back. What is removed for good follows the clock
 * of the process that removes it: an expirer's, or that of a write that finds no room. Waits and
 * time limits do not follow it.
 * @param now [in] Gives epoch seconds. Called outside every lock, with arg, from any thread that
 *                 uses db and from the expirer. NULL: the system's clock again. Each different pair
 *                 of now and arg takes 32 bytes until larder_close().
 * @param arg [in] For now; NULL is allowed. The library only passes it on.
 * @return LARDER_OK, LARDER_E_INVAL (db is NULL), LARDER_E_NO_MEMORY (the clock stays what it was).
 */
LARDER_API int larder_set_clock(struct larder *db, int64_t (*now)(void *arg), void *arg);

/* ---- Tables ---------------------------------------------------------------------------------- */

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
enum larder_eviction { LARDER_EVICTION_NONE, LARDER_EVICTION_SIEVE };

struct larder_key_def {
    const char *name;      /* attribute name, 1..255 bytes; NULL for "no sort key" */
    enum larder_type type; /* LARDER_S, LARDER_N or LARDER_B */
};

/** An index's shape. Zero it, then set. */
struct larder_index_def {
    const char *name; /* 3..255 of a-z A-Z 0-9 _ - . */
    int is_local;     /* nonzero: local index; its partition key must be the table's */
    struct larder_key_def partition, sort;
    enum larder_projection projection;
    const char *const *included; /* LARDER_PROJECT_INCLUDE: names of attributes that are no key */
    uint32_t included_count;
    /* Global indexes: the attributes that follow `partition` and `sort`, if a key has several. */
    const struct larder_key_def *partition_more, *sort_more;
    uint32_t partition_more_count, sort_more_count; /* 0..LARDER_KEY_ATTRIBUTES_MAX - 1 */
    uint64_t reserved[5];                           /* 0 */
};

/** A table's shape, to create it, or returned by larder_table_describe(). Zero it, then set. */
struct larder_table_def {
    const char *name; /* 3..255 of a-z A-Z 0-9 _ - . but none that begins with "larder." */
    struct larder_key_def partition, sort;
    const struct larder_index_def *indexes; /* index_count of them */
    uint32_t index_count;
    const char *ttl_attribute; /* NULL: items do not expire. Else: larder_ttl_set() */
    enum larder_removal removal;
    uint64_t eviction;    /* an enum larder_eviction: larder_eviction_set() */
    const void *settings; /* settings_bytes of them: larder_settings_set() */
    uint64_t settings_bytes;
    uint64_t reserved[5]; /* 0 */
};

struct larder_table;

/**
 * Creates an empty table. All or nothing.
 *
 * The place that it takes among LARDER_TABLES_MAX keeps 128 bytes per stripe for ever: by default
 * 1/2048 of the segment, so at most an eighth if there ever were that many tables at a time. Its
 * next table has them. If all such places are in use or being emptied, the call first empties
 * dropped tables, if that takes it milliseconds.
 *
 * @return LARDER_OK.
 *         LARDER_E_INVAL   A name, type, count, duplicate or reserved member.
 *         LARDER_E_EXISTS  There is a table of that name.
 *         LARDER_E_FULL    No memory, or there are LARDER_TABLES_MAX tables.
 *         LARDER_E_BUSY, LARDER_E_NO_SLOT, LARDER_E_READ_ONLY, LARDER_E_DESTROYED,
 *         LARDER_E_CORRUPT, LARDER_E_NO_MEMORY, LARDER_E_OS, LARDER_E_ACCESS.
 */
LARDER_API int larder_table_create(struct larder *db, const struct larder_table_def *def);

/**
 * Finds a table by name. Cheap, but meant to be called once, and the result kept.
 * @param out [out] Valid until it was closed as often as it was opened, or until larder_close().
 *                  Until then the same table gives the same pointer. If the table is dropped, calls
 *                  with it give LARDER_E_NO_TABLE.
 * @return LARDER_OK, LARDER_E_NO_TABLE, LARDER_E_INVAL (name; "larder.tokens"), LARDER_E_BUSY,
 *         LARDER_E_DESTROYED, LARDER_E_CORRUPT, LARDER_E_NO_MEMORY.
 */
LARDER_API int larder_table_open(struct larder *db, const char *name, struct larder_table **out);
/**
 * Ends one larder_table_open(). Need not be called: larder_close() ends all of them. No call with
 * the last one may be under way. NULL is allowed.
 */
LARDER_API void larder_table_close(struct larder_table *t);

/**
 * A table's current definition, with added indexes and changes of the TTL attribute.
 * @param out [out] Valid until it was given back as often as it was given, or until larder_close(),
 *                  whatever the table's definition is by then, and after larder_table_close().
 *                  The same definition is kept once: describing a table often takes no more
 *                  memory. Each different one takes some 6 KB, with its settings.
 * @return LARDER_OK, LARDER_E_INVAL, LARDER_E_NO_TABLE, LARDER_E_BUSY, LARDER_E_DESTROYED,
 *         LARDER_E_CORRUPT, LARDER_E_NO_MEMORY.
 */
LARDER_API int larder_table_describe(struct larder_table *t, const struct larder_table_def **out);
/**
 * Gives back what one larder_table_describe() gave. Need not be called: larder_close() does it. A
 * program that meets many definitions, such as a server, keeps no more of them than it holds.
 * NULL is allowed.
 */
LARDER_API void larder_table_def_free(const struct larder_table_def *def);
/**
 * Whether a definition, which larder_table_describe() gave, is still the table's. Two loads.
 * @return 1; 0 if the table was changed or dropped since the definition was last given; 0 with
 *         NULL.
 */
LARDER_API int larder_table_def_is_current(const struct larder_table_def *def);

/**
 * Names of all tables, sorted.
 * @param names [out] Array of `capacity` pointers; NULL with capacity 0. The strings are owned by
 *                    db, valid until larder_close(); each name is kept once.
 * @param count [out] Number of tables.
 * @return LARDER_OK, LARDER_E_INVAL, LARDER_E_BUSY, LARDER_E_DESTROYED, LARDER_E_CORRUPT,
 *         LARDER_E_NO_MEMORY.
 */
LARDER_API int larder_table_list(struct larder *db, const char **names, uint32_t capacity, uint32_t *count);

/**
 * Drops a table. When this returns it is gone for every process, and its name is free. A thread of
 * this process then gives its memory back, in small pieces that nothing waits for; it ends when
 * nothing is left, at the latest in larder_close(). Any rest is given back by expirers, by
 * larder_check(), by writes that find no room, and by larder_expire(db, 0, ..), which returns when
 * all of it is back: call that to wait for the memory.
 * @return LARDER_OK.
 *         LARDER_E_NO_TABLE.
 *         LARDER_E_BUSY  A live process holds a stripe, or another definition is being changed.
 *         LARDER_E_INVAL (name), LARDER_E_NO_SLOT, LARDER_E_READ_ONLY, LARDER_E_DESTROYED,
 *         LARDER_E_CORRUPT, LARDER_E_NO_MEMORY, LARDER_E_OS, LARDER_E_ACCESS, LARDER_E_FULL (of the
 *         kernel's memory).
 * Killed here  The table is there whole, or gone for every process at once; its memory is given
 *              back as above.
 * Cost         Each stripe's lock once, whatever the table holds.
 */
LARDER_API int larder_table_drop(struct larder *db, const char *name);

/**
 * Adds a global index to a table, which may hold data and be in use. The index is filled, and then
 * appears in one step. Until then queries on it give LARDER_E_NO_INDEX. If this process dies before
 * that, the index does not appear, and its memory is given back. Items whose value for an index key
 * has the wrong type or size do not enter the index (DynamoDB developer guide, "Detecting and
 * correcting index key violations").
 * @return LARDER_OK.
 *         LARDER_E_INVAL   A name, type, count or reserved member; a local index.
 *         LARDER_E_EXISTS  The table has an index of that name.
 *         LARDER_E_FULL, LARDER_E_NO_TABLE, LARDER_E_BUSY, LARDER_E_NO_SLOT, LARDER_E_READ_ONLY,
 *         LARDER_E_DESTROYED, LARDER_E_CORRUPT, LARDER_E_NO_MEMORY, LARDER_E_OS, LARDER_E_ACCESS.
 * Locks        The catalog's, until it is filled; of the table one stripe at a time.
 */
LARDER_API int larder_index_add(struct larder_table *t, const struct larder_index_def *def);

/**
 * Drops a global index. It is gone for every process in one step; then its memory is given back. A
 * query that is under way gives LARDER_E_NO_INDEX. A table may have 255 indexes in its life, those
 * that were dropped included.
 * @return LARDER_OK.
 *         LARDER_E_NO_INDEX  No index of that name.
 *         LARDER_E_INVAL     NULL, or a local index.
 *         LARDER_E_FULL, LARDER_E_NO_TABLE, LARDER_E_BUSY, LARDER_E_NO_SLOT, LARDER_E_READ_ONLY,
 *         LARDER_E_DESTROYED, LARDER_E_CORRUPT, LARDER_E_NO_MEMORY, LARDER_E_OS, LARDER_E_ACCESS.
 * Locks        The catalog's, until its memory is back; of the table one stripe at a time.
 * Killed here  The index is there whole, or gone; the next process gives its memory back.
 */
LARDER_API int larder_index_drop(struct larder_table *t, const char *name);

/**
 * Sets the table's TTL attribute. Reads follow it from the moment this returns.
 *
 * An item expires at the second in the attribute: an N, epoch seconds; a fraction does not count.
 * It never expires if the attribute is missing, has another type or is not above 0, or, as in
 * DynamoDB, if that second was more than five years past when the item was put. A value in
 * milliseconds lies in a far future. An expiry on or after 2106-02-07 06:28:15 UTC (second
 * 4294967295) is exact, too. From then on each search for expired items looks at all items whose
 * expiry is so late.
 *
 * @param attribute [in] Its name, 1..255 bytes. NULL: items no longer expire.
 * @return LARDER_OK, LARDER_E_INVAL (name), LARDER_E_FULL, LARDER_E_NO_TABLE, LARDER_E_BUSY,
 *         LARDER_E_NO_SLOT, LARDER_E_READ_ONLY, LARDER_E_DESTROYED, LARDER_E_CORRUPT,
 *         LARDER_E_NO_MEMORY, LARDER_E_OS, LARDER_E_ACCESS.
 */
LARDER_API int larder_ttl_set(struct larder_table *t, const char *attribute);

/**
 * Sets the removal policy of a table: with LARDER_REMOVAL_RETAIN larder_destroy() refuses without
 * LARDER_FORCE.
 * @return As larder_ttl_set().
 */
LARDER_API int larder_removal_set(struct larder_table *t, enum larder_removal removal);

/**
 * Sets whether items of a table go when memory is short.
 *
 * With LARDER_EVICTION_NONE, the default, they stay, and a call that finds no memory gives
 * LARDER_E_FULL. With LARDER_EVICTION_SIEVE a call of any table that finds no memory first removes
 * items of this one, with their index entries, each as by larder_delete(), until it fits. Items
 * that were put and not read since go first, the older before the newer (SIEVE). A read counts by
 * larder_get(), larder_get_many() and larder_query(), a write by being made again; larder_scan()
 * does not count. Reads store nothing in the segment: each process notes them in private memory
 * (1/512 of the segment's size for each such table), and its next writes to the table, or its
 * expirer thread, publish them. So a process that never writes the table and runs no expirer, and a
 * read-only attachment, are not counted.
 *
 * The first such setting of a table takes 1/512 of the segment and 8 bytes per stripe, which stay
 * with the table's place. Libraries before eviction read and write such tables, and evict nothing.
 * @param policy  An enum larder_eviction.
 * @return As larder_ttl_set(); LARDER_E_INVAL if it is no policy.
 */
LARDER_API int larder_eviction_set(struct larder_table *t, enum larder_eviction policy);

/**
 * Keeps bytes with a table, which the engine does not look into: what a program wants to know of
 * the table besides its definition. They are part of it: larder_table_create() takes them,
 * larder_table_describe() gives them back, every other change leaves them, and they go with the
 * table. Libraries before settings do not see them, and lose them when they change a definition.
 * @param expected NULL: whatever the table has. Else what larder_table_describe() gave: the bytes
 *                 are kept only if the table still has those of this definition.
 * @param settings [in]  `bytes` of them, at most LARDER_SETTINGS_BYTES_MAX; NULL with 0: none.
 * @return As larder_ttl_set().
 *         LARDER_CHANGED  The table has other settings than `expected`; nothing was changed.
 * Killed here  The table has the old settings or the new ones.
 */
LARDER_API int larder_settings_set(struct larder_table *t, const struct larder_table_def *expected,
                                   const void *settings, size_t bytes);

/* ---- Values and items ------------------------------------------------------------------------ */

/**
 * A value to give, or one that was read. An N to give is decimal text in data and bytes, with count
 * 0. An N that was read from an item has count 1 and an encoded form in data: larder_value_number()
 * turns it into text. It may be added to a builder or used in a key as it is.
 */
struct larder_value {
    enum larder_type type;
    const void *data; /* borrowed. S B: the bytes. N: text when given, encoded form when read */
    size_t bytes;     /* in data */
    int is_true;      /* BOOL */
    uint32_t count;   /* read from an item: members of an M, L, SS, NS or BS; 1 with an N; else 0 */
};

/** Shorthands: larder_str("SHOP#1"). The value points to the argument. NULL: no bytes. */
LARDER_API struct larder_value larder_str(const char *text);
LARDER_API struct larder_value larder_num(const char *text);
LARDER_API struct larder_value larder_bin(const void *data, size_t bytes);

/** An item's primary key: one value for each key attribute of the table. */
struct larder_key {
    struct larder_value partition, sort; /* sort is ignored by a table without sort key */
};

struct larder_item;

/**
 * Looks up a top-level attribute, without parsing the others.
 * @param name [in]  0-terminated.
 * @param out  [out] Points into the item and lives as long as it.
 * @return LARDER_OK, LARDER_NOT_FOUND, LARDER_E_INVAL (NULL).
 *         LARDER_E_CORRUPT  The item is damaged: a record leads outside of it.
 */
LARDER_API int larder_item_get(const struct larder_item *item, const char *name, struct larder_value *out);

/** The same for a name of name_bytes that may hold zero bytes. @return As larder_item_get(). */
LARDER_API int larder_item_getn(const struct larder_item *item, const char *name, size_t name_bytes,
                                struct larder_value *out);

/** Number of top-level attributes; 0 for NULL. */
LARDER_API uint32_t larder_item_count(const struct larder_item *item);

/**
 * Size in bytes as DynamoDB counts it (developer guide, "Item sizes and formats"): names, S and B
 * in bytes; N one byte per two digits on either side of the point, plus 1, plus 1 if negative; BOOL
 * and NULL 1; M and L 3, and 1 per member. 0 for NULL.
 */
LARDER_API size_t larder_item_size(const struct larder_item *item);

/**
 * Copies an item, so that it outlives its page or builder.
 *
 *     struct larder_item *mine;
 *     if ((r = larder_item_copy(db, larder_page_item(page, 0), &mine)) == LARDER_OK)
 *         ...                                    // the page may be used again
 *     larder_item_free(mine);
 *
 * @param db   [in]  Whose private memory the copy takes.
 * @param item [in]  From a page, a builder or a copy.
 * @param out  [out] Owned by the caller until larder_item_free(), or larder_close() of db.
 *             larder_put_if() accepts it as `expected` where it accepts `item`.
 * @return LARDER_OK, LARDER_E_INVAL (NULL), LARDER_E_NO_MEMORY.
 */
LARDER_API int larder_item_copy(struct larder *db, const struct larder_item *item, struct larder_item **out);
/** Frees a copy. Not for items of a page or builder. NULL is allowed. */
LARDER_API void larder_item_free(struct larder_item *copy);

/** A walk over the members of an item, M, L or set. Costs nothing to start. */
struct larder_iter {
    const unsigned char *at, *end; /* private, like all members */
    const struct larder_item *item;
    uint32_t left;
    enum larder_type of;
    uint64_t reserved[2];
};

/** One member. */
struct larder_member {
    const char *name; /* not 0-terminated; NULL for members of lists and sets */
    size_t name_bytes;
    struct larder_value value;
};

/** Starts a walk over an item's attributes, in the order of their names. NULL: an empty walk. */
LARDER_API void larder_iter_item(const struct larder_item *item, struct larder_iter *it);
/**
 * Starts a walk over the members of a value: of an M in the order of their names, of a set in the
 * order of their bytes (of an NS by number), of an L as they were added.
 * @param value [in] An M, L, SS, NS or BS read from an item. Any other type, and NULL, gives an
 *                   empty walk.
 */
LARDER_API void larder_iter_value(const struct larder_value *value, struct larder_iter *it);
/**
 * The next member.
 * @param out [out] Points into the item and lives as long as it.
 * @return LARDER_OK; LARDER_NOT_FOUND: that was all; LARDER_E_INVAL (NULL).
 *         LARDER_E_CORRUPT  The item is damaged here; the walk is over.
 */
LARDER_API int larder_iter_next(struct larder_iter *it, struct larder_member *out);

/**
 * Decimal text of an N, exact and in plain notation (no exponent), as DynamoDB returns it.
 * @param text [out] At least LARDER_NUMBER_TEXT_MAX bytes.
 * @return LARDER_OK, LARDER_E_INVAL (no N, or text that is no number).
 */
LARDER_API int larder_value_number(const struct larder_value *value, char *text);

/** An N as an integer. @return LARDER_OK, LARDER_E_INVAL (no N, a fraction, or does not fit). */
LARDER_API int larder_value_int64(const struct larder_value *value, int64_t *out);

/* ---- Builder --------------------------------------------------------------------------------- */

struct larder_builder;

/**
 * Makes a builder.
 * @param out [out] Owned by the caller until larder_builder_free(), or larder_close() of db.
 * @return LARDER_OK, LARDER_E_INVAL (NULL), LARDER_E_NO_MEMORY.
 */
LARDER_API int larder_builder_new(struct larder *db, struct larder_builder **out);
/**
 * The same, of an item that holds an expression's values: at most LARDER_VALUES_BYTES_MAX bytes, of
 * which no value has more than an item. What is larger than an item is refused where an item is
 * wanted.
 * @param out [out] As larder_builder_new().
 * @return LARDER_OK, LARDER_E_INVAL (NULL), LARDER_E_NO_MEMORY.
 */
LARDER_API int larder_builder_new_values(struct larder *db, struct larder_builder **out);
/** Frees a builder, and the item it made. NULL is allowed. */
LARDER_API void larder_builder_free(struct larder_builder *b);
/** Empties the builder, keeping its memory. Also clears a failure. */
LARDER_API void larder_builder_reset(struct larder_builder *b);

/**
 * Adds an attribute to the item, or a member to what larder_builder_begin() opened.
 *
 * A failure is remembered: until larder_builder_reset() later calls do nothing and give it again,
 * and so does larder_builder_finish(). So a program may check only the finish. larder_builder_end()
 * finds names and set members that were added twice; larder_builder_finish() does so for the item's
 * own attributes.
 *
 * @param name [in] 0-terminated, UTF-8, 1..LARDER_ATTRIBUTE_NAME_MAX bytes; copied. NULL inside a
 *                  list or set, and after larder_builder_name().
 * @return LARDER_OK, LARDER_E_NO_MEMORY.
 *         LARDER_E_INVAL  A name, type or number; text that is not UTF-8; an attribute twice;
 *                         nesting too deep; over LARDER_ITEM_BYTES_MAX.
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

/**
 * Opens an M, L, SS, NS or BS: later adds go into it until larder_builder_end(). M and L may be
 * nested. A set must not be empty or hold a value twice.
 * @return As larder_builder_add().
 */
LARDER_API int larder_builder_begin(struct larder_builder *b, const char *name, enum larder_type type);
/** Closes what was opened last. @return As larder_builder_add(). */
LARDER_API int larder_builder_end(struct larder_builder *b);

/**
 * Copies one member that was read from an item, with everything inside it. Set its name to NULL
 * before adding it to a list or set.
 * @return LARDER_OK, LARDER_E_INVAL, LARDER_E_NO_MEMORY, as larder_builder_add().
 *         LARDER_E_CORRUPT  The item that it was read from is damaged.
 */
LARDER_API int larder_builder_add_member(struct larder_builder *b, const struct larder_member *member);
/**
 * Copies all attributes of an item except some: to read an item, change it and put it again. Costs
 * little more than the copy.
 * @param item      [in] From a page, copy or finished builder, not from b itself.
 * @param but       [in] but_count names to leave out, 0-terminated; NULL with but_count 0. Names
 *                  that the item does not have are ignored.
 * @return As larder_builder_add_member().
 */
LARDER_API int larder_builder_add_all(struct larder_builder *b, const struct larder_item *item, const char *const *but,
                                      uint32_t but_count);
/**
 * Names the next value that is added or opened; that call's name must be NULL. For names that
 * contain zero bytes or are not 0-terminated.
 * @param bytes 1..LARDER_ATTRIBUTE_NAME_MAX.
 * @return As larder_builder_add().
 */
LARDER_API int larder_builder_name(struct larder_builder *b, const char *name, size_t bytes);

/**
 * Ends the item.
 * @param out [out] Owned by the builder, valid until its next reset, add or free.
 * @return LARDER_OK, or the first failure since the last reset: LARDER_E_INVAL (what the adds
 *         refuse; something is still open), LARDER_E_NO_MEMORY, LARDER_E_CORRUPT.
 */
LARDER_API int larder_builder_finish(struct larder_builder *b, const struct larder_item **out);

/* ---- Expressions ----------------------------------------------------------------------------- */

struct larder_expr;

/* Each is the request parameter of DynamoDB with that name. */
enum larder_expr_kind {
    LARDER_EXPR_CONDITION = 1,    /* ConditionExpression: of a write */
    LARDER_EXPR_FILTER = 2,       /* FilterExpression: of a query or scan */
    LARDER_EXPR_UPDATE = 3,       /* UpdateExpression */
    LARDER_EXPR_PROJECTION = 4,   /* ProjectionExpression */
    LARDER_EXPR_KEY_CONDITION = 5 /* KeyConditionExpression */
};

/** What a placeholder such as "#status" stands for (ExpressionAttributeNames). */
struct larder_expr_name {
    const char *placeholder; /* with its '#' */
    const char *attribute;
};

/**
 * Prepares an expression in DynamoDB's language (developer guide, "Condition and filter
 * expressions, operators, and functions", "Update expressions", "Projection expressions", "Key
 * condition expressions"): checks it as far as that needs no values, and compiles it. Prepare once,
 * use often.
 *
 * Values (":limit") are no part of it. Each use gives them as an item: its attributes are named as
 * in the expression, with the colon. Other attributes of that item are allowed. It may be larger
 * than an item: larder_builder_new_values(). An expression is used as the kind that it was prepared
 * as, and as no other.
 *
 * @param text  [in]  0-terminated, 1..4096 bytes.
 * @param names [in]  name_count names, also such as the expression does not use; NULL with 0. No
 *                    placeholder comes twice; all have at most 2 MiB.
 * @param out   [out] Immutable: any number of threads may use it at the same time. Owned by the
 *                    caller until larder_expr_free(), or larder_close() of db.
 * @return LARDER_OK, LARDER_E_NO_MEMORY.
 *         LARDER_E_INVAL  larder_error() has DynamoDB's message ("Invalid ConditionExpression:
 *                         Syntax error; token: ...").
 * Locks   None, and no look at the segment.
 */
LARDER_API int larder_prepare(struct larder *db, enum larder_expr_kind kind, const char *text,
                              const struct larder_expr_name *names, uint32_t name_count, struct larder_expr **out);
/** Frees an expression. NULL is allowed. */
LARDER_API void larder_expr_free(struct larder_expr *expr);

/* ---- Reading --------------------------------------------------------------------------------- */

struct larder_page;

/**
 * Makes a page. Its memory grows as needed and is kept from call to call.
 * @param out [out] Owned by the caller until larder_page_free(), or larder_close() of db.
 * @return LARDER_OK, LARDER_E_INVAL (NULL), LARDER_E_NO_MEMORY.
 */
LARDER_API int larder_page_new(struct larder *db, struct larder_page **out);
/** Frees a page, and the items in it. NULL is allowed. */
LARDER_API void larder_page_free(struct larder_page *page);
/** Number of items in the page, holes included; 0 for NULL. */
LARDER_API uint32_t larder_page_count(const struct larder_page *page);
/**
 * The i-th item, from 0. Valid until the page's next use; larder_item_copy() keeps it longer.
 * @return NULL if i is too large, or the item was not found: only larder_get_many() leaves such
 *         holes.
 */
LARDER_API const struct larder_item *larder_page_item(const struct larder_page *page, uint32_t i);
/**
 * After LARDER_MORE: the key to continue after (DynamoDB's LastEvaluatedKey), an item of the key
 * attributes. Valid until the page's next use, and allowed as its start key. Else NULL.
 */
LARDER_API const struct larder_item *larder_page_resume(const struct larder_page *page);
/** Number of items looked at for this page, expired ones left out (DynamoDB's ScannedCount). */
LARDER_API uint64_t larder_page_scanned(const struct larder_page *page);
/**
 * Number of those that passed the filter (DynamoDB's Count): larder_page_count(), or with
 * LARDER_SELECT_COUNT what it would be. 0 for NULL.
 */
LARDER_API uint32_t larder_page_matched(const struct larder_page *page);
/**
 * 1 if all items of the page were there at one moment: after larder_get(), and after larder_query()
 * as described there ("Consistency"). Else 0.
 */
LARDER_API int larder_page_is_snapshot(const struct larder_page *page);

/**
 * Reads one item.
 * @param page [in,out] Earlier contents are discarded. On LARDER_OK it holds the one item.
 * @return LARDER_OK.
 *         LARDER_NOT_FOUND  Absent, or expired.
 *         LARDER_E_INVAL    The key's type or size is not the table's.
 *         LARDER_E_NO_TABLE, LARDER_E_BUSY (being repaired), LARDER_E_DESTROYED, LARDER_E_CORRUPT,
 *         LARDER_E_NO_MEMORY.
 * Locks        None, and no store to the segment.
 * Cost         About two dependent cache misses, and the copy.
 */
LARDER_API int larder_get(struct larder_table *t, const struct larder_key *key, struct larder_page *page);

/**
 * Reads many items, overlapping their cache misses.
 * @param keys [in]     `count` keys, whose bytes do not lie in `page`; NULL with count 0.
 * @param page [in,out] Gets `count` places in the order of the keys, NULL where an item is missing.
 * @return As larder_get(), but LARDER_OK also when some or all are missing. Each item is whole;
 *         together they are not a snapshot.
 */
LARDER_API int larder_get_many(struct larder_table *t, const struct larder_key *keys, uint32_t count,
                               struct larder_page *page);

/** The keys of one table, for larder_batch_get(). Zero it, then set. */
struct larder_batch_get {
    struct larder_table *table;
    const struct larder_key *keys; /* `count` of them, all different */
    uint32_t count;
    uint32_t done;                        /* [out] keys that were looked up, from the first on */
    const struct larder_expr *projection; /* NULL: whole items */
    struct larder_page *page;             /* [out] `done` places, as larder_get_many()'s */
    uint64_t reserved[4];                 /* 0 */
};

/**
 * Reads items of several tables: DynamoDB's BatchGetItem. Each item is whole; together they are not
 * a snapshot.
 * @param gets  [in,out] `count` tables of one attachment, none twice; each has a page of its own.
 *              1..LARDER_BATCH_GET_MAX keys in all.
 * @return As larder_get_many().
 *         LARDER_MORE     LARDER_BATCH_GET_BYTES_MAX of items were read. Ask again for the keys
 *                         from `done` on (UnprocessedKeys).
 *         LARDER_E_INVAL  Also a key twice, too many keys or none: with DynamoDB's message.
 */
LARDER_API int larder_batch_get(struct larder_batch_get *gets, uint32_t count);

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

/* What a page gets (Select). */
enum larder_select {
    LARDER_SELECT_ITEMS = 0,
    LARDER_SELECT_COUNT = 1 /* no items: larder_page_matched() says how many there would be */
};

/**
 * What a query says of the other attributes of an index's keys, where they have several. Zero it,
 * then set. A key condition needs none of this.
 */
struct larder_query_key {
    /* values of all attributes of the partition key but the first, in their order */
    const struct larder_value *partition_more;
    /* values of the first attributes of the sort key: all equal; sort_op is about the next one */
    const struct larder_value *sort_before;
    uint32_t partition_more_count, sort_before_count;
    uint64_t reserved[4]; /* 0 */
};

/** What to query. Zero it, then set. */
struct larder_query_spec {
    const char *index; /* NULL: the table */
    struct larder_value partition;
    enum larder_sort_op sort_op;
    struct larder_value sort_value, sort_value2;
    int is_descending;
    uint32_t limit;                          /* most items in this page; 0: no bound */
    uint32_t bytes_max;                      /* size that ends a page; 0: 1 MiB, as DynamoDB's */
    const struct larder_item *start_key;     /* continue after this key; NULL: from the beginning */
    const struct larder_expr *key_condition; /* NULL, or instead of partition and sort_... */
    const struct larder_expr *filter;        /* NULL, or what items of the page must be like */
    const struct larder_expr *projection;    /* NULL, or what the page has of them */
    const struct larder_item *values;        /* of the expressions; NULL: they have none */
    enum larder_select select;
    const struct larder_query_key *more; /* NULL, or of an index with keys of several attributes */
    uint64_t reserved[2];                /* 0 */
};

/**
 * Reads the items of one partition of the table or of an index, in sort-key order, a page at a
 * time.
 *
 * In an index with keys of several attributes a partition is what has the same value in each
 * attribute of the partition key. Its order is by the first attribute of the sort key, then by the
 * second, and so on.
 *
 * Copies live items into the page until the range ends, or limit or bytes_max is reached. An
 * index's projection is applied. Items of equal sort key come in an order that is fixed for each
 * item (by hash of its primary key).
 *
 * The index is looked up by its name in the call. A caller whose values depend on the keys that the
 * index had asks larder_table_def_is_current() after the call.
 *
 * A filter comes last, as DynamoDB's: limit and bytes_max count what is read, so a page may be
 * empty, and LARDER_MORE. larder_page_scanned() is the number before the filter.
 *
 * @param page [in,out] Earlier contents are discarded; spec->start_key may be its own
 *                      larder_page_resume().
 * @return LARDER_OK         The range is finished; the page may be empty.
 *         LARDER_MORE       Stopped early; continue with start_key = larder_page_resume(page).
 *         LARDER_E_INVAL    Partition or sort value of the wrong type or size; BEGINS_WITH on a
 *                           number; a start key that lacks key attributes of table and index, has
 *                           others, or lies outside of what is asked for; a reserved member; what
 *                           the expressions demand, with DynamoDB's message.
 *         LARDER_E_NO_INDEX, LARDER_E_NO_TABLE, LARDER_E_BUSY (being repaired), LARDER_E_DESTROYED,
 *         LARDER_E_CORRUPT, LARDER_E_NO_MEMORY.
 * Consistency  Each item is whole and stands under the index key that it has; none is twice in a
 *              page. A page is a snapshot of its range: exactly these items were there at one
 *              moment. It is read again until that is so: even pages of 1 MiB are snapshots beside
 *              a thousand writes a second to the same partition. It is read up to 32 times, or 3 if
 *              each try saw over a dozen changes. If writers are faster than that, only each single
 *              item is right: an item that moved meanwhile may be missing.
 *              larder_page_is_snapshot() is then 0; ask again, or for a shorter page. Several pages
 *              are not one snapshot.
 * Locks        None, and no store to the segment.
 * Cost         O(log n) to the first item, then one step and one item miss (overlapped) per item. A
 *              filter or projection looks at the copy.
 */
LARDER_API int larder_query(struct larder_table *t, const struct larder_query_spec *spec, struct larder_page *page);

/** What to scan. Zero it, then set. */
struct larder_scan_spec {
    uint32_t segment, segment_count;               /* worker number, from 0, of so many; 0, 0: all items */
    uint32_t limit, bytes_max;                     /* as in larder_query_spec */
    const struct larder_item *start_key;           /* continue after this key; NULL: from the beginning */
    const struct larder_expr *filter, *projection; /* as in larder_query_spec */
    const struct larder_item *values;
    const char *index; /* NULL: the table */
    enum larder_select select;
    uint64_t reserved[3]; /* 0 */
};

/**
 * Reads all items of a table in hash order, a page at a time. An item that exists during the whole
 * scan is returned exactly once, however the table grows meanwhile. A page is not a snapshot: items
 * are read one after the other.
 *
 * Of an index: those items that are in it, with what it projects; limit counts them. It takes as
 * long as a scan of the table.
 *
 * @param page [in,out] As larder_query()'s. A start key has the key attributes of the table (and of
 *                      the index), and no others.
 * @return As larder_query().
 */
LARDER_API int larder_scan(struct larder_table *t, const struct larder_scan_spec *spec, struct larder_page *page);

/* ---- Writing --------------------------------------------------------------------------------- */

/**
 * Stores an item, replacing the one with the same key. When this returns LARDER_OK every process
 * sees the item through the table and all its indexes, and no death undoes it.
 *
 * @param item     [in]  From a builder, page or copy.
 * @param replaced [out] NULL, or a page that receives the item that was replaced; empty if there
 *                       was none or it had expired. It may be the page that holds `item`, which is
 *                       then overwritten; not one of another attachment than t's. On a failure it
 *                       is left as it was.
 * @return LARDER_OK.
 *         LARDER_E_INVAL  A key attribute of the table is missing; one of table or index is empty,
 *                         too long or of the wrong type; the item is over 400 KB; a page that is
 *                         not allowed.
 *         LARDER_E_FULL   The segment has no room; see "Full".
 *         LARDER_E_BUSY   A live process held what was needed, or what all items need that could
 *                         be evicted; see "Locks".
 *         LARDER_E_NO_TABLE, LARDER_E_NO_SLOT, LARDER_E_READ_ONLY, LARDER_E_DESTROYED,
 *         LARDER_E_CORRUPT, LARDER_E_NO_MEMORY, LARDER_E_OS, LARDER_E_ACCESS.
 *
 * Full         A write that finds no room makes some: it removes items that have expired by the
 *              handle's clock, wherever they are, gives back memory of dropped tables and of
 *              timers that deleted or overwritten items left, and tries again. It needs no expirer
 *              for that and waits for none. It removes a bounded number, which takes at most a
 *              tenth of a second. If nothing was found a moment ago, LARDER_E_FULL comes at once.
 *              Every call that needs memory does the same.
 * Locks        The item's stripe, and inside it one list or timer at a time. The waiting process
 *              recovers a dead holder. A holder that is alive but stopped costs busy_timeout_ms.
 * Killed here  Before the one store that publishes: as if never called. After it: as if returned.
 *              Readers see nothing else. The next process that needs the stripe cleans up.
 * Cost         One block, one copy, and per index whose key changed a new leaf of some dozens of
 *              entries.
 */
LARDER_API int larder_put(struct larder_table *t, const struct larder_item *item, struct larder_page *replaced);

/**
 * Stores an item only if the version stored under its key is still the one that the caller has
 * read: to read, change and write back, for locks, and for "create it if it does not exist". Of
 * several writers that read the same version, one gets LARDER_OK and the others LARDER_CHANGED.
 *
 * memcached calls this "cas" (protocol.txt, "Storage commands"; its "gets" is larder_get() here),
 * DynamoDB conditional writes (developer guide, "DynamoDB condition expression CLI example":
 * "Conditional put"; "Optimistic locking with version number"). DynamoDB's condition
 * attribute_not_exists(PK) is expected == NULL. The version need not be an attribute: each item has
 * one.
 *
 * @param item     [in]  As larder_put()'s.
 * @param expected [in]  A whole item with item's key, in a page that a read of this table, this
 *                       function, larder_put() or larder_delete() filled, or a copy of it. Not an
 *                       item that an index's projection cut, nor a builder's. NULL: only if there
 *                       is no item, or an expired one, which is replaced. An expected item that has
 *                       expired since it was read no longer counts.
 * @param found    [out] NULL, or a page. On LARDER_OK it receives the replaced item as
 *                       larder_put()'s does. On LARDER_CHANGED it receives the item that is there
 *                       now, to try again with, or nothing if there is none. It may be the page
 *                       that holds `expected` or `item`, which is then overwritten. On a failure it
 *                       is left as it was.
 * @return As larder_put().
 *         LARDER_CHANGED  Another version is stored, or none, or one where none was expected.
 *         LARDER_E_INVAL  Also if `expected` has another key, or no version (see above).
 *
 * Versions     Every write of an item gives it a new version, even with the same attributes: a put
 *              of the same item, larder_index_add() and a change of the TTL attribute while they
 *              work through the table, larder_repair(). So LARDER_CHANGED may come although no
 *              attribute differs: try again until no other write comes between. A version is never
 *              used again: not after a delete, nor in another table, nor if a table is dropped and
 *              made again. (larder_repair() of a segment that lost its counts may restart them:
 *              read again after it.)
 * Locks, Killed here, Cost   As larder_put(). The comparison is made under the stripe's lock;
 *              LARDER_CHANGED takes no block.
 *
 *     for (r = larder_get(table, &key, page); r >= 0;) {   // the highest bid; created if missing
 *         const struct larder_item *old = larder_page_item(page, 0), *item;
 *         int64_t highest = 0;
 *         larder_builder_reset(b);
 *         if (old && larder_item_get(old, "bid", &value) == LARDER_OK &&
 *             larder_value_int64(&value, &highest) == LARDER_OK && highest >= bid)
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
 * Adds to a number of an item, in one write: counters, rate limits, stock. Concurrent increments
 * are never lost.
 *
 * DynamoDB's UpdateItem with "ADD name :by" (developer guide, "Update expressions": "ADD"), Redis'
 * HINCRBY, memcached's "incr". The number may be any N: 1.5 and 1 are 2.5, exactly. As with ADD, an
 * item that does not exist, or has expired, is made from its key and this attribute, and a missing
 * attribute counts as 0. All other attributes stay, and so does the expiry. For several numbers in
 * one step, or a decision between read and write, use larder_put_if().
 *
 * @param key   [in]  Of the item.
 * @param name  [in]  The attribute, 0-terminated; no key of the table. It may be a key of an index:
 *                    the item moves there.
 * @param by    What to add; negative to subtract. 0 writes the item, too.
 * @param value [out] NULL, or the number afterwards. An int64_t cannot hold every number: with
 *                    `value` a sum that is no 64-bit integer is LARDER_E_INVAL, and nothing
 *                    changes. larder_increment_n() gives any sum.
 * @return As larder_put().
 *         LARDER_E_INVAL  Also if the attribute is part of the table's key, or is no number; or if
 *                         the sum is none that DynamoDB allows: it is never rounded, so more than
 *                         38 digits are an error. An item that an index left out for a key of the
 *                         wrong type may be refused.
 *
 * Locks, Killed here   As larder_put(). An existing number is read and written under one lock of
 *              the item's stripe. If more has to be made (item, attribute, expiry), the item is
 *              read and put as by larder_put_if(), again if another write came between.
 * Cost         As larder_put() of a finished item. Needs no builder and no page.
 */
LARDER_API int larder_increment(struct larder_table *t, const struct larder_key *key, const char *name, int64_t by,
                                int64_t *value);
/**
 * The same with decimals: money, weights, ratings.
 *
 *     char left[LARDER_NUMBER_TEXT_MAX];
 *     r = larder_increment_n(accounts, &key, "balance", "-19.99", left);
 *
 * @param decimal [in]  What to add: decimal text, as larder_builder_add_n() takes it.
 * @param sum     [out] NULL, or at least LARDER_NUMBER_TEXT_MAX bytes: the number afterwards, as
 *                      larder_value_number() writes it.
 * @return As larder_increment(), whatever number the sum is. LARDER_E_INVAL also if `decimal` is no
 *         number.
 */
LARDER_API int larder_increment_n(struct larder_table *t, const struct larder_key *key, const char *name,
                                  const char *decimal, char *sum);

/**
 * Deletes an item. Works in a full segment.
 * @param deleted [out] NULL, or a page that receives the item that was deleted, as larder_put()'s.
 * @return As larder_put(), but LARDER_E_FULL only if the kernel has no memory.
 *         LARDER_NOT_FOUND  Absent, or expired.
 * Locks, Killed here   As larder_put().
 */
LARDER_API int larder_delete(struct larder_table *t, const struct larder_key *key, struct larder_page *deleted);

/* ---- Conditional writes ---------------------------------------------------------------------- */

enum larder_action_kind {
    LARDER_ACTION_PUT = 1, /* PutItem */
    LARDER_ACTION_UPDATE = 2 /* UpdateItem: makes the item if there is none */,
    LARDER_ACTION_DELETE = 3 /* DeleteItem */,
    LARDER_ACTION_CHECK = 4 /* ConditionCheck: changes nothing */
};

/* Which item the page receives (ReturnValues). */
enum larder_returns {
    LARDER_RETURNS_NONE = 0,
    LARDER_RETURNS_ALL_OLD = 1, /* as it was before */
    LARDER_RETURNS_ALL_NEW = 2, /* of an update: as it is now */
    /* of an update: what its paths name, in the old or the new item; no item if that is nothing */
    LARDER_RETURNS_UPDATED_OLD = 3,
    LARDER_RETURNS_UPDATED_NEW = 4
};

/** One conditional write. Zero it, then set. */
struct larder_action {
    enum larder_action_kind kind;
    struct larder_table *table;
    const struct larder_item *item;      /* PUT: the item; else NULL */
    struct larder_key key;               /* UPDATE, DELETE, CHECK */
    const struct larder_expr *condition; /* NULL: none; CHECK needs one */
    const struct larder_expr *update;    /* UPDATE: NULL only makes an item that is missing */
    const struct larder_item *values;    /* of both expressions; NULL: they have none */
    enum larder_returns returns;
    int returns_on_refusal; /* LARDER_REFUSED: the page receives the item that is there */
    uint64_t reserved[8];   /* 0 */
};

/**
 * Writes an item if a condition on the present item is true, in one step: DynamoDB's conditional
 * PutItem, UpdateItem and DeleteItem. An item that is missing or expired has no attributes, so
 * attribute_not_exists(PK) is "only if it is new".
 *
 *     larder_prepare(db, LARDER_EXPR_UPDATE, "SET stock = stock - :n", NULL, 0, &sell); // once
 *     larder_prepare(db, LARDER_EXPR_CONDITION, "stock >= :n", NULL, 0, &enough);
 *
 *     larder_builder_add_int(b, ":n", 3);
 *     larder_builder_finish(b, &values);
 *     struct larder_action action = {.kind = LARDER_ACTION_UPDATE, .table = t, .key = key,
 *                                    .condition = enough, .update = sell, .values = values};
 *     r = larder_write(&action, NULL);
 *
 * @param action [in]  What to write.
 * @param page   [out] NULL, or a page that receives one item as action->returns says, or none. It
 *                     may be the page that holds `item` or `values`, which are then overwritten;
 *                     not one of another attachment than the table's. On a failure it is left as
 *                     it was.
 * @return As larder_put().
 *         LARDER_NOT_FOUND  DELETE: the condition is true, and there was no item.
 *         LARDER_REFUSED    The condition is not true. Nothing was changed.
 *         LARDER_E_INVAL    Also what the expressions demand of values and item, with DynamoDB's
 *                           message: a value that is missing or of the wrong type; an
 *                           update of a key attribute, of a path that the item does not have, or of
 *                           an attribute of another type; a new item over 400 KB.
 *
 * Locks, Killed here   As larder_put(). Condition and update are evaluated under the lock of the
 *              item's stripe: of all processes that update an item, each update counts. CHECK reads
 *              as larder_get() does, without a lock.
 * Cost         As larder_put(), a copy of the present item, and the evaluation.
 */
LARDER_API int larder_write(const struct larder_action *action, struct larder_page *page);

/** Actions on any tables of one attachment, all or none. Zero it, then set. */
struct larder_transaction {
    const struct larder_action *actions;
    uint32_t count;       /* 1..LARDER_TRANSACT_ACTIONS_MAX */
    const char *token;    /* NULL, or 1..LARDER_TOKEN_BYTES_MAX bytes of UTF-8, 0-terminated */
    int *is_repeated;     /* [out] NULL, or with LARDER_OK: whether it had been done before, by its token */
    uint64_t reserved[6]; /* 0 */
};

/**
 * Does all actions, or none if a condition is not true: DynamoDB's TransactWriteItems. All
 * conditions and updates see the items as they were before. For every process all items change at
 * once: if a read has given one of the new items, each read that begins later gives new items only;
 * reads wait for nothing, whether the caller goes on, stands still or is dead. Queries of indexes,
 * too.
 *
 * A token (DynamoDB: ClientRequestToken) makes it safe to send a transaction again after a failure
 * or a death: for ten minutes after it was done, by the handle's clock, a transaction with the same
 * token and contents does nothing and gives LARDER_OK, in any process. With other contents it is
 * LARDER_E_INVAL. Each takes about 150 bytes of the segment for these ten minutes, so 1,000 a
 * second take 90 MB. They are not evicted: where memory is short they push out items of tables that
 * evict, as all items do that stay. Tokens are items of a table "larder.tokens", which the first of
 * them makes. It belongs to the library: larder_table_list() does not name it, larder_table_open()
 * and larder_table_drop() refuse it.
 *
 * @param transaction [in]  No two actions have the same item. action->returns is 0. All items
 *                          together, also those that are only checked or deleted, have at most
 *                          LARDER_TRANSACT_BYTES_MAX bytes; of each the larger counts, as it was
 *                          or as it will be.
 * @param results     [out] NULL, or a result for each action. With LARDER_OK: LARDER_OK, or
 *                          LARDER_NOT_FOUND of a DELETE without an item. With LARDER_REFUSED, the
 *                          reasons: LARDER_REFUSED if its condition is not true; LARDER_E_INVAL if
 *                          its update does not suit the item (larder_error() has the text of the
 *                          first such action); else it would have been done.
 * @param page        [out] NULL, or a page of the same attachment. With LARDER_REFUSED it has a
 *                          place for each action: the present item if the action was refused and
 *                          has returns_on_refusal, else none (larder_page_item() is NULL). With
 *                          LARDER_OK it is empty. On a failure it is left as it was, or emptied.
 * @return As larder_write().
 *         LARDER_REFUSED  Nothing was changed: `results` says why.
 *         LARDER_E_INVAL  Also: count, a table of another attachment, two actions on one item, too
 *                         many bytes.
 *         LARDER_E_FULL   Also of deletes alone: a transaction needs some memory for itself.
 *
 * Locks        The stripes of all items, in one order, so transactions and single writes never wait
 *              for each other in a circle.
 * Killed here  The items are as before or as after, all of them. The next process that needs one
 *              of their stripes finishes or undoes the rest.
 * Full         As larder_put(), but room is made for all items at the same time. That takes as
 *              long as for each of them by itself, at most half a second besides what is evicted.
 * Cost         The cost of the single writes, and a block of memory taken and given back.
 */
LARDER_API int larder_transact(struct larder *db, const struct larder_transaction *transaction, int *results,
                               struct larder_page *page);

/** A key of larder_transact_get(). Zero it, then set. */
struct larder_transact_key {
    struct larder_table *table;
    struct larder_key key;
    const struct larder_expr *projection; /* NULL, or what the page has of the item */
    uint64_t reserved[3];                 /* 0 */
};

/**
 * Gets items of any tables of one attachment, all as of one moment: DynamoDB's TransactGetItems.
 * @param keys  [in]  1..LARDER_TRANSACT_ACTIONS_MAX different ones.
 * @param page  [out] A place for each key, in their order; larder_page_item() is NULL for a missing
 *                    or expired item.
 * @return LARDER_OK.
 *         LARDER_E_BUSY   Writers changed the items faster than they could be read together, some
 *                         thousand times in a row. Nobody holds anything: try again.
 *         LARDER_E_INVAL  Also: count, equal keys, a table of another attachment, more than
 *                         LARDER_TRANSACT_BYTES_MAX bytes of items.
 *         Else as larder_get().
 *
 * Locks        None: also a read-only attachment may call it, beside processes that stand still.
 * Cost         Gets of all items, and some dozen instructions an item.
 */
LARDER_API int larder_transact_get(struct larder *db, const struct larder_transact_key *keys, uint32_t count,
                                   struct larder_page *page);

/**
 * Puts and deletes items of several tables: DynamoDB's BatchWriteItem. Each write is atomic by
 * itself, the batch is not. Everything is checked before the first write.
 * @param actions [in]  1..LARDER_BATCH_WRITE_MAX of kind PUT and DELETE, each with a table (of one
 *                      attachment) and an item or a key, and nothing else. No item twice.
 * @param done    [out] How many were written, from the first on.
 * @return As larder_put(). A delete of an item that is not there is done.
 *         LARDER_MORE     The write after the first *done failed: larder_error() says why. Call
 *                         again for those from *done on (UnprocessedItems).
 *         LARDER_E_INVAL  Also an item twice, or too many: with DynamoDB's message.
 *         After a failure nothing was written.
 * Locks, Killed here   As larder_put(), for each write.
 */
LARDER_API int larder_batch_write(const struct larder_action *actions, uint32_t count, uint32_t *done);

/* ---- Expiry ---------------------------------------------------------------------------------- */

/**
 * Starts a thread, the expirer, that gives the memory of expired items back, recovers what dead
 * processes left, and empties dropped tables. Any number of processes may have one; one at a time
 * works. If it dies, another takes over at once. If it stands still (SIGSTOP, a debugger), another
 * replaces it after a second. A child of fork() has none until it starts its own. If tables evict,
 * each publishes what its process has read, and the one that works keeps some memory free
 * (larder_eviction_set()).
 * @return LARDER_OK, also if it runs already.
 *         LARDER_E_INVAL (NULL), LARDER_E_READ_ONLY, LARDER_E_BUSY (being repaired),
 *         LARDER_E_DESTROYED, LARDER_E_CORRUPT, LARDER_E_NO_MEMORY, LARDER_E_OS (no thread could be
 *         made).
 */
LARDER_API int larder_expirer_start(struct larder *db);
/** Stops the expirer and waits for its end, as larder_close() does. Allowed with NULL, or if none
 * runs. */
LARDER_API void larder_expirer_stop(struct larder *db);

/**
 * Does the expirer's work now, in this thread, beside expirers that work or stand still: recovers
 * what dead processes left, empties dropped tables, and removes items that have expired by the
 * handle's clock. If tables evict, it publishes what this process has read, and evicts while less
 * than a sixty-fourth of the segment is free. With items_max 0 it also drops timers that no item
 * needs any more: some in each second, all if the segment is so full that timers cannot be moved.
 * @param items_max Removes at most about so many items, and a piece of dropped tables. 0: all.
 * @param removed   [out] NULL, or the number of items removed.
 * @return LARDER_OK    Done.
 *         LARDER_MORE  Work is left: call again.
 *         LARDER_E_BUSY  The rest is locked by a live process that stands still; with
 *                        LARDER_NO_WAIT, or that is at work on it.
 *         LARDER_E_INVAL (NULL), LARDER_E_READ_ONLY, LARDER_E_DESTROYED, LARDER_E_NO_SLOT,
 *         LARDER_E_CORRUPT, LARDER_E_FULL, LARDER_E_NO_MEMORY, LARDER_E_OS, LARDER_E_ACCESS.
 */
LARDER_API int larder_expire(struct larder *db, uint64_t items_max, uint64_t *removed);

/* ---- Looking inside -------------------------------------------------------------------------- */

/** Numbers since the segment was created. Kept per slot and summed. */
struct larder_counters {
    uint64_t puts, deletes, expired; /* items */
    uint64_t lock_waits;             /* locks that were not free at once */
    uint64_t recoveries;             /* dead slots */
    uint64_t undone, finished;       /* changes of dead processes */
    uint64_t evicted;                /* items: larder_eviction_set(); of a segment, 0 for a slot */
    uint64_t reserved[8];
};

struct larder_segment_stats {
    uint64_t size_bytes;    /* the most it can take */
    uint64_t claimed_bytes; /* from the kernel so far */
    uint64_t free_bytes;    /* of claimed_bytes: in free spans and free blocks */
    uint64_t used_bytes;    /* of claimed_bytes: in blocks handed out, rounding included */
    uint64_t private_bytes; /* of this process, for this handle */
    uint32_t table_count, slots_used, slots_max, stripe_count;
    uint8_t uuid[16];
    uint32_t format_version;
    struct larder_counters counters;
    uint64_t moved_bytes; /* of blocks that were moved to make room, since the segment was made */
    uint64_t full_count;  /* calls that got LARDER_E_FULL */
    uint64_t full_bytes;  /* the block that the last of them lacked */
    uint64_t reserved[5];
};
/**
 * A segment's numbers.
 * @return LARDER_OK, LARDER_E_INVAL, LARDER_E_BUSY, LARDER_E_DESTROYED, LARDER_E_CORRUPT.
 */
LARDER_API int larder_segment_stats(struct larder *db, struct larder_segment_stats *out);

struct larder_table_stats {
    uint64_t item_count;             /* with expired ones whose memory is not back yet */
    uint64_t item_bytes;             /* blocks of items */
    uint64_t bucket_bytes;           /* hash tables */
    uint64_t wheel_entries;          /* timers */
    uint32_t index_count;            /* table order included */
    uint64_t evicted, evicted_bytes; /* since the table's place was first used; blocks of items */
    /* of the items evicted last: about how many writes the table had since they were first put */
    uint64_t evicted_age;
    uint64_t reserved[5];
};
/**
 * A table's numbers. Walks the table: not for hot paths.
 * @return LARDER_OK, LARDER_E_INVAL, LARDER_E_NO_TABLE, LARDER_E_BUSY, LARDER_E_DESTROYED,
 *         LARDER_E_CORRUPT, LARDER_E_NO_MEMORY.
 */
LARDER_API int larder_table_stats(struct larder_table *t, struct larder_table_stats *out);

struct larder_index_stats {
    char name[LARDER_NAME_BYTES_MAX + 1]; /* "" for table order */
    uint64_t entries, partitions, bytes;
    uint64_t reserved[8];
};
/**
 * Numbers of a table's indexes: table order first, then the indexes as larder_table_describe()
 * lists them. Walks all of them: not for hot paths.
 * @param out   [out] Array of `capacity` elements; NULL with capacity 0.
 * @param count [out] Number of indexes, table order included: at most LARDER_INDEXES_MAX + 1.
 * @return LARDER_OK, LARDER_E_INVAL, LARDER_E_NO_TABLE, LARDER_E_BUSY, LARDER_E_DESTROYED,
 *         LARDER_E_CORRUPT, LARDER_E_NO_MEMORY.
 */
LARDER_API int larder_index_stats(struct larder_table *t, struct larder_index_stats *out, uint32_t capacity,
                                  uint32_t *count);

struct larder_class_stats {
    uint32_t block_bytes; /* 0: runs of whole spans */
    uint64_t spans, blocks_used, blocks_free;
    uint64_t reserved[4];
};
/**
 * Numbers of the allocator's size classes.
 * @param out   [out] Array of `capacity` elements; NULL with capacity 0.
 * @param count [out] Number of classes.
 * @return LARDER_OK, LARDER_E_INVAL, LARDER_E_BUSY, LARDER_E_DESTROYED, LARDER_E_CORRUPT.
 */
LARDER_API int larder_class_stats(struct larder *db, struct larder_class_stats *out, uint32_t capacity,
                                  uint32_t *count);

struct larder_slot_stats {
    uint32_t slot;
    int32_t pid;  /* in its own PID namespace */
    int is_alive; /* a user that may only read cannot tell: always 1 */
    int is_expirer;
    uint64_t started_s;        /* epoch seconds when the slot was taken */
    uint32_t lock_count;       /* locks held just now */
    int is_stopped;            /* SIGSTOP or a debugger holds it, as far as /proc tells */
    uint64_t lock_held_ns;     /* by the oldest of them */
    const char *lock_kinds[8]; /* lock_count constant strings such as "stripe" */
    struct larder_counters counters;
    uint64_t reserved[8];
};
/**
 * The writer slots in use.
 * @param out   [out] Array of `capacity` elements; NULL with capacity 0.
 * @param count [out] Number of slots in use.
 * @return LARDER_OK, LARDER_E_INVAL, LARDER_E_BUSY, LARDER_E_DESTROYED, LARDER_E_CORRUPT.
 */
LARDER_API int larder_slot_stats(struct larder *db, struct larder_slot_stats *out, uint32_t capacity, uint32_t *count);

struct larder_check_report {
    uint64_t items, index_entries, blocks; /* that were checked */
    uint64_t errors, leaked_blocks, stale_entries;
    uint64_t dead_slots;   /* that were recovered first */
    char first_error[256]; /* "" if errors is 0 */
    /* What changed at every look, and so is neither right nor wrong. Usual on a read-only
     * attachment beside writers, else 0. */
    uint64_t unjudged;
    /* Walks: the first, and one for each second look at what was doubtful. */
    uint64_t passes;
    /* Longest hold of a lock: how long a writer may have waited. Includes time in which this thread
     * had no processor. */
    uint64_t longest_pause_ns;
    uint64_t reserved[8];
};

/** Zero it, then set. Functions are called outside of locks, by the thread of the call. */
struct larder_check_options {
    /* NULL, or called at the end with a line of text for each error. */
    void (*note)(void *arg, const char *line);
    /* NULL, or called often: `done` of `total` work is done. A nonzero result ends the check. */
    int (*progress)(void *arg, uint64_t done, uint64_t total);
    void *arg; /* of both */
    uint64_t reserved[8];
};

/**
 * Walks everything and verifies every invariant: keys and hashes, counts, order of every list,
 * entry against item both ways, timers, blocks reachable exactly once. Dead slots are recovered
 * first. The segment may be in use: a write under way is not reported as an error, and no lasting
 * error is missed.
 *
 * @param options [in]  NULL: neither notes nor progress.
 * @return LARDER_OK       Clean.
 *         LARDER_DAMAGED  report->errors is not 0.
 *         LARDER_MORE     options->progress ended it; report has what was seen until then.
 *         LARDER_E_BUSY   A process that stands still holds a lock; larder_error() names it.
 *         LARDER_E_CORRUPT  The segment is too damaged to be checked, or a repair was cut off.
 *         LARDER_E_INVAL, LARDER_E_NO_SLOT, LARDER_E_DESTROYED, LARDER_E_NO_MEMORY, LARDER_E_OS,
 *         LARDER_E_ACCESS, LARDER_E_FULL (of the kernel's memory).
 *
 * Locks        One stripe, list, timer shard or heap bin at a time, for about a millisecond,
 *              however large it is; then waiting calls come first. Nothing waits for the whole
 *              check.
 * Read-only    On a read-only attachment nothing is locked or recovered. What looks wrong is read
 *              again, and is an error only if it stays the same. Beside writers some of it, leaks
 *              among it, cannot be judged: report->unjudged.
 * Killed here  Only locks are left, which the next processes that need them take over.
 * Cost         About a second for a million items with two lists each, and linear in them; what
 *              writers change meanwhile is looked at twice. Private memory: a 64th of what is in
 *              use, half a byte an item, 32 bytes a timer. Stack: 12 KB.
 */
LARDER_API int larder_check(struct larder *db, const struct larder_check_options *options,
                            struct larder_check_report *report);

struct larder_repair_report {
    uint64_t errors_found;             /* by the check before; 0: clean, and nothing was changed */
    uint64_t errors_left;              /* by the check after */
    uint64_t tables_kept, tables_lost; /* lost: the definition cannot be read */
    /* Lost: at least so many. Every item named in a note counts. So does what a stripe lacks, by
     * its count and by the entries of lists: exactly, if one of the two is whole. Of a lost table
     * or its stripes, counts or lists count as far as they can be true. A note names a loss even if
     * 0 are counted. */
    uint64_t items_kept, items_lost;
    /* Kept, with a corrected stamp, hash, index slot, expiry or padding. */
    uint64_t items_mended;
    uint64_t index_entries, timers; /* made again */
    uint64_t freed_bytes;           /* by which the memory in use shrank */
    uint64_t slots_cleared, locks_cleared;
    uint64_t reserved[8];
};

/** Zero it, then set. */
struct larder_repair_options {
    /* NULL, or called with lines of text, outside of locks: "found: ..." for what larder_check()
     * says is wrong, then "lost: ..." for each item and table that is dropped (table, key if it can
     * be read, why) and each stripe that lacks items besides (how many, why), "mended: ...". */
    void (*note)(void *arg, const char *line);
    void *arg; /* of note */
    uint64_t reserved[8];
};

/**
 * Makes a damaged segment whole again, in place. Keeps every item that is still whole, and builds
 * everything else again from the items: lists of all indexes, timers, the heap, locks, and writer
 * slots without an owner. What cannot be kept is dropped and named. A clean segment stays as it is;
 * in any other, every whole item does. A mended item is read back before it is stored.
 *
 * An item is whole if its slot in the hash table refers to an image whose attributes are valid and
 * that has the hash of its own key. What follows from the attributes is mended if it is wrong: the
 * hash, index slots, expiry, padding. An item with a name or text that is no longer UTF-8 is
 * dropped, although reads still return its bytes. There is no checksum over attributes: a name or
 * value that became another valid one stays, and indexes and expiry follow it. Images without a
 * slot are not searched for: freed memory is full of old versions and deleted items that look the
 * same.
 *
 * @param db      [in] Attached read-write; with LARDER_REPAIR it may be a segment whose repair was
 *                     cut off.
 * @param options [in] NULL: no notes.
 * @return LARDER_OK       The segment is now clean, as larder_check() says. If a process stands
 *                         still with a lock: as far as could be checked.
 *         LARDER_DAMAGED  It is better than before, but not clean: report->errors_left.
 *         LARDER_E_BUSY   A live process is in the middle of a change, or its slot looks like it;
 *                         or another process repairs or removes the segment; or stripes of a table
 *                         were lost and others are attached. larder_error() names the process to
 *                         end. Nothing was changed. It waits up to four times busy_timeout_ms; for
 *                         a process that stands still once, as far as /proc tells.
 *         LARDER_E_CORRUPT  It cannot be repaired, and larder_error() says why. Nothing was
 *                           changed.
 *         LARDER_E_FULL   The kernel has no memory for the lists. Nothing is dropped for that. If
 *                         the repair had begun, the segment is marked as below.
 *         LARDER_E_NO_MEMORY, LARDER_E_OS, LARDER_E_ACCESS: as LARDER_E_FULL. LARDER_E_READ_ONLY,
 *         LARDER_E_DESTROYED, LARDER_E_NO_SLOT, LARDER_E_INVAL: nothing was changed.
 *
 * Meanwhile    Writers wait at a gate, or get LARDER_E_BUSY. Every call that begins meanwhile gets
 *              LARDER_E_BUSY, reads too. A read under way notices that its table changed. No
 *              process can attach.
 * Killed here  The segment is marked: it cannot be attached without LARDER_REPAIR, and calls on it
 *              give LARDER_E_CORRUPT. Another repair finds the same items.
 * Full         If the lists need more room, items are dropped: expired items first, then some of
 *              the table.
 * Cost         Three walks over everything, and an insertion per item and index. Private memory: 8
 *              bytes an item, some 70 more and 8 per index while lists are made, and a hundredth of
 *              the segment. Stack: 48 KB. The clock is db's (larder_set_clock()).
 */
LARDER_API int larder_repair(struct larder *db, const struct larder_repair_options *options,
                             struct larder_repair_report *report);

#ifdef __cplusplus
}
#endif
#endif
