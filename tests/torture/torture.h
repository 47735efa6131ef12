/* tests/torture/torture.h - what supervisor, workers and auditor of one torture run share.
 *
 * Job      larder_torture is one program in three parts. The supervisor (supervisor.c) starts the
 *          others by fork and exec, kills, stops and resumes them by process id, and never touches
 *          the segment, so nothing in the engine can delay it. Workers (worker.c) do random
 *          operations and judge every answer. The auditor (audit.c) lives for one audit, while the
 *          workers pause or are dead.
 * Picture  memfd, inherited by descriptor:
 *          struct run { orders, heartbeats, the first failure, struct shared (shared.h) }
 * Seed     The supervisor's choices follow from the seed, and a worker's from the seed, its number
 *          and how often it was started. What happens between processes is timing, and does not
 *          repeat: a failure leaves the segment and the history behind.
 * Ends     A part that finds a wrong answer writes it down and exits with EXIT_WRONG. Verdicts are
 *          told apart: wrong (an answer or an audit), crash (a part died by itself), stuck (an
 *          operation or an end took too long).
 */
#ifndef LARDER_TESTS_TORTURE_TORTURE_H
#define LARDER_TESTS_TORTURE_TORTURE_H

#include "larder.h"
#include "tests/support/content.h"
#include "tests/support/rng.h"
#include "tests/support/slow.h"
#include "tests/torture/shared.h"

/* Exit codes of the program, and of its parts. */
#define EXIT_CLEAN 0
#define EXIT_WRONG 1
#define EXIT_USAGE 2
#define EXIT_CRASH 3
#define EXIT_STUCK 4

#define WORKERS_MAX 30u
#define WORKER_THREADS 2u
#define AUDITOR (WORKERS_MAX * WORKER_THREADS) /* as an author */
/* this worker is never killed or stopped: it shows that no process waits */
#define SURVIVOR 0u

/* Of patient workers: no process holds a lock for that long, even if the machine stands still. */
#define BUSY_MS (60000u * SLOW_FACTOR)
#define IMPATIENT_MS 20u

/* ---- Orders to a worker: what it does to itself at one of its next stores -------------------- */
#define ORDER_NONE 0u
#define ORDER_DIE 1u
#define ORDER_STOP 2u
#define ORDER(kind, k) ((uint64_t)(kind) << 32 | (k))

struct worker_shm {
    _Atomic uint64_t order;
    _Atomic uint64_t busy_since_ms[WORKER_THREADS]; /* the operation under way began; 0: none */
    _Atomic uint32_t is_paused[WORKER_THREADS];
    _Atomic uint64_t slowest_ms; /* write */
    _Atomic uint64_t operations;
};

struct run {
    char segment[64];
    uint64_t seed, segment_bytes;
    uint32_t worker_count, hog_keys, has_cache;
    _Atomic uint32_t is_over, must_pause;
    _Atomic uint32_t has_failed;
    char failure[1024];
    _Atomic uint64_t empty_bytes; /* in use in an empty segment, as the first audit measured it */
    struct worker_shm worker[WORKERS_MAX];
    struct shared shared;
};

/* ---- The tables ------------------------------------------------------------------------------ */
enum { TABLE_PAIR, TABLE_SINGLE, TABLE_CHURN, TABLE_HOG, TABLES };

struct torture_table {
    const char *name;
    enum content_keys keys;
    uint32_t key_count; /* 0: run.hog_keys */
    uint32_t fill_min, fill_max;
    uint32_t indexes;   /* bit per content_indexes[] it is created with */
    int added_index;    /* added to it later on; -1: none */
    int is_dropped;     /* and made again, now and then */
    int has_ttl;        /* at first */
    int is_ttl_changed; /* now and then */
};
extern const struct torture_table torture_tables[TABLES];
_Static_assert(TABLES == SHARED_TABLES, "each table has its registers");

#define BANK_TABLES 2 /* bank.c */

/* ---- A client: one thread that calls --------------------------------------------------------- */
struct client {
    struct run *run;
    struct shared *h;
    struct larder *db;
    struct {
        struct larder_table *t; /* NULL: not open */
        uint64_t since;         /* tick at which it was opened */
    } table[TABLES];
    struct larder_table *cache;                  /* NULL: not open */
    struct {                                     /* bank.c */
        struct larder_table *table[BANK_TABLES]; /* NULL: not open */
        struct larder_expr *is_covered, *add;
        const struct larder_item *take, *give;
    } bank;
    struct larder_builder *builder;
    struct larder_page *page;
    struct rng rng;
    uint32_t author;
    int is_read_only, is_impatient;
    _Atomic uint64_t *busy_since_ms;
    uint64_t slowest_ms;
};

/* Attaches. Ends the process if that fails. */
void client_open(struct client *c, struct run *run, uint32_t author, uint64_t seed, uint32_t flags, uint32_t busy_ms);
/* The same for another thread of the process. */
void client_join(struct client *c, const struct client *first, uint32_t author, uint64_t seed);
/* Writes the text down as the run's failure, unless there is one, and ends the process. */
void client_wrong(struct client *c, const char *what) __attribute__((noreturn));
void client_failed(struct client *c, const char *call, int result) __attribute__((noreturn));

struct content_source client_source(const struct client *c, uint32_t table);
uint32_t client_keys(const struct client *c, uint32_t table);

/* ---- Operations (operations.c): each judges its answer --------------------------------------- */
enum want { WANT_ANY, WANT_ITEM, WANT_NOTHING };
void do_write(struct client *c, uint32_t table, uint32_t key, enum want want);
void do_create(struct client *c, uint32_t table);
void do_drop(struct client *c, uint32_t table);
void do_index_add(struct client *c, uint32_t table);
void do_ttl_set(struct client *c, uint32_t table, int is_on);
void do_expire(struct client *c, uint64_t items_max);
void do_check(struct client *c);
void do_statistics(struct client *c);

/* ---- The table that evicts, if run->has_cache (cache.c) -------------------------------------- */
void cache_create(struct client *c);
void cache_drop(struct client *c);
/* Some puts and reads. */
void do_cache(struct client *c);

/* ---- Transactions (bank.c) ------------------------------------------------------------------- */
void bank_create(struct client *c);
void bank_drop(struct client *c);
/* A transfer, or a look at all accounts. */
void do_bank(struct client *c);
void bank_look(struct client *c);

/* ---- Reads (reads.c) ------------------------------------------------------------------------- */
void do_get(struct client *c, uint32_t table, uint32_t key);
void do_get_many(struct client *c, uint32_t table, uint32_t count);
/* index -1: the table. limit 0: in one page. */
void do_query(struct client *c, uint32_t table, int index, unsigned partition, int is_descending, uint32_t limit);
void do_scan(struct client *c, uint32_t table, uint32_t segments, uint32_t limit);
/* Everything, by every path. */
void do_look(struct client *c);
/* The open table, or NULL if it is not there (and rightly so). Judges. */
struct larder_table *client_table(struct client *c, uint32_t table);
/* A call said that the table is gone: is that right? Forgets the table. */
void client_table_gone(struct client *c, uint32_t table, const struct shared_read *r);
/* What a put or delete said it replaced, at most one item: c->page. `own`: the serial of the write
 * itself. */
void judge_replaced(struct client *c, uint32_t table, uint32_t key, uint32_t own, const struct shared_read *r);
void judge_was_absent(struct client *c, uint32_t table, uint32_t key, uint32_t own, const struct shared_read *r);

/* ---- Parts of the program -------------------------------------------------------------------- */
int worker_main(struct run *run, uint32_t number, uint32_t start);
/* What an audit does. */
/* makes the segment and its tables, writes everything once, empties it and measures */
#define AUDIT_PREPARE 1u
#define AUDIT_EMPTY 2u /* empties the segment and compares what is in use with that */
int audit_main(struct run *run, uint32_t what, uint32_t number);

struct supervisor_options {
    uint32_t seconds; /* 0: no limit */
    uint32_t kills;   /* 0: no limit */
    int is_kept;
    const char *keep_folder;
};
int supervise(struct run *run, int run_fd, const struct supervisor_options *options);

#endif
