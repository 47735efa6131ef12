/* tests/api/null_kit.c - see null_kit.h. */

#include "tests/api/null_kit.h"
#include "larder.h"
#include "tests/support/expect.h"
#include "tests/support/testseg.h"

const struct larder_index_def by_kind = {.name = "by_kind", .partition = {"kind", LARDER_S}};
const struct larder_table_def def = {
    .name = "table", .partition = {"id", LARDER_S}, .indexes = &by_kind, .index_count = 1};

void begin(struct fixture *f) {
    const struct larder_item *item;
    f->db = testseg_open(8 * MIB, 4);
    f->key = (struct larder_key){.partition = larder_str("one")};
    EXPECT(larder_table_create(f->db, &def), LARDER_OK);
    EXPECT(larder_table_open(f->db, "table", &f->t), LARDER_OK);
    EXPECT(larder_builder_new(f->db, &f->b), LARDER_OK);
    EXPECT(larder_page_new(f->db, &f->page), LARDER_OK);
    EXPECT(larder_page_new(f->db, &f->other), LARDER_OK);
    EXPECT(larder_builder_add_s(f->b, "id", "one"), LARDER_OK);
    EXPECT(larder_builder_add_s(f->b, "kind", "k"), LARDER_OK);
    EXPECT(larder_builder_add_int(f->b, "n", 17), LARDER_OK);
    EXPECT(larder_builder_finish(f->b, &item), LARDER_OK);
    EXPECT(larder_put(f->t, item, NULL), LARDER_OK);
    larder_builder_reset(f->b);
    EXPECT(larder_get(f->t, &f->key, f->page), LARDER_OK);
    f->item = larder_page_item(f->page, 0);
}
