/* tests/api/check_kit.h - a segment with every kind of block in it, and copies of it to damage.
 */
#ifndef LARDER_TESTS_API_CHECK_KIT_H
#define LARDER_TESTS_API_CHECK_KIT_H

#include "core/segment/layout.h"
#include "larder.h"
#include "tests/support/slow.h"

#define SEGMENT_BYTES (4u << 20)
#define ITEMS 400u
#define PARTITIONS 3u

/* Items, lists long enough for towers, timers, an empty table beside. The descriptor. */
int make_segment(void);

/* A copy of the segment, mapped for damaging. */
struct world {
    int fd;
    unsigned char *base;
    struct seg_shm *head;
};

int try_copy_segment(int from, struct world *w);
void copy_segment(int from, struct world *w);
void drop_copy(struct world *w);
struct larder *attach(const struct world *w, uint32_t flags);

struct notes {
    const char *word;
    uint64_t lines;
    int has_word;
    char first[256];
};

void take_note(void *arg, const char *line);

#endif
