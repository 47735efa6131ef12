/* report.c - the table at the end of the demo. See report.h. */
#include "report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hist.h"
#include "patterns.h"

const char *report_number(uint64_t n, char out[REPORT_NUMBER_BYTES]) {
    char digits[24];
    int bytes = snprintf(digits, sizeof digits, "%llu", (unsigned long long)n);
    char *to = out;
    for (int i = 0; i < bytes; i++) {
        if (i > 0 && (bytes - i) % 3 == 0)
            *to++ = ',';
        *to++ = digits[i];
    }
    *to = 0;
    return out;
}

/* One pattern, over all processes. */
struct report_line {
    uint64_t live, rest, items, wrong;
};

static struct report_line report_sum(const struct board *b, unsigned pattern, struct hist *hist) {
    struct report_line line = {0};
    for (unsigned s = 0; s < BOARD_SLOTS_MAX; s++) {
        const struct board_tally *t = &b->slot[s].tally[pattern];
        line.live += atomic_load(&t->compared_live);
        line.rest += atomic_load(&t->compared_rest);
        line.items += atomic_load(&t->items);
        line.wrong += atomic_load(&t->wrong);
        if (hist)
            hist_merge(hist, &t->hist);
    }
    return line;
}

uint64_t report_compared(const struct board *b) {
    uint64_t n = 0;
    for (unsigned i = 0; i < pattern_count; i++) {
        struct report_line line = report_sum(b, i, NULL);
        n += line.live + line.rest;
    }
    return n;
}

uint64_t report_wrong(const struct board *b) {
    uint64_t n = 0;
    for (unsigned i = 0; i < pattern_count; i++)
        n += report_sum(b, i, NULL).wrong;
    return n;
}

uint64_t report_changes(const struct board *b) {
    return report_sum(b, pattern_status_change(), NULL).live + report_sum(b, pattern_renewal(), NULL).live +
           report_sum(b, pattern_import(), NULL).live;
}

static void report_print(const struct pattern *p, const struct report_line *line, const struct hist *hist) {
    char live[REPORT_NUMBER_BYTES], rest[REPORT_NUMBER_BYTES], items[REPORT_NUMBER_BYTES], rate[REPORT_NUMBER_BYTES];
    double seconds = (double)atomic_load(&hist->total_ns) * 1e-9;
    uint64_t calls = hist_count(hist);
    (void)printf("  %-4s %-39s %10s %10s %12s %6llu %10s %10.1f %10.1f\n", p->label, p->text,
                 report_number(line->live, live), report_number(line->rest, rest), report_number(line->items, items),
                 (unsigned long long)line->wrong,
                 report_number(seconds > 0 ? (uint64_t)((double)calls / seconds) : 0, rate),
                 (double)hist_quantile(hist, 0.50) / 1000, (double)hist_quantile(hist, 0.99) / 1000);
}

static void report_notes(const struct board *b) {
    for (unsigned s = 0; s < BOARD_SLOTS_MAX; s++)
        if (atomic_load(&b->slot[s].has_note))
            (void)printf("  WRONG, process %u: %s\n", s, b->slot[s].note);
}

bool report_table(const struct board *b) {
    struct hist *hist = malloc(sizeof *hist);
    char number[REPORT_NUMBER_BYTES];
    bool is_good = hist != NULL;
    (void)printf("  %-4s %-39s %10s %10s %12s %6s %10s %10s %10s\n", "#", "access pattern", "answers", "answers",
                 "items in", "wrong", "calls/s", "p50", "p99");
    (void)printf("  %-4s %-39s %10s %10s %12s %6s %10s %10s %10s\n", "", "", "live", "at rest", "them", "", "a process",
                 "us", "us");
    for (unsigned i = 0; i < pattern_count && hist; i++) {
        memset(hist, 0, sizeof *hist);
        struct report_line line = report_sum(b, i, hist);
        report_print(&patterns[i], &line, hist);
        is_good = is_good && line.wrong == 0 && line.live > 0 && (line.rest > 0 || !patterns[i].run);
    }
    free(hist);
    (void)printf("\n  %s answers compared with brute force, item by item and attribute by attribute: ",
                 report_number(report_compared(b), number));
    (void)printf("%s wrong\n", report_number(report_wrong(b), number));
    report_notes(b);
    return is_good;
}
