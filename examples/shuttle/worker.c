/* worker.c - one process of the demo. See worker.h. */
#include "worker.h"

#include <stdio.h>
#include <time.h>

#include "load.h"
#include "patterns.h"

static bool worker_refuse(const char *what, int result) {
    (void)fprintf(stderr, "shuttle: %s: %s %s\n", what, larder_result_name(result), larder_error());
    return false;
}

static bool worker_attach(struct worker *w, const char *segment) {
    const struct larder_options options = {.segment = segment};
    int result = larder_open(&options, &w->db);
    if (result != LARDER_OK)
        return worker_refuse(segment, result);
    if ((result = larder_table_open(w->db, KEY_TABLE_NAME, &w->table)) != LARDER_OK ||
        (result = larder_page_new(w->db, &w->page)) != LARDER_OK ||
        (result = larder_builder_new(w->db, &w->builder)) != LARDER_OK)
        return worker_refuse(KEY_TABLE_NAME, result);
    return true;
}

bool worker_open(struct worker *w, const char *segment, int board_fd, uint32_t slot) {
    struct gen_load load;
    *w = (struct worker){0};
    if (!worker_attach(w, segment) || !load_read(w->table, w->page, &load))
        return false;
    if (!gen_init(&w->gen, &load) || !zipf_init(&w->zipf, load.shop_count))
        return worker_refuse("no memory for the generator", LARDER_E_NO_MEMORY);
    w->board = board_map(board_fd, gen_live_count(&w->gen));
    if (!w->board || slot >= BOARD_SLOTS_MAX)
        return worker_refuse("no board; `shuttle run` starts this process", LARDER_E_INVAL);
    if (!oracle_init(&w->oracle, &w->gen, w->board))
        return worker_refuse("no memory for the oracle", LARDER_E_NO_MEMORY);
    w->slot = &w->board->slot[slot];
    w->rng.state = rng_hash(load.seed, slot, 1);
    atomic_store(&w->slot->state, BOARD_RUNNING);
    return true;
}

void worker_close(struct worker *w) {
    if (w->slot)
        atomic_store(&w->slot->state, BOARD_ENDED);
    oracle_done(&w->oracle);
    zipf_done(&w->zipf);
    gen_done(&w->gen);
    larder_close(w->db); /* frees its pages and builders, too */
}

static uint64_t worker_now_ns(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void worker_call_begins(struct worker *w) {
    if (!w->is_aside)
        atomic_store_explicit(&w->slot->in_call, w->pattern + 1, memory_order_relaxed);
    w->begun_ns = worker_now_ns();
}

void worker_call_ends(struct worker *w) {
    if (w->is_aside)
        return;
    w->spent_ns += worker_now_ns() - w->begun_ns;
    atomic_store_explicit(&w->slot->in_call, 0, memory_order_relaxed);
}

static bool worker_failed(struct worker *w, int result) {
    oracle_complain(&w->oracle, larder_result_name(result), larder_error(), "");
    return false;
}

bool worker_query(struct worker *w, const struct oracle_question *q, uint32_t id) {
    struct larder_query_spec spec = {.index = key_attributes[q->index].index,
                                     .partition = larder_str(q->partition),
                                     .sort_op = q->op,
                                     .sort_value = larder_str(q->low),
                                     .sort_value2 = larder_str(q->high),
                                     .is_descending = q->is_descending,
                                     .limit = q->page_items};
    int result;
    if (id == WORKER_ANY)
        oracle_ask(&w->oracle, q);
    else
        oracle_ask_one(&w->oracle, q, id);
    do {
        worker_call_begins(w);
        result = larder_query(w->table, &spec, w->page);
        worker_call_ends(w);
        if (result < 0)
            return worker_failed(w, result);
        oracle_judge(&w->oracle, w->page);
        spec.start_key = larder_page_resume(w->page);
        if (result == LARDER_MORE && !spec.start_key)
            return worker_failed(w, result);
    } while (result == LARDER_MORE && (q->items_max == 0 || w->oracle.item_count < q->items_max));
    return oracle_end(&w->oracle);
}

bool worker_get(struct worker *w, const char *partition, const char *sort, uint32_t id) {
    struct oracle_question q = {.index = KEY_TABLE, .op = LARDER_SORT_EQ};
    struct larder_key key = {larder_str(partition), larder_str(sort)};
    key_join(partition, "", q.partition);
    key_join(sort, "", q.low);
    oracle_ask_one(&w->oracle, &q, id);
    worker_call_begins(w);
    int result = larder_get(w->table, &key, w->page);
    worker_call_ends(w);
    if (result < 0)
        return worker_failed(w, result);
    if (result == LARDER_OK)
        oracle_judge(&w->oracle, w->page);
    return oracle_end(&w->oracle);
}

void worker_count(struct worker *w, bool is_right) {
    struct board_tally *t = &w->slot->tally[w->pattern];
    char note[BOARD_NOTE_BYTES + 64];
    if (atomic_load(&w->board->phase) == BOARD_REST) {
        board_count(&t->compared_rest, 1);
    } else {
        board_count(&t->compared_live, 1);
        if (w->spent_ns > 0)
            hist_add(&t->hist, w->spent_ns);
    }
    board_count(&t->items, w->oracle.item_count);
    if (!is_right) {
        board_count(&t->wrong, 1);
        (void)snprintf(note, sizeof note, "pattern %s: %s", patterns[w->pattern].label, w->oracle.complaint);
        board_note(w->slot, note);
    }
    w->spent_ns = 0;
}
