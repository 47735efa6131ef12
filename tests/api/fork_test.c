/* tests/api/fork_test.c - one handle, many processes.
 *
 * Goal     A pre-fork server opens once and forks: parent and children read and write at once, each
 *          from slots of its own, also when they were forked in the middle of other threads'
 *          writes. What a process held ends with its memory and with nothing else: its death or
 *          exec frees its slots though its children live; closing all descriptors does not. A
 *          segment destroyed under them is an error to all, and harms none.
 * Method   The public functions. tests/support/history.h judges reads, larder_slot_stats() tells
 *          whose slots there are. Children that outlive their parent end with a pipe that the test
 *          holds.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "larder.h"
#include "tests/support/history.h"
#include "tests/support/proc.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"
#include "tests/support/until.h"

TestSuite(fork, .timeout = 90 * SLOW_FACTOR);

#define SEGMENT_BYTES (32u << 20)
#define KEYS 96u
#define WAIT_MS 20000
#define SLOTS 128u

struct fixture {
    char name[TESTSEG_NAME_MAX];
    struct history *h;
    int history_fd;
    struct larder *db;
    struct history_client c;
    int release[2]; /* a child that waits for its end reads from [0]; the test closes [1] */
    struct shared {
        _Atomic uint32_t ready, go_on;
        _Atomic int32_t pid;
    } * shared;
};

/* Keys that one process writes. */
struct share {
    struct fixture *f;
    uint32_t first, count, rounds;
};

static void must(const char *what) {
    cr_assert(what == NULL, "%s", what);
}

static void child_must(const char *what) {
    if (what)
        fprintf(stderr, "child %d: %s\n", (int)getpid(), what);
    PROC_CHECK(what == NULL);
}

static void begin(struct fixture *f) {
    memset(f, 0, sizeof *f);
    testseg_name(f->name);
    f->h = history_new(KEYS, rng_test_seed("fork"), &f->history_fd);
    f->h->fill_max = 3000;
    f->db = testseg_open_named(f->name, SEGMENT_BYTES, 4);
    cr_assert_eq(history_table_create(f->db), LARDER_OK, "%s", larder_error());
    cr_assert_eq(history_attach(&f->c, f->h, f->db), LARDER_OK, "%s", larder_error());
    f->shared = mmap(NULL, sizeof *f->shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert((void *)f->shared != MAP_FAILED && pipe(f->release) == 0);
}

static void must_be_clean(const struct fixture *f) {
    struct larder_check_report report;
    cr_assert_eq(larder_check(f->db, NULL, &report), LARDER_OK, "%s", larder_error());
    cr_assert(report.leaked_blocks == 0 && report.stale_entries == 0);
}

static void end(struct fixture *f) {
    must(history_look(&f->c));
    must_be_clean(f);
    larder_close(f->db);
    testseg_destroy(f->name);
    history_free(f->h);
    close(f->history_fd);
    munmap(f->shared, sizeof *f->shared);
    close(f->release[0]);
    if (f->release[1] >= 0)
        close(f->release[1]);
}

/* Slots of this process id; `only_alive`: only those that a process holds. */
static uint32_t slots_of(struct larder *db, pid_t pid, int only_alive) {
    struct larder_slot_stats slots[SLOTS];
    uint32_t count, mine = 0;
    if (larder_slot_stats(db, slots, SLOTS, &count))
        return UINT32_MAX;
    for (uint32_t i = 0; i < count; i++)
        mine += slots[i].pid == pid && (!only_alive || slots[i].is_alive);
    return mine;
}

/* With the inherited handle and a page and builder of its own. */
static int write_share(void *arg) {
    const struct share *s = arg;
    struct history_client c;
    PROC_CHECK(history_attach(&c, s->f->h, s->f->db) == LARDER_OK);
    for (uint32_t i = 0; i < s->rounds * s->count; i++) {
        PROC_CHECK(history_write(&c, s->first + i % s->count) == LARDER_OK);
        if (i % s->count == 0)
            child_must(history_look(&c));
    }
    return 0;
}

static void wait_for_exit(pid_t pid) {
    struct proc_result r = proc_wait(pid, WAIT_MS);
    cr_assert(proc_is_exit(r, 0), "a child: %s", proc_text(r));
}

/* ---- At once --------------------------------------------------------------------------------- */

Test(fork, parent_and_children_write_at_once) {
    enum { CHILDREN = 3, EACH = KEYS / (CHILDREN + 1) };
    struct fixture f;
    struct share s[CHILDREN + 1];
    pid_t pid[CHILDREN];
    begin(&f);
    cr_assert_eq(history_write(&f.c, 0),
                 /* the parent has a slot, and the children's memory has a copy of its handle */
                 LARDER_OK);
    for (int i = 0; i <= CHILDREN; i++)
        s[i] = (struct share){&f, (uint32_t)i * EACH, EACH, 40};
    for (int i = 0; i < CHILDREN; i++)
        pid[i] = proc_fork(write_share, &s[i + 1]);
    for (uint32_t i = 0; i < 40 * EACH; i++) {
        cr_assert_eq(history_write(&f.c, i % EACH), LARDER_OK, "%s", larder_error());
        if (i % EACH == 0)
            must(history_look(&f.c));
    }
    for (int i = 0; i < CHILDREN; i++)
        wait_for_exit(pid[i]);
    end(&f);
}

struct other_threads {
    struct fixture *f;
    _Atomic uint32_t is_over;
};

static void *write_until_over(void *arg) {
    struct other_threads *o = arg;
    struct history_client c;
    uint32_t key = atomic_fetch_add(&o->f->shared->ready, 1);
    if (history_attach(&c, o->f->h, o->f->db))
        return "attach";
    while (!atomic_load(&o->is_over)) {
        if (history_write(&c, key % 4 + key / 4 % 4 * 4))
            return "write";
        key = key / 16 * 16 + (key % 4) + (key / 4 + 1) % 4 * 4; /* four keys for each thread */
    }
    history_detach(&c);
    return NULL;
}

Test(fork, while_other_threads_write) {
    if (SLOW_IS_TSAN)
        cr_skip_test(
            "a block that another process gives back and this one takes looks like a race to the thread sanitizer");
    enum { THREADS = 3, FORKS = 60 };
    struct fixture f;
    struct other_threads o = {&f, 0};
    pthread_t thread[THREADS];
    void *failed;
    begin(&f);
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&thread[i], NULL, write_until_over, &o), 0);
    for (uint32_t i = 0; i < FORKS; i++) {
        struct share s = {&f, 16 + i % 20 * 4, 4, 3};
        /* stuck if a lock of another thread was copied */
        wait_for_exit(proc_fork(write_share, &s));
    }
    atomic_store(&o.is_over, 1);
    for (int i = 0; i < THREADS; i++) {
        cr_assert_eq(pthread_join(thread[i], &failed), 0);
        cr_assert_null(failed, "a thread: %s", (const char *)failed);
    }
    end(&f);
}

/* ---- Whose slots ----------------------------------------------------------------------------- */

static int read_then_write(void *arg) {
    struct fixture *f = arg;
    struct history_client c;
    PROC_CHECK(history_attach(&c, f->h, f->db) == LARDER_OK);
    child_must(history_look(&c));
    /* a read needs none, and the parent's is not its own */
    PROC_CHECK(slots_of(f->db, getpid(), 0) == 0);
    PROC_CHECK(slots_of(f->db, getppid(), 1) == 1); /* the parent's slots live on */
    PROC_CHECK(history_write(&c, 0) == LARDER_OK);
    PROC_CHECK(slots_of(f->db, getpid(), 1) == 1);
    PROC_CHECK(slots_of(f->db, getppid(), 1) == 1);
    return 0; /* without larder_close() */
}

Test(fork, a_child_has_slots_of_its_own) {
    struct fixture f;
    begin(&f);
    cr_assert_eq(history_write(&f.c, 1), LARDER_OK);
    cr_assert_eq(slots_of(f.db, getpid(), 1), 1);
    pid_t pid = proc_fork(read_then_write, &f);
    wait_for_exit(pid);
    cr_assert_eq(slots_of(f.db, pid, 1), 0, "the slot died with the child");
    cr_assert_eq(slots_of(f.db, getpid(), 1), 1, "ours did not");
    must_be_clean(&f);
    cr_assert_eq(slots_of(f.db, pid, 0), 0, "and it can be taken again");
    cr_assert_eq(history_write(&f.c, 1), LARDER_OK);
    end(&f);
}

static int close_and_exit(void *arg) {
    struct fixture *f = arg;
    larder_close(f->db); /* the child's view of the handle; the parent's is untouched */
    return 0;
}

Test(fork, a_child_may_close_what_it_inherited) {
    struct fixture f;
    begin(&f);
    cr_assert_eq(history_write(&f.c, 1), LARDER_OK);
    wait_for_exit(proc_fork(close_and_exit, &f));
    cr_assert_eq(slots_of(f.db, getpid(), 1), 1);
    cr_assert_eq(history_write(&f.c, 1), LARDER_OK);
    end(&f);
}

static int write_until_killed(void *arg) {
    const struct share *s = arg;
    struct history_client c;
    PROC_CHECK(history_attach(&c, s->f->h, s->f->db) == LARDER_OK);
    atomic_fetch_add(&s->f->shared->ready, 1);
    for (uint32_t i = 0;; i++)
        PROC_CHECK(history_write(&c, s->first + i % s->count) == LARDER_OK);
}

Test(fork, more_deaths_than_slots) {
    struct fixture f;
    struct larder_segment_stats stats;
    begin(&f);
    cr_assert_eq(larder_segment_stats(f.db, &stats), LARDER_OK);
    for (uint32_t i = 0; i < stats.slots_max + 20; i++) {
        struct share s = {&f, KEYS / 2, KEYS / 2, 0};
        atomic_store(&f.shared->ready, 0);
        pid_t pid = proc_fork(write_until_killed, &s);
        cr_assert(UNTIL(atomic_load(&f.shared->ready) == 1, WAIT_MS));
        proc_kill(pid);
        must(history_settle(&f.c, KEYS / 2, KEYS / 2));
        cr_assert_eq(history_write(&f.c, i % (KEYS / 2)), LARDER_OK, "%s", larder_error());
    }
    end(&f);
}

/* Writes, and forks a child that inherits everything and waits; then writes until it is killed. */
static int middle(void *arg) {
    struct share *s = arg;
    struct fixture *f = s->f;
    struct history_client c;
    char end_of_pipe;
    PROC_CHECK(history_attach(&c, f->h, f->db) == LARDER_OK);
    PROC_CHECK(history_write(&c, s->first) == LARDER_OK);
    pid_t pid = fork();
    PROC_CHECK(pid >= 0);
    if (pid == 0) {
        close(f->release[1]);
        PROC_CHECK(history_write(&c, s->first + s->count) == LARDER_OK);
        atomic_store(&f->shared->pid, getpid());
        PROC_CHECK(read(f->release[0], &end_of_pipe, 1) == 0);
        child_must(history_look(&c));
        PROC_CHECK(history_write(&c, s->first + s->count) == LARDER_OK);
        larder_close(f->db);
        atomic_store(&f->shared->go_on, 1);
        _exit(0);
    }
    return write_until_killed(s);
}

Test(fork, death_counts_though_a_child_lives_on) {
    struct fixture f;
    struct share s = {&f, 8, 8, 0};
    begin(&f);
    pid_t pid = proc_fork(middle, &s);
    cr_assert(UNTIL(atomic_load(&f.shared->ready) == 1 && atomic_load(&f.shared->pid) != 0, WAIT_MS));
    pid_t orphan = atomic_load(&f.shared->pid);
    cr_assert(slots_of(f.db, pid, 1) >= 1 && slots_of(f.db, orphan, 1) == 1);
    proc_kill(pid);
    cr_assert_eq(slots_of(f.db, pid, 1), 0, "a copy of its memory in its child is no life");
    cr_assert_eq(slots_of(f.db, orphan, 1), 1);
    must(history_settle(&f.c, 8, 8));
    for (uint32_t i = 0; i < 2 * KEYS; i++) /* whatever it held: no write waits for it */
        if (i % KEYS != s.first + s.count)
            cr_assert_eq(history_write(&f.c, i % KEYS), LARDER_OK, "%s", larder_error());
    must_be_clean(&f);
    cr_assert_eq(slots_of(f.db, orphan, 1), 1, "the check took the living one's slot");
    close(f.release[1]);
    f.release[1] = -1;
    cr_assert(UNTIL(atomic_load(&f.shared->go_on) == 1, WAIT_MS), "the orphan could not go on");
    end(&f);
}

/* ---- exec and descriptors -------------------------------------------------------------------- */

static int write_then_exec(void *arg) {
    struct share *s = arg;
    struct history_client c;
    PROC_CHECK(history_attach(&c, s->f->h, s->f->db) == LARDER_OK);
    PROC_CHECK(history_write(&c, s->first) == LARDER_OK);
    atomic_store(&s->f->shared->ready, 1);
    PROC_CHECK(UNTIL(atomic_load(&s->f->shared->go_on) == 1, WAIT_MS));
    close(s->f->release[1]);
    dup2(s->f->release[0], STDIN_FILENO);
    execlp("cat", "cat", NULL); /* lives until the pipe ends */
    return PROC_CANNOT_EXEC;
}

Test(fork, exec_without_close_gives_the_slot_back) {
    struct fixture f;
    struct share s = {&f, 4, 1, 0};
    begin(&f);
    pid_t pid = proc_fork(write_then_exec, &s);
    cr_assert(UNTIL(atomic_load(&f.shared->ready) == 1, WAIT_MS));
    cr_assert_eq(slots_of(f.db, pid, 1), 1);
    atomic_store(&f.shared->go_on, 1);
    cr_assert(UNTIL(slots_of(f.db, pid, 1) == 0, WAIT_MS), "the slot lives on in another program");
    must_be_clean(&f);
    cr_assert_eq(slots_of(f.db, pid, 0), 0);
    close(f.release[1]);
    f.release[1] = -1;
    wait_for_exit(pid);
    end(&f);
}

/* Claims memory that stays with the segment. A process that has closed the descriptor can claim
 * none (larder_error() says so). */
static void claim_ahead(const struct fixture *f) {
    static const char fill[390000];
    const struct larder_item *item;
    char sk[16];
    for (int i = 0; i < 8; i++) {
        snprintf(sk, sizeof sk, "large#%d", i % 4);
        struct larder_key key = {larder_str("claim"), larder_str(sk)};
        larder_builder_reset(f->c.builder);
        larder_builder_add_s(f->c.builder, "PK", "claim");
        larder_builder_add_s(f->c.builder, "SK", sk);
        larder_builder_add_b(f->c.builder, "fill", fill, sizeof fill);
        cr_assert_eq(larder_builder_finish(f->c.builder, &item), LARDER_OK);
        int r = i < 4 ? larder_put(f->c.table, item, NULL) : larder_delete(f->c.table, &key, NULL);
        cr_assert_eq(r, LARDER_OK, "%s", larder_error());
    }
}

/* What daemonising code does. Then the numbers of the closed descriptors come to mean other
 * files. */
static int close_all_and_write(void *arg) {
    struct share *s = arg;
    struct history_client c;
    struct larder *db;
    struct larder_options o = {.segment = s->f->name, .busy_timeout_ms = WAIT_MS};
    PROC_CHECK(larder_open(&o, &db) == LARDER_OK);
    PROC_CHECK(history_attach(&c, s->f->h, db) == LARDER_OK);
    PROC_CHECK(history_write(&c, s->first) == LARDER_OK);
    PROC_CHECK(close_range(3, ~0u, 0) == 0);
    for (int i = 0; i < 64; i++)
        PROC_CHECK((i % 2 ? open("/dev/null", O_RDWR) : memfd_create("a log file", 0)) >= 0);
    atomic_fetch_add(&s->f->shared->ready, 1);
    for (uint32_t i = 0; i < s->rounds; i++) {
        PROC_CHECK(history_write(&c, s->first + i % s->count) == LARDER_OK);
        if (i % 64 == 0)
            child_must(history_look(&c));
    }
    PROC_CHECK(slots_of(db, getpid(), 0) >= 1);
    larder_close(db);
    return 0;
}

Test(fork, closing_all_descriptors_does_not_end_a_life) {
    struct fixture f;
    struct share s[2] = {{&f, 32, 16, 20000}, {&f, 64, 16, 20000}};
    pid_t pid[2];
    begin(&f);
    claim_ahead(&f);
    for (int i = 0; i < 2; i++)
        pid[i] = proc_fork(close_all_and_write, &s[i]);
    cr_assert(UNTIL(atomic_load(&f.shared->ready) == 2, WAIT_MS));
    cr_assert(slots_of(f.db, pid[0], 1) >= 1 && slots_of(f.db, pid[1], 1) >= 1);
    /* Both wait for each other and for us, and must take no process for dead. */
    for (uint32_t i = 0; i < 10000; i++) {
        cr_assert_eq(history_write(&f.c, i % 16), LARDER_OK, "%s", larder_error());
        if (i % 500 == 0)
            must_be_clean(&f);
    }
    wait_for_exit(pid[0]);
    wait_for_exit(pid[1]);
    end(&f);
}

/* ---- The end of the segment ------------------------------------------------------------------ */

static int live_through_the_end(void *arg) {
    struct share *s = arg;
    struct fixture *f = s->f;
    struct history_client c;
    struct larder *db = NULL;
    const struct larder_table_def def = {.name = "another", .partition = {"PK", LARDER_S}};
    struct larder_segment_stats stats;
    struct larder_check_report report;
    struct larder_query_spec query = {.partition = larder_str("P0")};
    int r;
    PROC_CHECK(history_attach(&c, f->h, f->db) == LARDER_OK);
    atomic_fetch_add(&f->shared->ready, 1);
    for (uint32_t i = 0; (r = history_write(&c, s->first + i % s->count)) == LARDER_OK; i++)
        ;
    PROC_CHECK(r == LARDER_E_DESTROYED && strstr(larder_error(), "destroyed"));
    PROC_CHECK(larder_query(c.table, &query, c.page) == LARDER_E_DESTROYED);
    PROC_CHECK(larder_scan(c.table, &(struct larder_scan_spec){0}, c.page) == LARDER_E_DESTROYED);
    PROC_CHECK(larder_table_create(f->db, &def) == LARDER_E_DESTROYED);
    PROC_CHECK(larder_table_open(f->db, HISTORY_TABLE, &c.table) == LARDER_E_DESTROYED);
    PROC_CHECK(larder_segment_stats(f->db, &stats) == LARDER_E_DESTROYED);
    PROC_CHECK(larder_expire(f->db, 0, NULL) == LARDER_E_DESTROYED);
    PROC_CHECK(larder_check(f->db, NULL, &report) == LARDER_E_DESTROYED);
    larder_close(f->db);
    /* Life goes on, under the same name. */
    struct larder_options o = {.segment = f->name, .flags = LARDER_CREATE, .size_bytes = LARDER_SEGMENT_BYTES_MIN};
    PROC_CHECK(larder_open(&o, &db) == LARDER_OK);
    r = larder_table_create(db, &def);
    PROC_CHECK(r == LARDER_OK || r == LARDER_E_EXISTS);
    larder_close(db);
    return 0;
}

Test(fork, a_destroyed_segment_is_an_error_and_no_more) {
    struct fixture f;
    pid_t pid[3];
    struct share s[3];
    begin(&f);
    for (uint32_t i = 0; i < 3; i++) {
        s[i] = (struct share){&f, i * 16, 16, 0};
        pid[i] = proc_fork(live_through_the_end, &s[i]);
    }
    cr_assert(UNTIL(atomic_load(&f.shared->ready) == 3, WAIT_MS));
    cr_assert_eq(larder_destroy(f.name, 0), LARDER_OK, "%s", larder_error());
    cr_assert_eq(history_write(&f.c, 60), LARDER_E_DESTROYED);
    for (int i = 0; i < 3; i++)
        wait_for_exit(pid[i]);
    larder_close(f.db);
    f.db = NULL;
    cr_assert_eq(larder_open(&(struct larder_options){.segment = f.name}, &f.db), LARDER_OK, "the new segment");
    const char *names[2];
    uint32_t count;
    cr_assert_eq(larder_table_list(f.db, names, 2, &count), LARDER_OK);
    cr_assert(count == 1 && strcmp(names[0], "another") == 0);
    larder_close(f.db);
    testseg_destroy(f.name);
    history_free(f.h);
}
