/* bench/special.c - see special.h. Uses larder.h alone. */
#include "bench/special.h"
#include "bench/clock.h"
#include "bench/fail.h"
#include "bench/place.h"
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXPIRES_S (PLACE_START_S + 100)
#define STAYING 100000u

/* Puts an item of item_bytes; returns its size. */
static size_t put(struct place *p, uint64_t n, size_t item_bytes, int64_t expires_s) {
    const struct larder_item *item = place_item(p, n, item_bytes, expires_s);
    place_must(larder_put(p->table, item, NULL), "put");
    return larder_item_size(item);
}

/* ---- Expiry ---------------------------------------------------------------------------------- */

struct reader_board {
    _Atomic uint64_t gets;
};

static void read_for_ever(int memfd, struct reader_board *board) {
    struct place p = {.indexes = INDEX_COUNT};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    place_open(&p, memfd, 0);
    for (uint64_t i = 0;; i++) {
        struct bench_key k;
        dataset_key(dataset_mix(i) % STAYING, &k);
        struct larder_key key = place_key(&k);
        if (larder_get(p.table, &key, p.page) != LARDER_OK)
            fail("an item that stays is gone");
        if (i % 64 == 0)
            atomic_fetch_add(&board->gets, 64);
    }
}

static double gets_per_s(struct reader_board *b, uint64_t since_gets, uint64_t since_ns) {
    return (double)(atomic_load(&b->gets) - since_gets) / ((double)(clock_ns() - since_ns) * 1e-9);
}

void special_expiry(uint64_t items, struct expiry_figures *out) {
    struct place p = {.indexes = INDEX_COUNT};
    struct timespec second = {.tv_sec = 1};
    struct reader_board *board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    place_now_s = PLACE_START_S;
    place_open(&p, -1, (items + STAYING) * 1500);
    for (uint64_t n = 0; n < STAYING; n++)
        put(&p, n, 300, 0);
    for (uint64_t n = STAYING; n < STAYING + items; n++)
        put(&p, n, 300, EXPIRES_S);
    fflush(NULL);
    pid_t reader = fork();
    if (reader == 0)
        read_for_ever(larder_memfd(p.db), board);
    while (atomic_load(&board->gets) < 200000)
        sched_yield();
    uint64_t gets = atomic_load(&board->gets), start = clock_ns(), removed = 0;
    nanosleep(&second, NULL);
    out->gets_alone = gets_per_s(board, gets, start);
    place_now_s = EXPIRES_S + 1;
    gets = atomic_load(&board->gets);
    start = clock_ns();
    place_must(larder_expire(p.db, 0, &removed), "expire");
    out->seconds = (double)(clock_ns() - start) * 1e-9;
    out->gets_beside = gets_per_s(board, gets, start);
    gets = atomic_load(&board->gets);
    start = clock_ns();
    /* alone is measured before and after, so that a drift of the machine counts for neither */
    nanosleep(&second, NULL);
    out->gets_alone = (out->gets_alone + gets_per_s(board, gets, start)) / 2;
    out->items = removed;
    if (removed != items)
        fail("%llu of %llu items were removed", (unsigned long long)removed, (unsigned long long)items);
    kill(reader, SIGKILL);
    waitpid(reader, NULL, 0);
    larder_close(p.db);
    munmap(board, sizeof *board);
}

/* ---- Memory ---------------------------------------------------------------------------------- */

double special_memory(uint64_t items, uint32_t item_bytes, int indexes) {
    struct place p = {.indexes = indexes};
    struct larder_segment_stats stats;
    uint64_t bytes = 0, drawn = 7, slots = items * 2; /* half of the keys are in use at any time */
    uint16_t *size = calloc(slots, sizeof *size);
    place_now_s = PLACE_START_S;
    place_open(&p, -1, items * (item_bytes * 3ull + 1500));
    for (uint64_t n = 0; n < items; n++)
        bytes += size[n] = (uint16_t)put(&p, n, item_bytes, 0);
    for (uint64_t i = 0; i < items; i++) {
        uint64_t n = (drawn = dataset_mix(drawn)) % slots;
        struct bench_key k;
        bytes -= size[n];
        if (size[n] && drawn >> 40 & 1) {
            dataset_key(n, &k);
            struct larder_key key = place_key(&k);
            place_must(larder_delete(p.table, &key, NULL), "delete");
            size[n] = 0;
        } else { /* a tenth smaller or larger */
            size[n] = (uint16_t)put(&p, n, item_bytes * 9 / 10 + (drawn >> 20) % (item_bytes / 5 + 1), 0);
        }
        bytes += size[n];
    }
    place_must(larder_segment_stats(p.db, &stats), "stats");
    larder_close(p.db);
    free(size);
    return (double)stats.claimed_bytes / (double)bytes;
}
