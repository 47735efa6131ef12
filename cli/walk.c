/* cli/walk.c - a query or scan, page after page, into a sink.
 *
 * Job      What query, scan and export share. Two pages take turns, because the key to continue
 *          after lies in the previous page.
 * Tests    tests/cli/cli_test.sh
 */
#include "cli/walk.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/json_item.h"
#include "cli/report.h"

/* Prints text in single quotes, as a shell takes it. */
static void walk_print_quoted(const char *text) {
    fputc('\'', stderr);
    for (; *text != 0; text++) {
        if (*text == '\'')
            fputs("'\\''", stderr);
        else
            fputc(*text, stderr);
    }
    fputc('\'', stderr);
}

static int walk_print_more(const struct larder_item *key) {
    json_t *json = json_item_json(key);
    /* ASCII only: this line is meant to be pasted, through terminals. */
    char *text = json != NULL ? json_dumps(json, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
    json_decref(json);
    if (text == NULL)
        return report_error(EXIT_OTHER, "out of memory");
    fputs("more: --start-key ", stderr);
    walk_print_quoted(text);
    fputc('\n', stderr);
    free(text);
    return EXIT_DONE;
}

static int walk_read(struct walk *walk, const struct larder_item *start, struct larder_page *page) {
    uint32_t limit = walk->limit > 0 ? walk->limit - (uint32_t)walk->read_count : 0;
    if (walk->query != NULL) {
        walk->query->start_key = start;
        walk->query->limit = limit;
        return larder_query(walk->table, walk->query, page);
    }
    walk->scan->start_key = start;
    walk->scan->limit = limit;
    return larder_scan(walk->table, walk->scan, page);
}

static int walk_write(struct walk *walk, const struct larder_page *page, struct sink *sink) {
    for (uint32_t i = 0; i < larder_page_count(page); i++) {
        int code = sink_item(sink, larder_page_item(page, i), walk->is_wrapped);
        if (code != EXIT_DONE)
            return code;
        walk->item_count++;
    }
    walk->item_count += larder_page_matched(page) - larder_page_count(page);
    return walk->between != NULL ? walk->between(walk->between_arg, walk->item_count) : EXIT_DONE;
}

static int walk_pages(struct walk *walk, struct larder_page *pages[2], struct sink *sink) {
    const struct larder_item *start = walk->query != NULL ? walk->query->start_key : walk->scan->start_key;
    for (int turn = 0;; turn ^= 1) {
        int result = walk_read(walk, start, pages[turn]);
        if (result < 0)
            return report_result(result, NULL);
        int code = walk_write(walk, pages[turn], sink);
        walk->read_count += larder_page_scanned(pages[turn]);
        if (code != EXIT_DONE || result != LARDER_MORE)
            return code;
        start = larder_page_resume(pages[turn]);
        if (walk->limit > 0 && walk->read_count >= walk->limit)
            return walk_print_more(start);
    }
}

int walk_run(struct walk *walk, struct sink *sink) {
    struct larder_page *pages[2] = {NULL, NULL};
    int result = larder_page_new(walk->db, &pages[0]);
    if (result >= 0)
        result = larder_page_new(walk->db, &pages[1]);
    int code = result < 0 ? report_result(result, NULL) : walk_pages(walk, pages, sink);
    larder_page_free(pages[0]);
    larder_page_free(pages[1]);
    return code;
}
