/* tests/api/evict_thread_test.c - every process's expirer marks what its process read.
 *
 * Goal     Also that of a process whose expirer does not work, since another one does.
 * Method   Marks are counted in the bytes of the segment.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <sys/mman.h>

#include "core/segment/layout.h"
#include "larder.h"
#include "tests/api/evict_kit.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"
#include "tests/support/until.h"

TestSuite(evict_thread, .timeout = 100 * SLOW_FACTOR);

#define HOT 1000u

static unsigned marks_of(const unsigned char *bytes) {
    const struct seg_shm *head = (const struct seg_shm *)bytes;
    const struct table_shm *entry = (const struct table_shm *)(bytes + head->catalog_off);
    unsigned count = 0;
    for (uint64_t at = entry->marks_off; at < entry->marks_off + SEGMENT_BYTES / 512; at++)
        count += (unsigned)__builtin_popcount(bytes[at]);
    return count;
}

Test(evict_thread, every_expirer_publishes_reads) {
    struct fixture f;
    begin(&f);
    for (unsigned n = 0; n < HOT; n++)
        cr_assert_eq(put(&f, f.cache, n, 200), LARDER_OK);
    unsigned char *bytes = mmap(NULL, SEGMENT_BYTES, PROT_READ, MAP_SHARED, larder_memfd(f.db), 0);
    cr_assert(bytes != MAP_FAILED);
    cr_assert_eq(larder_expirer_start(f.db), LARDER_OK);
    struct larder *reader = testseg_attach(f.db, 0);
    struct larder_table *table;
    struct larder_page *page;
    cr_assert_eq(larder_table_open(reader, "Cache", &table), LARDER_OK);
    cr_assert_eq(larder_page_new(reader, &page), LARDER_OK);
    cr_assert_eq(larder_expirer_start(reader), LARDER_OK);
    unsigned before = marks_of(bytes);
    for (unsigned n = 0; n < HOT; n++) {
        char text[16];
        snprintf(text, sizeof text, "k%u", n);
        cr_assert_eq(larder_get(table, &(struct larder_key){.partition = larder_str(text)}, page), LARDER_OK);
    }
    cr_expect(UNTIL(marks_of(bytes) >= before + HOT * 9 / 10, 20000), "%u marks, %u before", marks_of(bytes), before);
    larder_close(reader);
    larder_expirer_stop(f.db);
    munmap(bytes, SEGMENT_BYTES);
    end(&f);
}
