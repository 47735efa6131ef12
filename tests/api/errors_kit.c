/* tests/api/errors_kit.c - see errors_kit.h. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/segment/layout.h"
#include "larder.h"
#include "tests/api/errors_kit.h"
#include "tests/support/expect.h"
#include "tests/support/testseg.h"

void expect_words(const char *row, const char *const words[WORDS_MAX]) {
    for (unsigned i = 0; i < WORDS_MAX && words[i]; i++)
        cr_expect(strstr(larder_error(), words[i]), "%s: no \"%s\" in \"%s\"", row, words[i], larder_error());
}

/* Keys S and S, an index, a TTL; keys N and N; a key B alone. */
static void create_tables(struct world *w) {
    const struct larder_index_def index = {.name = "byKind", .partition = {"gpk", LARDER_S}, .sort = {"gsk", LARDER_N}};
    const struct larder_table_def def = {.name = "table",
                                         .partition = {"pk", LARDER_S},
                                         .sort = {"sk", LARDER_S},
                                         .indexes = &index,
                                         .index_count = 1,
                                         .ttl_attribute = "expires"};
    const struct larder_table_def numbers = {
        .name = "numbers", .partition = {"pk", LARDER_N}, .sort = {"sk", LARDER_N}};
    const struct larder_table_def plain = {.name = "plain", .partition = {"pk", LARDER_B}};
    const struct larder_table_def dropped = {.name = "dropped", .partition = {"pk", LARDER_S}};
    EXPECT(larder_table_create(w->db, &def), LARDER_OK);
    EXPECT(larder_table_create(w->db, &numbers), LARDER_OK);
    EXPECT(larder_table_create(w->db, &plain), LARDER_OK);
    EXPECT(larder_table_create(w->db, &dropped), LARDER_OK);
    EXPECT(larder_table_open(w->db, "table", &w->t), LARDER_OK);
    EXPECT(larder_table_open(w->db, "numbers", &w->numbers), LARDER_OK);
    EXPECT(larder_table_open(w->db, "plain", &w->plain), LARDER_OK);
    EXPECT(larder_table_open(w->db, "dropped", &w->dropped), LARDER_OK);
    struct larder *other = testseg_attach(w->db, 0);
    EXPECT(larder_table_drop(other, "dropped"), LARDER_OK);
    EXPECT(larder_expire(other, 0, NULL), LARDER_OK);
    /* and with it the thread that empties: nothing changes the segment from here on */
    larder_close(other);
}

void begin(struct world *w) {
    w->db = testseg_open(8 * MIB, 4);
    w->reader = testseg_attach(w->db, LARDER_READ_ONLY);
    create_tables(w);
    EXPECT(larder_table_open(w->reader, "table", &w->read), LARDER_OK);
    EXPECT(larder_builder_new(w->db, &w->b), LARDER_OK);
    EXPECT(larder_page_new(w->db, &w->page), LARDER_OK);
    for (int i = 0; i < 20; i++) {
        const struct larder_item *item;
        char sk[16];
        snprintf(sk, sizeof sk, "s%d", i);
        larder_builder_reset(w->b);
        larder_builder_add_s(w->b, "pk", "p");
        larder_builder_add_s(w->b, "sk", sk);
        larder_builder_add_s(w->b, "gpk", "kind");
        larder_builder_add_int(w->b, "gsk", i);
        EXPECT(larder_builder_finish(w->b, &item), LARDER_OK);
        EXPECT(larder_put(w->t, item, NULL), LARDER_OK);
    }
    w->bytes = mmap(NULL, 8 * MIB, PROT_READ, MAP_SHARED, larder_memfd(w->db), 0);
    w->before = malloc(8 * MIB);
    cr_assert(w->bytes != MAP_FAILED && w->before);
    w->head = (const struct seg_shm *)w->bytes;
}

void finish(struct world *w) {
    struct larder_check_report report;
    EXPECT(larder_check(w->db, NULL, &report), LARDER_OK);
    munmap((void *)w->bytes, 8 * MIB);
    free(w->before);
    larder_close(w->reader);
    larder_close(w->db);
}

static void remember(struct world *w) {
    memcpy(w->before, w->bytes, w->head->claimed_bytes);
}

static void expect_unchanged(const struct world *w, const char *row) {
    const struct seg_shm *head = w->head;
    cr_expect_eq(memcmp(w->before, w->bytes, head->slots_off), 0, "%s: the head changed", row);
    for (uint64_t off = head->catalog_off; off < head->claimed_bytes; off += 8)
        if (memcmp(w->before + off, w->bytes + off, 8) != 0) {
            cr_expect(0, "%s: byte %lu of the segment changed", row, off);
            return;
        }
}

void run_rows(const struct row *rows, size_t count) {
    struct world w;
    begin(&w);
    for (size_t i = 0; i < count; i++) {
        larder_builder_reset(w.b);
        remember(&w);
        int r = rows[i].try(&w);
        cr_expect_eq(r, rows[i].expected, "%s gives %s: %s", rows[i].name, larder_result_name(r), larder_error());
        expect_words(rows[i].name, rows[i].words);
        cr_expect_neq(larder_error()[0], 0, "%s", rows[i].name);
        expect_unchanged(&w, rows[i].name);
    }
    finish(&w);
}

char many[LARDER_ITEM_BYTES_MAX + 2];

void fill_many(void) {
    memset(many, 'x', sizeof many - 1);
}

const struct larder_value text = {.type = LARDER_S, .data = "text", .bytes = 4};
const struct larder_value empty = {.type = LARDER_S, .data = "", .bytes = 0};
const struct larder_value bytes4 = {.type = LARDER_B, .data = "\x00\x01\x02\x03", .bytes = 4};
const struct larder_value one = {.type = LARDER_N, .data = "1", .bytes = 1};
const struct larder_value yes = {.type = LARDER_BOOL, .is_true = 1};
const struct larder_value long2049 = {.type = LARDER_S, .data = many, .bytes = 2049};
const struct larder_value long1025 = {.type = LARDER_S, .data = many, .bytes = 1025};
const struct larder_value not_utf8 = {.type = LARDER_S, .data = "ab\xff", .bytes = 3};
const struct larder_value digits39 = {.type = LARDER_N, .data = "123456789012345678901234567890123456789", .bytes = 39};
