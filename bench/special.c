/* bench/special.c - see special.h. Uses larder.h alone. */
#include "bench/special.h"
#include "bench/clock.h"
#include "bench/dataset.h"
#include "bench/fail.h"
#include "larder.h"
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_S INT64_C(1800000000)
#define EXPIRES_S (START_S + 100)
#define STAYING 100000u
#define PAYLOAD_MAX 1024u

struct place {
    struct larder *db;
    struct larder_table *table;
    struct larder_builder *builder;
    struct larder_page *page;
    int indexes;
};

static int64_t now_s = START_S;

static int64_t clock_of_test(void *arg) {
    (void)arg;
    return now_s;
}

static void must(int result, const char *what) {
    if (result < 0)
        fail("%s: %s: %s", what, larder_result_name(result), larder_error());
}

static void open_place(struct place *p, int memfd, uint64_t size_bytes) {
    struct larder_options o = {
        .flags = LARDER_MEMFD | (memfd < 0 ? LARDER_CREATE : 0), .memfd = memfd, .size_bytes = size_bytes};
    must(larder_open(&o, &p->db), "open");
    larder_set_clock(p->db, clock_of_test, NULL);
    if (memfd < 0) {
        struct larder_index_def index[INDEX_COUNT];
        memset(index, 0, sizeof index);
        for (int i = 0; i < INDEX_COUNT; i++) {
            index[i].name = dataset_index_names[i];
            index[i].partition = (struct larder_key_def){dataset_index_attributes[i][0], LARDER_S};
            index[i].sort = (struct larder_key_def){dataset_index_attributes[i][1], LARDER_S};
        }
        struct larder_table_def def = {.name = "special",
                                       .partition = {"PK", LARDER_S},
                                       .sort = {"SK", LARDER_S},
                                       .indexes = index,
                                       .index_count = (uint32_t)p->indexes,
                                       .ttl_attribute = "ExpiresAt"};
        must(larder_table_create(p->db, &def), "create");
    }
    must(larder_table_open(p->db, "special", &p->table), "table");
    must(larder_builder_new(p->db, &p->builder), "builder");
    must(larder_page_new(p->db, &p->page), "page");
}

/* Puts an item of item_bytes; returns its size. */
static size_t put(struct place *p, uint64_t n, size_t item_bytes, int64_t expires_s) {
    static char fill[PAYLOAD_MAX];
    const struct larder_item *item = NULL;
    struct bench_key key;
    struct index_key ik;
    size_t have = 0;
    dataset_key(n, &key);
    dataset_payload(n, 0, fill, sizeof fill);
    for (size_t bytes = 0; have < item_bytes; bytes += item_bytes - have) {
        larder_builder_reset(p->builder);
        larder_builder_add_sn(p->builder, "PK", key.pk, PK_BYTES);
        larder_builder_add_sn(p->builder, "SK", key.sk, SK_BYTES);
        if (expires_s)
            larder_builder_add_int(p->builder, "ExpiresAt", expires_s);
        for (int i = 0; i < p->indexes; i++) {
            dataset_index_key(n, i, 0, &ik);
            larder_builder_add_sn(p->builder, dataset_index_attributes[i][0], ik.partition, ik.partition_bytes);
            larder_builder_add_sn(p->builder, dataset_index_attributes[i][1], ik.sort, ik.sort_bytes);
        }
        larder_builder_add_sn(p->builder, "data", fill, bytes);
        must(larder_builder_finish(p->builder, &item), "item");
        have = larder_item_size(item);
    }
    must(larder_put(p->table, item, NULL), "put");
    return have;
}

static struct larder_key key_of(const struct bench_key *k) {
    return (struct larder_key){{.type = LARDER_S, .data = k->pk, .bytes = PK_BYTES},
                               {.type = LARDER_S, .data = k->sk, .bytes = SK_BYTES}};
}

/* ---- Expiry ---------------------------------------------------------------------------------- */

struct reader_board {
    _Atomic uint64_t gets;
};

static void read_for_ever(int memfd, struct reader_board *board) {
    struct place p = {.indexes = INDEX_COUNT};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    open_place(&p, memfd, 0);
    for (uint64_t i = 0;; i++) {
        struct bench_key k;
        dataset_key(dataset_mix(i) % STAYING, &k);
        struct larder_key key = key_of(&k);
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
    now_s = START_S;
    open_place(&p, -1, (items + STAYING) * 1500);
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
    now_s = EXPIRES_S + 1;
    gets = atomic_load(&board->gets);
    start = clock_ns();
    must(larder_expire(p.db, 0, &removed), "expire");
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
    now_s = START_S;
    open_place(&p, -1, items * (item_bytes * 3ull + 1500));
    for (uint64_t n = 0; n < items; n++)
        bytes += size[n] = (uint16_t)put(&p, n, item_bytes, 0);
    for (uint64_t i = 0; i < items; i++) {
        uint64_t n = (drawn = dataset_mix(drawn)) % slots;
        struct bench_key k;
        bytes -= size[n];
        if (size[n] && drawn >> 40 & 1) {
            dataset_key(n, &k);
            struct larder_key key = key_of(&k);
            must(larder_delete(p.table, &key, NULL), "delete");
            size[n] = 0;
        } else { /* a tenth smaller or larger */
            size[n] = (uint16_t)put(&p, n, item_bytes * 9 / 10 + (drawn >> 20) % (item_bytes / 5 + 1), 0);
        }
        bytes += size[n];
    }
    must(larder_segment_stats(p.db, &stats), "stats");
    larder_close(p.db);
    free(size);
    return (double)stats.claimed_bytes / (double)bytes;
}
