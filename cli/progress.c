/* cli/progress.c - a progress bar on standard error, if it is a terminal.
 *
 * Picture  import [###########...............]  42%  17.3 MiB  81234 items  96120/s
 * Rules    Nothing is drawn unless standard error is a terminal: logs and pipes get messages only.
 * Tests    tests/cli/cli_test.sh (in a pseudo-terminal, by script(1))
 */
#include "cli/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "cli/grid.h"

#define PROGRESS_INTERVAL_NS 100000000 /* between two drawings */
#define PROGRESS_BAR_MAX 40
#define PROGRESS_COLUMNS_MAX 200

static int64_t progress_now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

bool progress_is_possible(void) {
    const char *terminal = getenv("TERM");
    return isatty(STDERR_FILENO) && (terminal == NULL || strcmp(terminal, "dumb") != 0);
}

void progress_start(struct progress *progress, bool is_on, const char *label, uint64_t total, bool is_bytes) {
    memset(progress, 0, sizeof *progress);
    progress->is_on = is_on && progress_is_possible();
    progress->label = label;
    progress->total = total;
    progress->is_bytes = is_bytes;
    progress->started_ns = progress_now_ns();
}

static int progress_columns(void) {
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return 80;
    return size.ws_col < PROGRESS_COLUMNS_MAX ? size.ws_col : PROGRESS_COLUMNS_MAX;
}

/* "[####....]  42%" in at most `columns`; empty if that is too little. */
static void progress_bar(double share, int columns, char *text, size_t text_bytes) {
    int width = columns - 8 < PROGRESS_BAR_MAX ? columns - 8 : PROGRESS_BAR_MAX;
    text[0] = 0;
    if (width < 5)
        return;
    char bar[PROGRESS_BAR_MAX + 1];
    int filled = (int)(share * width);
    for (int i = 0; i < width; i++)
        bar[i] = i < filled ? '#' : '.';
    bar[width] = 0;
    snprintf(text, text_bytes, "[%s] %3d%%", bar, (int)(share * 100));
}

static void progress_draw(struct progress *progress, uint64_t done, uint64_t items, int64_t now_ns) {
    char counts[96] = "", bar[PROGRESS_BAR_MAX + 16] = "", bytes[GRID_NUMBER_BYTES];
    double seconds = (double)(now_ns - progress->started_ns) / 1e9;
    double rate = seconds > 0 ? (double)items / seconds : 0;
    int used = 0;
    if (progress->is_bytes)
        used = snprintf(counts, sizeof counts, "  %s", grid_bytes(bytes, done));
    if (!progress->is_share)
        snprintf(counts + used, sizeof counts - (size_t)used, "  %" PRIu64 " items  %.0f/s", items, rate);
    int columns = progress_columns() - 1; /* a full last column would wrap */
    if (progress->total > 0) {
        double share = done < progress->total ? (double)done / (double)progress->total : 1;
        progress_bar(share, columns - (int)strlen(progress->label) - 1 - (int)strlen(counts), bar, sizeof bar);
    }
    char line[PROGRESS_COLUMNS_MAX + 64];
    snprintf(line, sizeof line, "%s %s%s", progress->label, bar, counts);
    fprintf(stderr, "\r%.*s\033[K", columns, line);
    fflush(stderr);
    progress->is_drawn = true;
    progress->drawn_ns = now_ns;
}

void progress_show(struct progress *progress, uint64_t done, uint64_t items) {
    if (!progress->is_on)
        return;
    int64_t now_ns = progress_now_ns();
    if (!progress->is_drawn || now_ns - progress->drawn_ns >= PROGRESS_INTERVAL_NS)
        progress_draw(progress, done, items, now_ns);
}

void progress_show_share(struct progress *progress, uint64_t done) {
    progress->is_share = true;
    progress_show(progress, done, 0);
}

void progress_hide(struct progress *progress) {
    if (!progress->is_drawn)
        return;
    fputs("\r\033[K", stderr);
    fflush(stderr);
    progress->is_drawn = false;
}
