/* tests/crash/halt.c - see halt.h. */
#include "tests/crash/halt.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/crash.h"
#include "core/memory/record.h"
#include "core/segment/live.h"
#include "core/table/db.h"
#include "tests/support/until.h"

/* ---- The child ------------------------------------------------------------------------------- */

static _Atomic uint64_t *child_step; /* of this process, if it is such a child */

/* Runs when the child goes on, before anything else does. */
static void arm_next(int signal) {
    (void)signal;
    shm_crash_arm_stop(atomic_load(child_step));
}

struct child {
    int (*run)(void *arg);
    void *arg;
    _Atomic uint64_t *step;
};

static int child_main(void *arg) {
    struct child *c = arg;
    struct sigaction action = {.sa_handler = arm_next, .sa_flags = SA_RESTART};
    child_step = c->step;
    PROC_CHECK(sigaction(SIGCONT, &action, NULL) == 0);
    shm_crash_arm_stop(atomic_load(c->step));
    return c->run(c->arg);
}

void halt_start(struct halt *h, int (*run)(void *arg), void *arg, uint64_t first) {
    *h = (struct halt){.at = first};
    h->step = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq((void *)h->step, MAP_FAILED);
    atomic_store(h->step, first);
    struct child c = {run, arg, h->step};
    h->pid = proc_fork(child_main, &c);
}

int halt_has_news(struct halt *h) {
    int status = 0;
    if (h->is_stopped || h->end.end)
        return 1;
    pid_t got = waitpid(h->pid, &status, WUNTRACED | WNOHANG);
    if (got != h->pid)
        return 0;
    if (WIFSTOPPED(status))
        h->is_stopped = 1;
    else if (WIFSIGNALED(status))
        h->end = (struct proc_result){PROC_KILLED, WTERMSIG(status)};
    else
        h->end = (struct proc_result){PROC_EXITED, WEXITSTATUS(status)};
    return 1;
}

int halt_wait(struct halt *h, uint32_t deadline_ms) {
    if (!UNTIL(halt_has_news(h), deadline_ms)) {
        proc_kill(h->pid);
        cr_assert_fail("a child that should stop after store %lu goes on, or waits", (unsigned long)h->at);
    }
    return h->is_stopped;
}

void halt_go_on(struct halt *h, uint64_t step) {
    cr_assert(h->is_stopped);
    h->is_stopped = 0;
    h->at += step;
    atomic_store(h->step, step);
    proc_resume(h->pid);
}

void halt_kill(struct halt *h) {
    h->is_stopped = 0;
    h->end = proc_kill(h->pid);
}

void halt_forget(struct halt *h) {
    munmap((void *)h->step, 4096);
}

/* ---- Locks ----------------------------------------------------------------------------------- */

/* A lock that the slot notes, if it has it. */
static void note_held(const struct seg *s, uint32_t slot, uint64_t off, struct halt_locks *held) {
    lock_word *lock = off ? seg_word(s, off) : NULL;
    struct halt_lock found = {.off = off, .slot = slot};
    if (!lock || lock_owner(lock) != (int)slot || halt_find(held, off))
        return;
    cr_assert(lock_rank_of(s, off, &found.rank) && held->count < HALT_LOCKS_MAX);
    found.is_live = live_is_held(s, slot) != 0;
    held->at[held->count++] = found;
}

void halt_look(struct larder *db, struct halt_locks *held) {
    const struct seg *s = &db->seg;
    held->count = 0;
    for (uint32_t i = 0; i < s->slot_count; i++) {
        struct slot_shm *slot = seg_slot(s, i);
        uint32_t entries = 0;
        if (SHM_LOAD(&slot->state) != SLOT_LIVE)
            continue;
        for (unsigned k = 0; k < SLOT_LOCKS; k++)
            note_held(s, i, SHM_LOAD(&slot->locks[k]), held);
        const struct record_shm *record = record_at(s, SHM_LOAD(&slot->record_off), &entries);
        for (uint32_t k = 0; record && k < entries; k++)
            note_held(s, i, SHM_LOAD(&record->entry[k].stripe_off), held);
    }
}

const struct halt_lock *halt_find(const struct halt_locks *held, uint64_t off) {
    for (uint32_t i = 0; i < held->count; i++)
        if (held->at[i].off == off)
            return &held->at[i];
    return NULL;
}

const struct halt_lock *halt_find_rank(const struct halt_locks *held, enum lock_rank rank, int only_live) {
    for (uint32_t i = 0; i < held->count; i++)
        if (held->at[i].rank == rank && (held->at[i].is_live || !only_live))
            return &held->at[i];
    return NULL;
}

uint64_t halt_signature(const struct halt_locks *held) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < held->count; i++)
        if (held->at[i].is_live)
            sum += (held->at[i].off + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ held->at[i].slot;
    return sum;
}
