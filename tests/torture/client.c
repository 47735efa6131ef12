/* tests/torture/client.c - attaching, and saying what is wrong. See torture.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/torture/torture.h"

const struct torture_table torture_tables[TABLES] = {
    [TABLE_PAIR] = {"Pair", CONTENT_TEXT_KEYS, 40, 0, 60000, 15, -1, 0, 1, 0},
    [TABLE_SINGLE] = {"Single", CONTENT_NUMBER_KEY, 24, 0, 3000, 0, -1, 0, 1, 1},
    [TABLE_CHURN] = {"Churn", CONTENT_BYTES_KEYS, 24, 0, 9000, 4, 0, 1, 1, 0},
    [TABLE_HOG] = {"Hog", CONTENT_NUMBER_KEY, 0, 20000, 380000, 0, -1, 0, 0, 0},
};

struct content_source client_source(const struct client *c, uint32_t table) {
    const struct torture_table *t = &torture_tables[table];
    return (struct content_source){
        .seed = c->h->seed + table, .keys = t->keys, .fill_min = t->fill_min, .fill_max = t->fill_max};
}

uint32_t client_keys(const struct client *c, uint32_t table) {
    return torture_tables[table].key_count ? torture_tables[table].key_count : c->run->hog_keys;
}

static void end_with(struct client *c, const char *what, int verdict) __attribute__((noreturn));

static void end_with(struct client *c, const char *what, int verdict) {
    uint32_t none = 0;
    fprintf(stderr, "process %d: %s\n", (int)getpid(), what);
    if (atomic_compare_exchange_strong(&c->run->has_failed, &none, 1)) {
        snprintf(c->run->failure, sizeof c->run->failure, "%s", what);
        atomic_store(&c->run->has_failed, 2);
    }
    _exit(verdict);
}

void client_wrong(struct client *c, const char *what) {
    end_with(c, what, EXIT_WRONG);
}

/* A patient client that gets LARDER_E_BUSY has waited longer than any process was stopped: for a
 * dead one, or for ever. */
void client_failed(struct client *c, const char *call, int result) {
    end_with(c, content_wrong("%s: %s: %s", call, larder_result_name(result), larder_error()),
             result == LARDER_E_BUSY ? EXIT_STUCK : EXIT_WRONG);
}

static int64_t shared_clock(void *arg) {
    return atomic_load(&((struct shared *)arg)->now_s);
}

static void make_tools(struct client *c) {
    int r = larder_builder_new(c->db, &c->builder);
    if (r == LARDER_OK)
        r = larder_page_new(c->db, &c->page);
    if (r)
        client_failed(c, "builder and page", r);
}

void client_open(struct client *c, struct run *run, uint32_t author, uint64_t seed, uint32_t flags, uint32_t busy_ms) {
    struct larder_options options = {
        .segment = run->segment, .flags = flags, .size_bytes = run->segment_bytes, .stripe_count = 4};
    memset(c, 0, sizeof *c);
    c->run = run;
    c->h = &run->shared;
    c->author = author;
    c->is_read_only = (flags & LARDER_READ_ONLY) != 0;
    c->is_impatient = busy_ms < BUSY_MS;
    options.busy_timeout_ms = busy_ms;
    rng_seed(&c->rng, seed);
    int r = larder_open(&options, &c->db);
    if (r)
        client_failed(c, "open", r);
    larder_set_clock(c->db, shared_clock, c->h);
    make_tools(c);
}

void client_join(struct client *c, const struct client *first, uint32_t author, uint64_t seed) {
    memset(c, 0, sizeof *c);
    c->run = first->run;
    c->h = first->h;
    c->db = first->db;
    c->author = author;
    c->is_read_only = first->is_read_only;
    c->is_impatient = first->is_impatient;
    rng_seed(&c->rng, seed);
    make_tools(c);
}
