/* tests/torture/recover_time.c - how long it takes from the SIGKILL of a lock's holder to the first
 * waiter's success.
 *
 * Usage    recover_time [--rounds N] [--seed S]
 *          N rounds for each kind of lock, without and with an expirer; default 40, at least 2.
 * Method   A process begins a put and stops itself at a chosen store, inside a stripe's,
 *          partition's, timer shard's, heap bin's or the span lock. A second one begins a put that
 *          needs that lock, and is seen to sleep on it (its slot names the lock, the lock has a
 *          waiter); or it begins only as the first is killed. The clock starts before kill(2) and
 *          stops when the second one's larder_put() has returned LARDER_OK. Which stores hold which
 *          lock is found by trying, and remembered.
 * Verdict  Median under 5 ms and worst under 50 ms in a long run (1,000 rounds and more of each
 *          kind), ten times as much in a short one. What this machine does to any process is
 *          allowed for: a twin that only sleeps for a millisecond, over and over, measures how late
 *          it is woken. Four times its median and its worst are added. Both are printed.
 */
#include <ctype.h>
#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/base/crash.h"
#include "core/memory/lock.h"
#include "core/table/db.h"
#include "core/table/read.h"
#include "tests/support/rng.h"
#include "tests/support/slow.h"
#include "tests/support/until.h"

#define SEGMENT_BYTES (16u << 20) /* one arena and one shard: all puts meet there */
#define KEYS 32u
#define SMALL_BYTES 100u
#define LARGE_BYTES 20000u /* a run of spans */
#define STORES_MAX 400u    /* of a put that may hold one of the locks, beside the copying */
#define ROUNDS_USUAL 40u
#define ROUNDS_LONG 1000u
#define ROUNDS_MAX 1000000u
#define MEDIAN_MS 5.0
#define WORST_MS 50.0
#define SHORT_FACTOR 10.0
#define STUCK_MS 20000u
#define SLEEPY_MS 3 /* until() is patient: ten times as much */
#define BUSY_MS 60000u
#define TRIES_MAX 400u  /* for each round wanted, to find a store inside the wanted lock */
#define SEEK_ROUNDS 10u /* more rounds: the first store of a kind has to be found */
#define TABLE "Recover"
#define TTL_S INT64_C(4000000000)

enum kind { STRIPE, PARTITION, SHARD, BIN, SPAN, KINDS };
static const enum lock_rank ranks[KINDS] = {LOCK_STRIPE, LOCK_PARTITION, LOCK_SHARD, LOCK_BIN, LOCK_SPAN};
enum mode { BLOCKED, ARRIVING, MODES };
static const char *const mode_names[MODES] = {"asleep on it", "arriving"};

#define LATE_US 50u /* a bucket of the twin's measurements */
#define LATE_BUCKETS 20000u

struct put {
    uint32_t key, bytes;
    int has_expiry;
};

/* In memory of all processes. */
struct stage {
    struct put put; /* the waiter's */
    _Atomic uint32_t go, done;
    _Atomic int result;
    _Atomic uint64_t done_ns;
    _Atomic uint64_t late_worst_ns, late[LATE_BUCKETS];
};

struct samples {
    double *ms;
    uint32_t count;
};

struct bench {
    struct stage *stage;
    struct larder *db;
    struct larder_table *table;
    struct larder_builder *builder;
    struct rng rng;
    int memfd;
    uint32_t rounds;
    pid_t waiter, twin, expirer;
    /* stores that hold it: number, and 1 << 16 for a large put */
    uint32_t known[KINDS][256], known_count[KINDS];
    uint32_t stripe_of[KEYS];
    uint32_t passed, failed;
};

static void give_up(const char *what) __attribute__((noreturn));

static void give_up(const char *what) {
    fprintf(stderr, "recover_time: %s (%s)\n0 passed, 1 failed\n", what, larder_error());
    fflush(NULL);
    exit(2); /* children die with their parent */
}

#define MUST(condition)                                                                                                \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            give_up(#condition);                                                                                       \
    } while (0)

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- Putting --------------------------------------------------------------------------------- */

static void open_all(struct bench *b) {
    struct larder_options o = {.flags = LARDER_MEMFD, .memfd = b->memfd, .busy_timeout_ms = BUSY_MS};
    MUST(larder_open(&o, &b->db) == LARDER_OK);
    MUST(larder_table_open(b->db, TABLE, &b->table) == LARDER_OK);
    MUST(larder_builder_new(b->db, &b->builder) == LARDER_OK);
}

static int put(struct bench *b, struct put p) {
    static const unsigned char bytes[LARGE_BYTES];
    const struct larder_item *item;
    char sk[16];
    snprintf(sk, sizeof sk, "%04u", p.key);
    larder_builder_reset(b->builder);
    larder_builder_add_s(b->builder, "PK", "P");
    larder_builder_add_s(b->builder, "SK", sk);
    if (p.has_expiry) /* another second each time, or the timer would exist already */
        larder_builder_add_int(b->builder, "exp", TTL_S - (int64_t)(now_ns() / 1000000 % 1000000000));
    larder_builder_add_b(b->builder, "bytes", bytes, p.bytes);
    int r = larder_builder_finish(b->builder, &item);
    return r ? r : larder_put(b->table, item, NULL);
}

/* So that the next put of the item adds to the partition. */
static void forget(struct bench *b, uint32_t key) {
    char sk[16];
    snprintf(sk, sizeof sk, "%04u", key);
    struct larder_key k = {larder_str("P"), larder_str(sk)};
    MUST(larder_delete(b->table, &k, NULL) >= 0);
}

static uint32_t stripe_of(struct bench *b, uint32_t key) {
    const struct table_view *v;
    struct item_key k;
    char sk[16];
    snprintf(sk, sizeof sk, "%04u", key);
    struct larder_key given = {larder_str("P"), larder_str(sk)};
    MUST(table_view(b->table, &v) == LARDER_OK && item_key_from_values(&v->shape, &given, &k) == LARDER_OK);
    return (uint32_t)(htab_stripe(&v->items, read_hash(v, &k)) - v->items.stripes);
}

/* ---- Processes ------------------------------------------------------------------------------- */

static pid_t start(void) {
    pid_t parent = getpid();
    fflush(NULL);
    pid_t pid = fork();
    MUST(pid >= 0);
    if (pid)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    return 0;
}

static void end(pid_t *pid) {
    if (*pid) {
        kill(*pid, SIGKILL);
        waitpid(*pid, NULL, 0);
    }
    *pid = 0;
}

static void start_waiter(struct bench *b) {
    if ((b->waiter = start()))
        return;
    open_all(b);
    for (uint32_t round = 0;; round++) {
        while (atomic_load(&b->stage->go) == round)
            syscall(SYS_futex, &b->stage->go, FUTEX_WAIT, round, NULL, NULL, 0);
        int r = put(b, b->stage->put);
        atomic_store(&b->stage->done_ns, now_ns());
        atomic_store(&b->stage->result, r);
        atomic_store(&b->stage->done, round + 1);
    }
}

static void start_twin(struct bench *b) {
    const struct timespec ms = {.tv_nsec = 1000000};
    if ((b->twin = start()))
        return;
    for (;;) {
        uint64_t start_ns = now_ns();
        nanosleep(&ms, NULL);
        uint64_t slept_ns = now_ns() - start_ns, late_ns = slept_ns > 1000000 ? slept_ns - 1000000 : 0,
                 bucket = late_ns / 1000 / LATE_US;
        atomic_fetch_add(&b->stage->late[bucket < LATE_BUCKETS ? bucket : LATE_BUCKETS - 1], 1);
        if (late_ns > atomic_load(&b->stage->late_worst_ns))
            atomic_store(&b->stage->late_worst_ns, late_ns);
    }
}

static void start_expirer(struct bench *b) {
    if ((b->expirer = start()))
        return;
    open_all(b);
    MUST(larder_expirer_start(b->db) == LARDER_OK);
    for (;;)
        pause();
}

static int expirer_is_at_work(struct bench *b) {
    return lock_owner(&b->db->seg.shm->expirer_lock) >= 0;
}

/* Stops at its k-th store, with whatever it then holds. 0: it ended before that. */
static pid_t start_holder(struct bench *b, struct put p, uint32_t k) {
    int status;
    pid_t pid = start();
    if (pid == 0) {
        shm_crash_arm_stop(k);
        int r = put(b, p);
        if (r != LARDER_OK)
            fprintf(stderr, "recover_time: a put that was not stopped: %s: %s\n", larder_result_name(r),
                    larder_error());
        _exit(r == LARDER_OK ? 0 : 1);
    }
    MUST(waitpid(pid, &status, WUNTRACED) == pid);
    if (WIFSTOPPED(status))
        return pid;
    MUST(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    return 0;
}

static struct slot_shm *slot_of(struct bench *b, pid_t pid) {
    for (uint32_t i = 0; i < b->db->seg.slot_count; i++) {
        struct slot_shm *slot = seg_slot(&b->db->seg, i);
        if (SHM_LOAD(&slot->state) == SLOT_LIVE && SHM_LOAD(&slot->pid) == pid)
            return slot;
    }
    return NULL;
}

static int owner_number(struct bench *b, const struct slot_shm *slot) {
    return (int)(slot - seg_slot(&b->db->seg, 0));
}

/* The innermost lock that it holds; KINDS: not a kind that is measured. */
static enum kind kind_held(struct bench *b, const struct slot_shm *slot) {
    enum kind kind = KINDS;
    enum lock_rank rank, innermost = LOCK_CATALOG;
    for (unsigned i = 0; slot && i < SLOT_LOCKS; i++) {
        uint64_t off = SHM_LOAD(&slot->locks[i]);
        if (!off || lock_owner(seg_word(&b->db->seg, off)) != owner_number(b, slot) ||
            !lock_rank_of(&b->db->seg, off, &rank) || rank < innermost)
            continue;
        innermost = rank;
        for (kind = 0; kind < KINDS && ranks[kind] != rank;)
            kind++;
    }
    return kind;
}

/* Whether the waiter sleeps on a lock of that kind that the holder has. */
static int is_asleep_on(struct bench *b, const struct slot_shm *holder, enum kind kind) {
    struct slot_shm *slot = slot_of(b, b->waiter);
    enum lock_rank rank;
    for (unsigned i = 0; slot && i < SLOT_LOCKS; i++) {
        uint64_t off = SHM_LOAD(&slot->locks[i]);
        lock_word *lock = off ? seg_word(&b->db->seg, off) : NULL;
        if (lock && lock_owner(lock) == owner_number(b, holder) && (SHM_LOAD(lock) & LOCK_WAITERS) &&
            lock_rank_of(&b->db->seg, off, &rank) && rank == ranks[kind])
            return 1;
    }
    return 0;
}

/* ---- A round --------------------------------------------------------------------------------- */

static int is_done(struct bench *b) {
    return atomic_load(&b->stage->done) == atomic_load(&b->stage->go);
}

static void send_waiter(struct bench *b, struct put p) {
    b->stage->put = p;
    atomic_fetch_add(&b->stage->go, 1);
    syscall(SYS_futex, &b->stage->go, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static uint32_t other_key(struct bench *b, uint32_t key) {
    uint32_t other;
    do
        other = (uint32_t)rng_below(&b->rng, KEYS);
    while (b->stripe_of[other] == b->stripe_of[key]);
    return other;
}

/* The waiter sleeps on a lock of that kind, within a while; or goes through, or sleeps on
 * another. */
static int waiter_sleeps(struct bench *b, const struct slot_shm *holder, enum kind kind) {
    return UNTIL(is_done(b) || is_asleep_on(b, holder, kind), SLEEPY_MS) && !is_done(b);
}

static void remember(struct bench *b, enum kind kind, uint32_t store) {
    uint32_t *count = &b->known_count[kind];
    if (*count < 256)
        b->known[kind][(*count)++] = store;
}

static uint32_t pick_store(struct bench *b, enum kind wanted) {
    if (b->known_count[wanted] && !rng_is_one_in(&b->rng, 10))
        return b->known[wanted][rng_below(&b->rng, b->known_count[wanted])];
    return (1 + (uint32_t)rng_below(&b->rng, STORES_MAX)) | (uint32_t)rng_below(&b->rng, 2) << 16;
}

/* One try. The time in ms, or less than 0: there was no such lock to measure. */
static double try_round(struct bench *b, enum kind wanted, enum mode mode) {
    uint32_t store = pick_store(b, wanted);
    struct put first = {.key = (uint32_t)rng_below(&b->rng, KEYS),
                        .bytes = store >> 16 ? LARGE_BYTES : SMALL_BYTES,
                        .has_expiry = wanted == SHARD || rng_is_one_in(&b->rng, 2)};
    struct put second = first;
    double ms = -1;
    if (wanted != STRIPE)
        second.key = other_key(b, first.key);
    if (wanted == PARTITION) {
        forget(b, first.key);
        forget(b, second.key);
    }
    pid_t pid = start_holder(b, first, store & 0xffff);
    if (!pid) /* it ended before */
        return ms;
    struct slot_shm *holder = slot_of(b, pid);
    enum kind kind = kind_held(b, holder);
    if (kind != KINDS && b->known_count[kind] < 256)
        remember(b, kind, store);
    if (kind == wanted) {
        int is_ready = mode == ARRIVING;
        if (mode == BLOCKED) {
            send_waiter(b, second);
            is_ready = waiter_sleeps(b, holder, kind);
        }
        uint64_t start_ns = now_ns();
        kill(pid, SIGKILL);
        if (mode == ARRIVING)
            send_waiter(b, second);
        if (!UNTIL(is_done(b), STUCK_MS))
            give_up("STUCK: the waiter was never done");
        MUST(atomic_load(&b->stage->result) == LARDER_OK);
        if (is_ready)
            ms = (double)(atomic_load(&b->stage->done_ns) - start_ns) / 1e6;
    }
    end(&pid);
    first.has_expiry = 0;
    MUST(put(b, first) == LARDER_OK); /* recovers the rest */
    if (wanted == PARTITION)
        MUST(put(b, second) == LARDER_OK);
    return ms;
}

/* ---- Figures --------------------------------------------------------------------------------- */

static int compare_ms(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double part_of(struct samples *s, double part) {
    return s->ms[(uint32_t)(part * (s->count - 1))];
}

static double late_median_ms(const struct stage *stage) {
    uint64_t all = 0, sum = 0;
    for (unsigned i = 0; i < LATE_BUCKETS; i++)
        all += stage->late[i];
    for (unsigned i = 0; i < LATE_BUCKETS; i++)
        if ((sum += stage->late[i]) * 2 >= all)
            return (i + 1) * LATE_US / 1000.0;
    return 0;
}

static void judge(struct bench *b, int holds, const char *what, double is, double limit) {
    if (holds)
        b->passed++;
    else {
        b->failed++;
        printf("TOO SLOW: %s %.3f ms, the limit is %.3f ms\n", what, is, limit);
    }
}

static void report(struct bench *b, struct samples *s, enum kind kind, enum mode mode) {
    qsort(s->ms, s->count, sizeof *s->ms, compare_ms);
    printf("  %-12s %-14s %5u  %8.3f %8.3f %8.3f\n", lock_rank_name(ranks[kind]), mode_names[mode], s->count,
           part_of(s, 0.5), part_of(s, 0.99), part_of(s, 1));
    (void)b;
}

static void judge_all(struct bench *b, struct samples *all) {
    double factor = (b->rounds >= ROUNDS_LONG ? 1 : SHORT_FACTOR) * SLOW_FACTOR, late_ms = late_median_ms(b->stage),
           late_worst_ms = (double)b->stage->late_worst_ns / 1e6, median_limit = MEDIAN_MS * factor + 4 * late_ms,
           worst_limit = WORST_MS * factor + 4 * late_worst_ms;
    qsort(all->ms, all->count, sizeof *all->ms, compare_ms);
    printf("  all of them                 %5u  %8.3f %8.3f %8.3f\n", all->count, part_of(all, 0.5), part_of(all, 0.99),
           part_of(all, 1));
    printf("  a twin that only sleeps is late by          %8.3f          %8.3f\n", late_ms, late_worst_ms);
    judge(b, part_of(all, 0.5) < median_limit, "median", part_of(all, 0.5), median_limit);
    judge(b, part_of(all, 1) < worst_limit, "worst", part_of(all, 1), worst_limit);
}

static void measure(struct bench *b, enum kind kind, enum mode mode, struct samples *all) {
    uint32_t wanted = (b->rounds + mode) / MODES; /* an odd one is for the last mode */
    struct samples s = {.ms = calloc(wanted, sizeof *s.ms)};
    MUST(s.ms != NULL);
    for (uint32_t tries = 0; s.count < wanted && tries < (wanted + SEEK_ROUNDS) * TRIES_MAX; tries++) {
        double ms = try_round(b, kind, mode);
        if (ms >= 0)
            s.ms[s.count++] = all->ms[all->count++] = ms;
    }
    if (s.count < wanted)
        printf("  only %u of %u rounds found their lock\n", s.count, wanted);
    judge(b, s.count == wanted, "rounds that could be had", s.count, wanted);
    if (s.count)
        report(b, &s, kind, mode);
    free(s.ms);
}

static void run(struct bench *b, int with_expirer) {
    struct samples all = {.ms = calloc((size_t)b->rounds * KINDS, sizeof *all.ms)};
    MUST(all.ms != NULL);
    memset((void *)b->stage->late, 0, sizeof b->stage->late);
    b->stage->late_worst_ns = 0;
    if (with_expirer) {
        start_expirer(b);
        MUST(UNTIL(expirer_is_at_work(b), STUCK_MS));
    }
    printf("%s an expirer: SIGKILL of the holder to LARDER_OK of the waiter, ms\n"
           "  %-12s %-14s %5s  %8s %8s %8s\n",
           with_expirer ? "with" : "without", "lock", "waiter", "n", "median", "p99", "worst");
    for (enum kind kind = 0; kind < KINDS; kind++)
        for (enum mode mode = 0; mode < MODES; mode++)
            measure(b, kind, mode, &all);
    if (all.count)
        judge_all(b, &all);
    free(all.ms);
    end(&b->expirer);
    fflush(stdout);
}

static void prepare(struct bench *b) {
    struct larder_options o = {
        .flags = LARDER_CREATE | LARDER_MEMFD, .memfd = -1, .size_bytes = SEGMENT_BYTES, .stripe_count = 2};
    const struct larder_table_def def = {
        .name = TABLE, .partition = {"PK", LARDER_S}, .sort = {"SK", LARDER_S}, .ttl_attribute = "exp"};
    struct larder *creator;
    MUST(larder_open(&o, &creator) == LARDER_OK && larder_table_create(creator, &def) == LARDER_OK);
    b->memfd = dup(larder_memfd(creator));
    larder_close(creator);
    b->stage = mmap(NULL, sizeof *b->stage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    MUST(b->memfd >= 0 && b->stage != MAP_FAILED);
    open_all(b);
    for (uint32_t key = 0; key < KEYS; key++) {
        MUST(put(b, (struct put){key, SMALL_BYTES, 0}) == LARDER_OK);
        b->stripe_of[key] = stripe_of(b, key);
    }
}

/* Decimal, also with zeros before it, or 0x and hexadecimal. Says what is wrong. */
static int number_of(const char *option, const char *text, uint64_t least, uint64_t most, uint64_t *out) {
    char *end = NULL;
    errno = 0;
    if (text && isdigit((unsigned char)*text))
        *out = strtoull(text, &end, strncmp(text, "0x", 2) == 0 ? 16 : 10);
    if (end && !errno && !*end && *out >= least && *out <= most)
        return 1;
    fprintf(stderr, "recover_time: %s %s: not a number from %llu to %llu\n", option, text ? text : "(nothing)",
            (unsigned long long)least, (unsigned long long)most);
    return 0;
}

static int parse(char **argv, uint64_t *rounds, uint64_t *seed) {
    for (argv++; *argv; argv += 2) {
        if (strcmp(argv[0], "--rounds") == 0) {
            if (!number_of(argv[0], argv[1], MODES, ROUNDS_MAX, rounds))
                return 0;
        } else if (strcmp(argv[0], "--seed") == 0) {
            if (!number_of(argv[0], argv[1], 0, UINT64_MAX, seed))
                return 0;
        } else {
            fprintf(stderr, "recover_time: %s: no such option\nusage: recover_time [--rounds N] [--seed S]\n", argv[0]);
            return 0;
        }
    }
    return 1;
}

int main(int argc, char **argv) {
    static struct bench b;
    uint64_t seed = now_ns(), rounds = ROUNDS_USUAL;
    if (argc < 1 || !parse(argv, &rounds, &seed))
        return 2;
    b.rounds = (uint32_t)rounds;
    printf("seed 0x%llx, %u rounds of each kind of lock\n", (unsigned long long)seed, b.rounds);
    rng_seed(&b.rng, seed);
    prepare(&b);
    start_twin(&b);
    start_waiter(&b);
    run(&b, 0);
    run(&b, 1);
    end(&b.waiter);
    end(&b.twin);
    larder_close(b.db);
    printf("%u passed, %u failed\n", b.passed, b.failed);
    return b.failed != 0;
}
