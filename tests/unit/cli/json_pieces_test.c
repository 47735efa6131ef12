/* tests/unit/cli/json_pieces_test.c - the items of JSON files of every shape.
 *
 * Goal     A file is cut into the same objects whatever stands around them; what is no JSON around
 *          them is refused with its line; a file of objects on lines is known as one.
 * Method   Texts through a pipe, a few bytes at a time or all at once.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cli/json_pieces.h"
#include "cli/report.h"
#include "tests/support/slow.h"

TestSuite(json_pieces, .timeout = 20 * SLOW_FACTOR);

/* Opens a text; ' stands for ". */
static void open_text(struct json_pieces *pieces, struct input *input, const char *text, size_t bytes, bool is_plain) {
    static char path[64]; /* the input borrows it */
    int fd = memfd_create("pieces", 0);
    cr_assert_geq(fd, 0);
    for (size_t i = 0; i < bytes; i++) {
        char c = text[i] == '\'' ? '"' : text[i];
        if (bytes < 4096)
            cr_assert_eq(write(fd, &c, 1), 1);
    }
    if (bytes >= 4096)
        cr_assert_eq(write(fd, text, bytes), (ssize_t)bytes);
    lseek(fd, 0, SEEK_SET);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    memset(pieces, 0, sizeof *pieces);
    cr_assert_eq(input_open(input, path), EXIT_DONE);
    close(fd);
    pieces->input = input;
    pieces->is_plain = is_plain;
}

/* The pieces of a text, each as line:list:text, joined by |; "!" at the end for a failure. */
static void pieces_of(const char *text, bool is_plain, char *out, size_t out_bytes) {
    struct json_pieces pieces;
    struct input input;
    const char *piece;
    size_t bytes, used = 0;
    int code = EXIT_DONE, more;
    out[0] = 0;
    open_text(&pieces, &input, text, strlen(text), is_plain);
    while ((more = json_pieces_next(&pieces, &piece, &bytes, &code)) > 0)
        used += (size_t)snprintf(out + used, out_bytes - used, "%s%d:%s:%.*s", used > 0 ? "|" : "", (int)pieces.line,
                                 json_pieces_list(&pieces), (int)bytes, piece);
    if (more < 0) {
        cr_expect_eq(code, EXIT_INPUT, "%s: %d", text, code);
        snprintf(out + used, out_bytes - used, "!");
    }
    for (char *at = out; *at != 0; at++)
        *at = *at == '"' ? '\'' : *at;
    input_close(&input);
}

static void expect(const char *text, const char *expected) {
    char got[4096];
    pieces_of(text, false, got, sizeof got);
    cr_expect_str_eq(got, expected, "%s\n  gives %s\n  not   %s", text, got, expected);
}

static void expect_plain(const char *text, const char *expected) {
    char got[4096];
    pieces_of(text, true, got, sizeof got);
    cr_expect_str_eq(got, expected, "%s\n  gives %s\n  not   %s", text, got, expected);
}

Test(json_pieces, objects_one_after_another) {
    expect("", "");
    expect(" \n\t\r\n", "");
    expect("{}", "1::{}");
    expect("{'a':{'S':'x'}}\n{'b':\n{'N':'1'}}\n\n {}{}", "1::{'a':{'S':'x'}}|2::{'b':\n{'N':'1'}}|5::{}|5::{}");
    expect("{'a':{'S':'}]{[\\'\\\\'}}{}", "1::{'a':{'S':'}]{[\\'\\\\'}}|1::{}");
    expect("{'Item':{'a':{'L':[{'S':'x'}]}}}", "1::{'Item':{'a':{'L':[{'S':'x'}]}}}");
}

Test(json_pieces, lists) {
    expect("[]", "");
    expect("[{},\n{}]", "1::{}|2::{}");
    expect("[[{}],[],{}] {}", "1::{}|1::{}|1::{}");
    expect("[{} {}]", "1::{}!");
    expect("[{}", "1::{}!");
    expect("[1]", "!");
    expect("['a']", "!");
    expect("[,{}]", "!");
    expect("]", "!");
    expect("x", "!");
    expect("[[[[[[[[[{}]]]]]]]]]", "!");
}

Test(json_pieces, pages) {
    expect("{'Items':[{'a':1},{}],'Count':2,'ScannedCount':2,'ConsumedCapacity':null}", "1:Items:{'a':1}|1:Items:{}");
    expect("{'Count':0,'Items':[],'x':{'y':[{}]}}", "");
    expect("{'ConsumedCapacity':{'a':{}},\n'Items':[{}]}", "2:Items:{}");
    expect("{'Tab':[{'PutRequest':{'Item':{}}}],'Other':[{'DeleteRequest':{}}]}",
           "1:Tab:{'PutRequest':{'Item':{}}}|1:Other:{'DeleteRequest':{}}");
    expect("{'Items':[{}]}\n{'Items':[{}]}", "1:Items:{}|2:Items:{}");
    expect("[{'Items':[{}]}]", "1:Items:{}");
    /* no page: no list of objects */
    expect("{'Id':1,'Tags':['a']}", "1::{'Id':1,'Tags':['a']}");
    expect("{'Items':{'L':[]}}", "1::{'Items':{'L':[]}}");
    expect("{'Items':[{}] 'Count':2}", "1:Items:{}!");
    expect("{'Items':[{}],}", "1:Items:{}!");
    expect("{'Items':[{}],'Count'}", "1:Items:{}!");
    expect("{'Items':[{}],'Count':}", "1:Items:{}!");
    /* what is wrong inside of an object, its reader says */
    expect("{'a'}{'b':}{,}", "1::{'a'}|1::{'b':}|1::{,}");
    expect("{'a':'", "!");
    expect("{'a':{", "!");
}

Test(json_pieces, plain) {
    expect_plain("[{'Id':1,'Subs':[{'a':1}]}]", "1::{'Id':1,'Subs':[{'a':1}]}");
    expect_plain("{'Subs':[{'a':1}]}", "1::{'Subs':[{'a':1}]}");
    expect_plain("{'Items':[{'a':1}],'Count':1}", "1:Items:{'a':1}");
    expect_plain("{'Id':1,'Items':[{'a':1}]}", "1::{'Id':1,'Items':[{'a':1}]}");
}

Test(json_pieces, more_to_scan) {
    struct json_pieces pieces;
    struct input input;
    const char *piece, text[] = "{'Items':[{}],'LastEvaluatedKey':{'a':{'S':'x'}}}";
    size_t bytes;
    int code = EXIT_DONE;
    open_text(&pieces, &input, text, strlen(text), false);
    cr_expect_eq(json_pieces_next(&pieces, &piece, &bytes, &code), 1);
    cr_expect_not(pieces.is_more_to_scan);
    cr_expect_eq(json_pieces_next(&pieces, &piece, &bytes, &code), 0);
    cr_expect(pieces.is_more_to_scan);
    input_close(&input);
    static const char token[] = "{'Items':[],'NextToken':'x'}";
    open_text(&pieces, &input, token, strlen(token), false);
    cr_expect_eq(json_pieces_next(&pieces, &piece, &bytes, &code), 0);
    cr_expect(pieces.is_more_to_scan);
    input_close(&input);
}

static void expect_lines(const char *text, bool is_plain, bool expected) {
    struct json_pieces pieces;
    struct input input;
    bool is_lines = !expected;
    open_text(&pieces, &input, text, strlen(text), is_plain);
    cr_expect_eq(json_pieces_is_lines(&pieces, &is_lines), EXIT_DONE);
    cr_expect_eq(is_lines, expected, "%s", text);
    cr_expect_eq(input.at, 0);
    input_close(&input);
}

Test(json_pieces, lines_or_not) {
    expect_lines("{'a':{'S':'x'}}\n{", false, true);
    expect_lines("{'a':{'S':'x'}}", false, true);
    expect_lines("\n\n {'a':{'S':'\\'}'}} \r\n", false, true);
    expect_lines("", false, true);
    expect_lines("x", false, true);
    expect_lines("{'Item':", false, true); /* the end of the file: the reader of the line says so */
    expect_lines("{\n'a'", false, false);
    expect_lines("{} {}\n", false, false);
    expect_lines("[", false, false);
    expect_lines("{'Items':[{}]}", false, false);
    expect_lines("{'Count':2,'Items':[]}", false, false);
    expect_lines("{'Tab':[ {}]}", false, false);
    expect_lines("{'Tags':['a']}", false, true);
    expect_lines("{'a':{'L':[{}]}}", false, true);
    expect_lines("{'Subs':[{}]}", true, true);
    expect_lines("{'Items':[{}]}", true, false);
    expect_lines("{'a':1,'Items':[{}]}", true, true);
}

Test(json_pieces, larger_than_a_read) {
    enum { COUNT = 400, VALUE = 5000 };
    size_t capacity = COUNT * (VALUE + 64), bytes = 0;
    char *text = malloc(capacity);
    struct json_pieces pieces;
    struct input input;
    const char *piece;
    size_t piece_bytes;
    int code = EXIT_DONE;
    cr_assert_not_null(text);
    bytes += (size_t)sprintf(text, "{\"Items\": [");
    for (int i = 0; i < COUNT; i++)
        bytes += (size_t)sprintf(text + bytes, "%s\n{\"id\": {\"N\": \"%d\"}, \"v\": {\"S\": \"%0*d\"}}",
                                 i > 0 ? "," : "", i, VALUE - i, i);
    bytes += (size_t)sprintf(text + bytes, "], \"Count\": %d}", COUNT);
    open_text(&pieces, &input, text, bytes, false);
    for (int i = 0; i < COUNT; i++) {
        char start[64];
        size_t start_bytes = (size_t)snprintf(start, sizeof start, "{\"id\": {\"N\": \"%d\"}, ", i);
        cr_assert_eq(json_pieces_next(&pieces, &piece, &piece_bytes, &code), 1);
        cr_assert(memcmp(piece, start, start_bytes) == 0 && piece[piece_bytes - 1] == '}');
        cr_assert_eq(pieces.line, (uint64_t)i + 2);
    }
    cr_expect_eq(json_pieces_next(&pieces, &piece, &piece_bytes, &code), 0);
    cr_expect_leq(input.capacity, (size_t)2 << 20, "the file is not kept as a whole");
    input_close(&input);
    free(text);
}
