/* tests/api/check_kit.c - see check_kit.h. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/segment/layout.h"
#include "larder.h"
#include "tests/api/check_kit.h"
#include "tests/support/expect.h"
#include "tests/support/testseg.h"

static int64_t early(void *arg) {
    (void)arg;
    return 1000;
}

static void put(struct larder_table *t, struct larder_builder *b, uint32_t n) {
    static const char fill[40000];
    const struct larder_item *item;
    char pk[16], sk[32];
    snprintf(pk, sizeof pk, "P%u", n % PARTITIONS);
    snprintf(sk, sizeof sk, "SHARED#PREFIX#%05u", n);
    larder_builder_reset(b);
    larder_builder_add_s(b, "pk", pk);
    larder_builder_add_s(b, "sk", sk);
    larder_builder_add_s(b, "gpk", n % 2 ? "even" : "odd");
    larder_builder_add_int(b, "gsk", n * 7 % 100);
    if (n % 5 == 0)
        larder_builder_add_int(b, "expires", 5000 + n);
    /* one is a run of spans */
    larder_builder_add_b(b, "fill", fill, n == 77 ? sizeof fill : n % 9 * 30);
    EXPECT(larder_builder_finish(b, &item), LARDER_OK);
    EXPECT(larder_put(t, item, NULL), LARDER_OK);
}

int make_segment(void) {
    const struct larder_index_def index = {.name = "byKind", .partition = {"gpk", LARDER_S}, .sort = {"gsk", LARDER_N}};
    const struct larder_table_def def = {.name = "table",
                                         .partition = {"pk", LARDER_S},
                                         .sort = {"sk", LARDER_S},
                                         .indexes = &index,
                                         .index_count = 1,
                                         .ttl_attribute = "expires"};
    const struct larder_table_def empty = {.name = "empty", .partition = {"pk", LARDER_S}};
    struct larder *db = testseg_open(SEGMENT_BYTES, 2);
    struct larder_table *t;
    struct larder_builder *b;
    larder_set_clock(db, early, NULL);
    EXPECT(larder_table_create(db, &def), LARDER_OK);
    EXPECT(larder_table_create(db, &empty), LARDER_OK);
    EXPECT(larder_table_open(db, "table", &t), LARDER_OK);
    EXPECT(larder_builder_new(db, &b), LARDER_OK);
    for (uint32_t n = 0; n < ITEMS; n++)
        put(t, b, n);
    int fd = dup(larder_memfd(db));
    larder_close(db);
    return fd;
}

int try_copy_segment(int from, struct world *w) {
    w->fd = memfd_create("check", MFD_CLOEXEC);
    void *original = mmap(NULL, SEGMENT_BYTES, PROT_READ, MAP_SHARED, from, 0);
    if (w->fd < 0 || original == MAP_FAILED || ftruncate(w->fd, SEGMENT_BYTES) != 0)
        return 0;
    w->base = mmap(NULL, SEGMENT_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, w->fd, 0);
    if (w->base == MAP_FAILED)
        return 0;
    memcpy(w->base, original, SEGMENT_BYTES);
    munmap(original, SEGMENT_BYTES);
    w->head = (struct seg_shm *)w->base;
    return 1;
}

void copy_segment(int from, struct world *w) {
    cr_assert(try_copy_segment(from, w));
}

void drop_copy(struct world *w) {
    munmap(w->base, SEGMENT_BYTES);
    close(w->fd);
}

struct larder *attach(const struct world *w, uint32_t flags) {
    const struct larder_options o = {.flags = LARDER_MEMFD | flags, .memfd = w->fd, .busy_timeout_ms = 100};
    struct larder *db = NULL;
    EXPECT(larder_open(&o, &db), LARDER_OK);
    larder_set_clock(db, early, NULL);
    return db;
}

void take_note(void *arg, const char *line) {
    struct notes *n = arg;
    if (n->lines++ == 0)
        snprintf(n->first, sizeof n->first, "%s", line);
    n->has_word |= strstr(line, n->word) != NULL;
}
