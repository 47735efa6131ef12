/* tests/unit/cli/csv_test.c - items from CSV.
 *
 * Goal     RFC 4180 is read as it says; types come from the header, the schema, or are texts; a
 *          record that is wrong says why, and the next one is read.
 */
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cli/csv.h"
#include "cli/report.h"
#include "tests/support/slow.h"

TestSuite(csv, .timeout = 10 * SLOW_FACTOR);

static const struct larder_index_def index_def = {.name = "byG", .partition = {"g", LARDER_N}};
static const struct larder_table_def def = {
    .name = "t", .partition = {"Id", LARDER_N}, .indexes = &index_def, .index_count = 1};

static int open_text(struct csv *csv, struct input *input, const char *text, size_t bytes) {
    static char path[64]; /* the input borrows it */
    int fd = memfd_create("csv", 0);
    cr_assert(fd >= 0 && write(fd, text, bytes) == (ssize_t)bytes);
    lseek(fd, 0, SEEK_SET);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    cr_assert_eq(input_open(input, path), EXIT_DONE);
    close(fd);
    memset(csv, 0, sizeof *csv);
    return csv_open(csv, input, &def);
}

/* The items of a text, in JSON with ' for ", joined by |; what is wrong with a record in (). */
static void expect(const char *text, const char *expected) {
    struct csv csv;
    struct input input;
    struct place place = {0};
    char got[4096] = "";
    size_t used = 0;
    json_t *item;
    int code = EXIT_DONE;
    cr_assert_eq(open_text(&csv, &input, text, strlen(text)), EXIT_DONE, "%s", text);
    while (csv_next(&csv, &place, &item, &code) > 0) {
        char *json = item != NULL ? json_dumps(item, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
        used += (size_t)snprintf(got + used, sizeof got - used, "%s%d:%s%s%s", used > 0 ? "|" : "", (int)csv.line,
                                 item != NULL ? "" : "(", item != NULL ? json : place.problem, item != NULL ? "" : ")");
        free(json);
        json_decref(item);
    }
    for (char *at = got; *at != 0; at++)
        *at = *at == '"' ? '\'' : *at;
    cr_expect_eq(code, EXIT_DONE);
    cr_expect_str_eq(got, expected, "%s\n  gives %s\n  not   %s", text, got, expected);
    csv_close(&csv);
    input_close(&input);
}

static void expect_header_refused(const char *text) {
    struct csv csv;
    struct input input;
    cr_expect_eq(open_text(&csv, &input, text, strlen(text)), EXIT_INPUT, "accepted: %s", text);
    csv_close(&csv);
    input_close(&input);
}

Test(csv, cells) {
    expect("Id,Name\n1,a\n2,b", "2:{'Id':{'N':'1'},'Name':{'S':'a'}}|3:{'Id':{'N':'2'},'Name':{'S':'b'}}");
    expect("Id,Name\r\n1,\"a, b\"\r\n\r\n2,\"say \"\"x\"\"\"\r\n",
           "2:{'Id':{'N':'1'},'Name':{'S':'a, b'}}|4:{'Id':{'N':'2'},'Name':{'S':'say \\'x\\''}}");
    expect("Id,Name\n1,\"two\nlines\"\n2,x\n",
           "2:{'Id':{'N':'1'},'Name':{'S':'two\\nlines'}}|4:{'Id':{'N':'2'},'Name':{'S':'x'}}");
    expect("Id,Name\n1,\n2,\"\"\n", "2:{'Id':{'N':'1'}}|3:{'Id':{'N':'2'},'Name':{'S':''}}");
    expect("\xef\xbb\xbfId\n1\n", "2:{'Id':{'N':'1'}}");
    expect("Id,Name\n", "");
    expect("Id,\"a,b\"\n1,x\n", "2:{'Id':{'N':'1'},'a,b':{'S':'x'}}");
    expect("Id,Name\n1, x \n", "2:{'Id':{'N':'1'},'Name':{'S':' x '}}");
}

/* What the first line ends in ends all; elsewhere a CR is a character. */
Test(csv, line_ends) {
    expect("Id,x\r1,a\r2,b", "2:{'Id':{'N':'1'},'x':{'S':'a'}}|3:{'Id':{'N':'2'},'x':{'S':'b'}}");
    expect("Id,x\r\r1,\"a\rb\nc\"\r", "3:{'Id':{'N':'1'},'x':{'S':'a\\rb\\nc'}}");
    expect("Id,x\n1,a\rb\n", "2:{'Id':{'N':'1'},'x':{'S':'a\\rb'}}");
    expect("Id,x\r\n1,a\rb\r\n", "2:{'Id':{'N':'1'},'x':{'S':'a\\rb'}}");
    expect("\r\n\r\nId\r\n1\r\n", "4:{'Id':{'N':'1'}}");
    expect("\"I\rd\"\n1\n", "2:{'I\\rd':{'S':'1'}}");
    expect("Id\r", "");
}

Test(csv, types) {
    expect("Id,a:N,b:BOOL,c:NULL,d:B,g,h:S\n1,2.50,TRUE,x,AAE=,7,8\n",
           "2:{'Id':{'N':'1'},'a':{'N':'2.50'},'b':{'BOOL':true},'c':{'NULL':true},'d':{'B':'AAE='},'g':{'N':'7'},'h':{"
           "'S':'8'}}");
    expect("Id:S,a:b,c:SS,d:L,e:M\nx,y,\"[\"\"p\"\"]\",\"[{\"\"N\"\":\"\"1\"\"}]\",{}\n",
           "2:{'Id':{'S':'x'},'a:b':{'S':'y'},'c':{'SS':['p']},'d':{'L':[{'N':'1'}]},'e':{'M':{}}}");
}

Test(csv, what_is_wrong) {
    expect("Id,Name\n1\n2,a,b\n3,c\n",
           "2:(has 1 cell; the header has 2)|3:(has 3 cells; the header has 2)|4:{'Id':{'N':'3'},'Name':{'S':'c'}}");
    expect("Id,a:BOOL\n1,yes\n", "2:(a: is 'yes'; a BOOL is true or false)");
    expect("Id,a\n1,\"x\"y\n2,z\n", "2:('y' stands behind a closing quote; a quote in a quoted cell is written "
                                    "twice)|3:{'Id':{'N':'2'},'a':{'S':'z'}}");
    expect("Id,a\n1,\"x\n", "2:(a quote has no other behind it)");
    expect("Id,a\n1,\xff\n", "2:(a: is not UTF-8)");
    expect("Id,a:L\n1,[\n", "2:(a: L takes JSON as in DynamoDB JSON: ']' expected near end of file)");
}

Test(csv, headers) {
    expect_header_refused("");
    expect_header_refused("\n\n");
    expect_header_refused("Id,\n");
    expect_header_refused("Id,Id:N\n");
    expect_header_refused("Id,\"a\n");
    expect_header_refused("Id,\xff\n");
    char many[3 * CSV_COLUMNS_MAX + 16] = "";
    for (int i = 0; i <= CSV_COLUMNS_MAX; i++)
        many[2 * i] = 'a', many[2 * i + 1] = ',';
    expect_header_refused(many);
}
