/* tests/support/serial.c - see serial.h. */
#include "tests/support/serial.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local char message[200];

struct edge {
    uint32_t to, next; /* next: number + 1 in the list of the same node */
};

struct judge {
    const struct serial_txn *txn;
    uint32_t count, key_count;
    char *is_in;            /* by transaction: it was done */
    uint32_t *overwriter;   /* by version and key: transaction + 1 */
    uint32_t *first, *into; /* by node: edges from it, number of edges to it */
    struct edge *edge;
    uint32_t edge_count, edge_room;
};

static const char *wrong(const char *what, uint32_t a, uint32_t b) {
    snprintf(message, sizeof message, "%s: transactions %u and %u", what, a, b);
    return message;
}

static int writes(const struct serial_txn *t, uint32_t key) {
    for (uint32_t i = 0; i < t->op_count; i++)
        if (t->op[i].key == key && t->op[i].is_write)
            return 1;
    return 0;
}

/* Which transactions were done: those that say so, and those whose writes were seen. */
static const char *find_done(struct judge *j) {
    for (uint32_t i = 0; i < j->count; i++)
        j->is_in[i] = j->txn[i].state == SERIAL_DONE;
    for (int is_again = 1; is_again;) {
        is_again = 0;
        for (uint32_t i = 0; i < j->count; i++)
            for (uint32_t k = 0; j->is_in[i] && k < j->txn[i].op_count; k++) {
                uint32_t seen = j->txn[i].op[k].seen;
                if (seen == 0 ||
                    (seen <= j->count && j->is_in[seen - 1] && writes(&j->txn[seen - 1], j->txn[i].op[k].key)))
                    continue;
                if (seen > j->count || j->txn[seen - 1].state != SERIAL_UNKNOWN ||
                    !writes(&j->txn[seen - 1], j->txn[i].op[k].key))
                    return wrong("read what was not written", i, seen - 1);
                j->is_in[seen - 1] = 1;
                is_again = 1;
            }
    }
    return NULL;
}

static uint32_t *overwriter_of(struct judge *j, uint32_t version, uint32_t key) {
    return &j->overwriter[(size_t)version * j->key_count + key];
}

static const char *find_overwriters(struct judge *j) {
    for (uint32_t i = 0; i < j->count; i++)
        for (uint32_t k = 0; j->is_in[i] && k < j->txn[i].op_count; k++) {
            const struct serial_op *op = &j->txn[i].op[k];
            if (!op->is_write)
                continue;
            uint32_t *by = overwriter_of(j, op->seen, op->key);
            if (*by)
                return wrong("a write was lost: both overwrote the same version", *by - 1, i);
            *by = i + 1;
        }
    return NULL;
}

static void add_edge(struct judge *j, uint32_t from, uint32_t to) {
    if (from == to)
        return;
    if (j->edge_count == j->edge_room) {
        j->edge_room = j->edge_room * 2 + 64;
        j->edge = realloc(j->edge, j->edge_room * sizeof *j->edge);
    }
    j->edge[j->edge_count] = (struct edge){.to = to, .next = j->first[from]};
    j->first[from] = ++j->edge_count;
    j->into[to]++;
}

/* Versions: written before read, read before overwritten. */
static void add_versions(struct judge *j) {
    for (uint32_t i = 0; i < j->count; i++)
        for (uint32_t k = 0; j->is_in[i] && k < j->txn[i].op_count; k++) {
            const struct serial_op *op = &j->txn[i].op[k];
            uint32_t by = *overwriter_of(j, op->seen, op->key);
            if (op->seen)
                add_edge(j, op->seen - 1, i);
            if (by)
                add_edge(j, i, by - 1);
        }
}

static const struct serial_txn *sorted_by; /* for by_end() */
static int by_end(const void *a, const void *b) {
    uint64_t x = sorted_by[*(const uint32_t *)a].end, y = sorted_by[*(const uint32_t *)b].end;
    return (x > y) - (x < y);
}

/* Real time. Node count + n is the moment of the n-th end: what ended by then comes before it, and
 * what began later after it. */
static void add_times(struct judge *j) {
    uint32_t *ends = calloc(j->count + 1, sizeof *ends), n = 0;
    for (uint32_t i = 0; i < j->count; i++)
        if (j->is_in[i] && j->txn[i].state == SERIAL_DONE)
            ends[n++] = i;
    sorted_by = j->txn;
    qsort(ends, n, sizeof *ends, by_end);
    for (uint32_t i = 0; i < n; i++) {
        add_edge(j, ends[i], j->count + i);
        if (i + 1 < n)
            add_edge(j, j->count + i, j->count + i + 1);
    }
    for (uint32_t i = 0; i < j->count; i++) {
        uint32_t low = 0, high = n; /* ends before its start */
        while (low < high) {
            uint32_t middle = (low + high) / 2;
            if (j->txn[ends[middle]].end < j->txn[i].start)
                low = middle + 1;
            else
                high = middle;
        }
        if (j->is_in[i] && low > 0)
            add_edge(j, j->count + low - 1, i);
    }
    free(ends);
}

/* Takes nodes away that nothing has to come before. What stays is in circles, or after one. */
static const char *find_circle(struct judge *j) {
    uint32_t nodes = 2 * j->count, taken = 0, *queue = calloc(nodes + 1, sizeof *queue), end = 0;
    for (uint32_t i = 0; i < nodes; i++)
        if (j->into[i] == 0)
            queue[end++] = i;
    for (; taken < end; taken++)
        for (uint32_t e = j->first[queue[taken]]; e; e = j->edge[e - 1].next)
            if (--j->into[j->edge[e - 1].to] == 0)
                queue[end++] = j->edge[e - 1].to;
    free(queue);
    if (taken == nodes)
        return NULL;
    uint32_t stuck[2] = {0, 0}, found = 0;
    for (uint32_t i = 0; i < j->count && found < 2; i++)
        if (j->into[i])
            stuck[found++] = i;
    return wrong("no order of the transactions explains what they saw", stuck[0], stuck[1]);
}

const char *serial_judge(const struct serial_txn *txn, uint32_t count, uint32_t key_count) {
    struct judge j = {.txn = txn, .count = count, .key_count = key_count};
    j.is_in = calloc(count + 1, 1);
    j.overwriter = calloc((size_t)(count + 1) * key_count, sizeof *j.overwriter);
    j.first = calloc(2 * (size_t)count + 1, sizeof *j.first);
    j.into = calloc(2 * (size_t)count + 1, sizeof *j.into);
    const char *said = find_done(&j);
    if (!said)
        said = find_overwriters(&j);
    if (!said) {
        add_versions(&j);
        add_times(&j);
        said = find_circle(&j);
    }
    free(j.is_in);
    free(j.overwriter);
    free(j.first);
    free(j.into);
    free(j.edge);
    return said;
}
