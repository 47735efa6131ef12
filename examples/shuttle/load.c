/* load.c - stores the load, and records in the table what it was made from. See load.h. */
#include "load.h"

#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "item.h"
#include "key.h"
#include "sink.h"

#define LOAD_PROCESSES 2u
#define LOAD_KEY "LOAD#CURRENT"
#define LOAD_BAR 40u

/* The number of items that each loading process has stored. */
struct load_progress {
    _Atomic uint32_t stored[LOAD_PROCESSES];
};

/* The handles of a loading process; opened after the fork, so that each process has its own
 * attachment. */
struct load_store {
    struct larder *db;
    struct larder_table *table;
    struct larder_builder *builder;
};

static bool load_fail(const char *what, int result) {
    (void)fprintf(stderr, "shuttle load: %s: %s %s\n", what, larder_result_name(result), larder_error());
    return false;
}

static bool load_open(struct load_store *l, const char *segment) {
    const struct larder_options options = {.segment = segment};
    int result = larder_open(&options, &l->db);
    if (result != LARDER_OK)
        return load_fail(segment, result);
    if ((result = larder_table_open(l->db, KEY_TABLE_NAME, &l->table)) != LARDER_OK ||
        (result = larder_builder_new(l->db, &l->builder)) != LARDER_OK)
        return load_fail(KEY_TABLE_NAME, result);
    return true;
}

static bool load_put(struct load_store *l) {
    const struct larder_item *item;
    int result = larder_builder_finish(l->builder, &item);
    if (result == LARDER_OK)
        result = larder_put(l->table, item, NULL);
    return result == LARDER_OK || load_fail("put", result);
}

static bool load_place(struct load_store *l, const struct gen *g, struct gen_place p) {
    struct sink s;
    sink_open(&s, l->builder);
    item_emit(g, p, 0, &s);
    return load_put(l);
}

/* One process's share: every LOAD_PROCESSES-th shop. */
static bool load_shops(struct load_store *l, const struct gen *g, uint32_t share, _Atomic uint32_t *stored) {
    for (uint32_t shop = share; shop < g->load.shop_count; shop += LOAD_PROCESSES) {
        uint32_t n = gen_shop_items(g, shop);
        for (uint32_t i = 0; i < n; i++) {
            if (!load_place(l, g, gen_place_in(g, shop, i)))
                return false;
            atomic_fetch_add_explicit(stored, 1, memory_order_relaxed);
        }
    }
    return share != 0 || load_place(l, g, (struct gen_place){GEN_CONFIG, 0, 0});
}

static int load_child(const char *segment, const struct gen *g, uint32_t share, _Atomic uint32_t *stored) {
    struct load_store l = {0};
    bool is_done = load_open(&l, segment) && load_shops(&l, g, share, stored);
    larder_close(l.db);
    return is_done ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* ---- Progress -------------------------------------------------------------------------------- */

static double load_seconds(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* On a terminal a bar that fills; in a log one line for each tenth. */
static void load_show(uint64_t stored, uint64_t total, double seconds, unsigned *tenths_shown) {
    char bar[LOAD_BAR + 1];
    unsigned tenths = (unsigned)(stored * 10 / total);
    bool is_terminal = isatty(STDOUT_FILENO);
    if (!is_terminal && tenths <= *tenths_shown)
        return;
    *tenths_shown = tenths;
    for (unsigned i = 0; i < LOAD_BAR; i++)
        bar[i] = i < stored * LOAD_BAR / total ? '#' : '.';
    bar[LOAD_BAR] = 0;
    (void)printf("%s  [%s] %3u%%  %" PRIu64 " of %" PRIu64 " items, %.1f s%s", is_terminal ? "\r" : "", bar,
                 (unsigned)(stored * 100 / total), stored, total, seconds, is_terminal ? "  " : "\n");
    (void)fflush(stdout);
}

/* Waits for the children and shows their progress; false if one failed. */
static bool load_wait(struct load_progress *progress, uint64_t total, unsigned running) {
    double begun = load_seconds();
    unsigned tenths_shown = 0;
    bool is_good = true;
    int status;
    while (running > 0) {
        while (running > 0 && waitpid(-1, &status, WNOHANG) > 0) {
            running--;
            is_good = is_good && WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS;
        }
        uint64_t stored = 0;
        for (unsigned i = 0; i < LOAD_PROCESSES; i++)
            stored += atomic_load_explicit(&progress->stored[i], memory_order_relaxed);
        load_show(stored, total, load_seconds() - begun, &tenths_shown);
        if (running > 0)
            (void)usleep(100000);
    }
    if (isatty(STDOUT_FILENO))
        (void)printf("\n");
    return is_good;
}

/* ---- The item that records the load ---------------------------------------------------------- */

static bool load_write(const char *segment, const struct gen_load *load) {
    struct load_store l = {0};
    struct sink s;
    bool is_done = load_open(&l, segment);
    if (is_done) {
        sink_open(&s, l.builder);
        sink_s(&s, "PK", "CONFIG");
        sink_s(&s, "SK", LOAD_KEY);
        sink_n(&s, "seed", (int64_t)load->seed);
        sink_n(&s, "shops", load->shop_count);
        sink_n(&s, "today", load->today);
        is_done = load_put(&l);
    }
    larder_close(l.db);
    return is_done;
}

static bool load_number(const struct larder_item *item, const char *name, int64_t *out) {
    struct larder_value v;
    return larder_item_get(item, name, &v) == LARDER_OK && larder_value_int64(&v, out) == LARDER_OK;
}

bool load_read(struct larder_table *t, struct larder_page *page, struct gen_load *out) {
    const struct larder_key key = {larder_str("CONFIG"), larder_str(LOAD_KEY)};
    int64_t seed, shops, today;
    int result = larder_get(t, &key, page);
    if (result == LARDER_NOT_FOUND) {
        (void)fprintf(stderr, "shuttle: the table is not loaded completely; run `shuttle load`\n");
        return false;
    }
    if (result != LARDER_OK)
        return load_fail("get", result);
    const struct larder_item *item = larder_page_item(page, 0);
    if (!load_number(item, "seed", &seed) || !load_number(item, "shops", &shops) ||
        !load_number(item, "today", &today) || shops < GEN_SHOPS_MIN || shops > GEN_SHOPS_MAX)
        return load_fail("CONFIG " LOAD_KEY, LARDER_E_INVAL);
    *out = (struct gen_load){(uint64_t)seed, (uint32_t)shops, today};
    return true;
}

/* The number of loading processes that could be started. */
static unsigned load_fork(const char *segment, const struct gen *g, struct load_progress *progress) {
    unsigned started = 0;
    for (; started < LOAD_PROCESSES; started++) {
        pid_t child = fork();
        if (child == 0) {
            (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
            _exit(load_child(segment, g, started, &progress->stored[started]));
        }
        if (child < 0)
            break;
    }
    return started;
}

int load_run(const char *segment, const struct gen_load *load) {
    struct gen g;
    struct load_progress *progress =
        mmap(NULL, sizeof *progress, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (progress == MAP_FAILED || !gen_init(&g, load)) {
        (void)fprintf(stderr, "shuttle load: no memory\n");
        return EXIT_FAILURE;
    }
    (void)printf("  %u shops, %u items, seed %" PRIu64 ", %u processes\n", load->shop_count, gen_item_count(&g),
                 load->seed, LOAD_PROCESSES);
    (void)fflush(stdout);
    unsigned started = load_fork(segment, &g, progress);
    bool is_done =
        load_wait(progress, gen_item_count(&g) - 1, started) && started == LOAD_PROCESSES && load_write(segment, load);
    gen_done(&g);
    (void)munmap(progress, sizeof *progress);
    return is_done ? EXIT_SUCCESS : EXIT_FAILURE;
}
