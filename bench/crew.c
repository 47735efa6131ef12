/* bench/crew.c - see crew.h. */
#include "bench/crew.h"
#include "bench/clock.h"
#include "bench/fail.h"
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CALLS_PER_LOOK 64 /* calls between two looks at the clock */
#define PATIENCE_S 600

struct board {             /* shared by the parent and the workers */
    _Atomic uint32_t turn; /* a new number is a new order */
    _Atomic uint32_t ready, done;
    _Atomic uint32_t started; /* workers that saw this turn: they start together */
    struct crew_order order;
    struct crew_result result[CREW_MAX];
};

struct crew {
    struct board *board;
    const struct engine *engine;
    void *state;
    const struct scene *scene;
    const struct workload *work[CREW_MAX];
    unsigned count, process_count;
    pid_t pid[CREW_MAX];
};

struct worker {
    struct crew *crew;
    unsigned number;
    struct ring ring;
    struct perf perf;
    void *session;
    uint32_t at, phase_one; /* place in the ring; operations that phase one did */
    int is_reversed;        /* a paired workload that fills time: on its way back */
};

static void futex_wait(_Atomic uint32_t *word, uint32_t seen) {
    struct timespec second = {.tv_sec = 1};
    syscall(SYS_futex, word, FUTEX_WAIT, seen, &second, NULL, 0);
}

static void futex_wake(_Atomic uint32_t *word) {
    syscall(SYS_futex, word, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

/* ---- A worker -------------------------------------------------------------------------------- */

static int is_paired(const struct worker *w) {
    return w->crew->work[w->number]->back != OP_GET;
}

static void start_together(struct board *b, unsigned count) {
    atomic_fetch_add(&b->started, 1);
    while (atomic_load(&b->started) % count != 0)
        __builtin_ia32_pause();
}

/* A paired workload beside an unpaired one keeps going there and back. */
static int fills_time(const struct worker *w) {
    return w->crew->count > 1 && w->crew->work[0]->back == OP_GET;
}

/* One call at the next place of the ring; false at the end of a pass. */
static int step(struct worker *w, int is_back, uint32_t limit, uint64_t *items) {
    if (w->at == limit) {
        if (is_paired(w) && (is_back || !fills_time(w)))
            return 0;
        w->is_reversed = is_paired(w) && !w->is_reversed;
        w->at = 0;
    }
    *items += workload_call(w->crew->engine, w->session, &w->ring, w->at++, is_back || w->is_reversed);
    return 1;
}

static void run_untimed(struct worker *w, const struct crew_order *o, uint32_t limit, struct crew_result *r) {
    uint64_t start = clock_ns(), end = start + (uint64_t)(o->seconds * 1e9), now = start;
    uint64_t longest = start + (uint64_t)(o->seconds * (o->is_warm_up ? CREW_WARM_MAX : 1) * 1e9);
    int is_back = o->phase == CREW_BACK, goes_on = 1;
    /* the way back always runs to its end */
    while (goes_on && (is_back || now < end || (now < longest && r->calls < limit))) {
        for (unsigned i = 0; i < CALLS_PER_LOOK && (goes_on = step(w, is_back, limit, &r->items)); i++)
            r->calls++;
        now = clock_ns();
    }
    r->seconds = (double)(now - start) * 1e-9;
}

static void run_closed(struct worker *w, const struct crew_order *o, uint32_t limit, struct crew_result *r) {
    uint64_t start = clock_ns(), end = start + (uint64_t)(o->seconds * 1e9), before = start;
    int is_back = o->phase == CREW_BACK;
    while ((before < end || is_back) && step(w, is_back, limit, &r->items)) {
        uint64_t after = clock_ns();
        hist_add(&r->latency, after - before);
        r->calls++;
        before = after;
    }
    r->seconds = (double)(before - start) * 1e-9;
}

static void run_open(struct worker *w, const struct crew_order *o, uint32_t limit, struct crew_result *r) {
    uint64_t start = clock_ns(), after = start, due = start;
    uint64_t end = start + (uint64_t)(o->seconds * 1e9);
    double gap_ns = 1e9 / o->calls_per_s;
    for (; due < end; due = start + (uint64_t)((double)r->calls * gap_ns)) {
        while (after < due) {
            __builtin_ia32_pause();
            after = clock_ns();
        }
        if (!step(w, 0, limit, &r->items))
            break;
        after = clock_ns();
        hist_add(&r->latency, after - due);
        r->calls++;
    }
    r->seconds = (double)(after - start) * 1e-9;
}

static void obey(struct worker *w) {
    struct board *b = w->crew->board;
    struct crew_order o = b->order;
    struct crew_result *r = &b->result[w->number];
    int is_back = o.phase == CREW_BACK;
    memset(r, 0, sizeof *r);
    if (is_paired(w))
        w->at = 0;
    start_together(b, w->crew->count);
    if (!is_back || is_paired(w)) {
        uint32_t limit = is_back ? w->phase_one : w->ring.count;
        perf_start(&w->perf);
        (o.calls_per_s > 0 ? run_open : o.is_timed ? run_closed : run_untimed)(w, &o, limit, r);
        perf_stop(&w->perf, r->counted);
    }
    w->phase_one = is_back ? w->phase_one : w->is_reversed ? w->ring.count : w->at;
    w->is_reversed = 0;
    r->calls_per_s = r->seconds > 0 ? (double)r->calls / r->seconds : 0;
}

static void *worker_main(void *arg) {
    struct worker *w = arg;
    struct crew *c = w->crew;
    uint32_t turn = 0;
    w->session = c->engine->attach(c->state);
    workload_fill(&w->ring, c->work[w->number], c->engine, w->session, c->scene, w->number, c->count);
    perf_open(&w->perf);
    atomic_fetch_add(&c->board->ready, 1);
    futex_wake(&c->board->ready);
    for (;;) {
        while (atomic_load(&c->board->turn) == turn)
            futex_wait(&c->board->turn, turn);
        turn = atomic_load(&c->board->turn);
        if (c->board->order.phase == CREW_QUIT)
            break;
        obey(w);
        atomic_fetch_add(&c->board->done, 1);
        futex_wake(&c->board->done);
    }
    perf_close(&w->perf);
    ring_free(&w->ring);
    c->engine->detach(w->session);
    return NULL;
}

static void process_main(struct crew *c, unsigned first, unsigned count) {
    pthread_t thread[CREW_MAX];
    struct worker *workers = calloc(CREW_MAX, sizeof *workers);
    if (!workers)
        fail("no memory for workers");
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    workers[0] = (struct worker){.crew = c, .number = first};
    for (unsigned i = 1; i < count; i++) {
        workers[i] = (struct worker){.crew = c, .number = first + i};
        if (pthread_create(&thread[i], NULL, worker_main, &workers[i]))
            fail("no thread");
    }
    worker_main(&workers[0]);
    for (unsigned i = 1; i < count; i++)
        pthread_join(thread[i], NULL);
    _exit(0);
}

/* ---- The parent ------------------------------------------------------------------------------ */

static void await(struct crew *c, _Atomic uint32_t *word, uint32_t value) {
    uint64_t deadline = clock_ns() + PATIENCE_S * UINT64_C(1000000000);
    for (uint32_t seen; (seen = atomic_load(word)) < value;) {
        futex_wait(word, seen);
        for (unsigned i = 0; i < c->process_count; i++)
            if (waitpid(c->pid[i], NULL, WNOHANG) == c->pid[i])
                fail("a worker of %s ended in the middle of %s", c->engine->name, c->work[i]->name);
        if (clock_ns() > deadline)
            fail("%s does not come to an end with %s", c->engine->name, c->work[0]->name);
    }
}

struct crew *crew_start(const struct engine *engine, void *state, const struct scene *scene,
                        const struct workload *const work[], unsigned count, int is_threads) {
    struct crew *c = calloc(1, sizeof *c);
    if (!c)
        fail("no memory for a crew");
    *c = (struct crew){.engine = engine, .state = state, .scene = scene, .count = count};
    c->process_count = is_threads ? 1 : count;
    for (unsigned i = 0; i < count; i++)
        c->work[i] = work[i];
    c->board = mmap(NULL, sizeof *c->board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (c->board == MAP_FAILED)
        fail("no memory");
    fflush(NULL);
    for (unsigned i = 0; i < c->process_count; i++) {
        c->pid[i] = fork();
        if (c->pid[i] == 0)
            process_main(c, i, is_threads ? count : 1);
        if (c->pid[i] < 0)
            fail("no process");
    }
    await(c, &c->board->ready, count);
    return c;
}

static void order(struct crew *c, const struct crew_order *o) {
    c->board->order = *o;
    atomic_store(&c->board->done, 0);
    atomic_fetch_add(&c->board->turn, 1);
    futex_wake(&c->board->turn);
}

void crew_begin(struct crew *c, const struct crew_order *o) {
    order(c, o);
}

void crew_wait(struct crew *c, struct crew_result result[]) {
    await(c, &c->board->done, c->count);
    memcpy(result, c->board->result, c->count * sizeof *result);
}

void crew_run(struct crew *c, const struct crew_order *o, struct crew_result result[]) {
    crew_begin(c, o);
    crew_wait(c, result);
}

void crew_stop(struct crew *c) {
    struct crew_order quit = {.phase = CREW_QUIT};
    order(c, &quit);
    for (unsigned i = 0; i < c->process_count; i++)
        waitpid(c->pid[i], NULL, 0);
    munmap(c->board, sizeof *c->board);
    free(c);
}
