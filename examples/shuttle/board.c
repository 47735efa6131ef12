/* board.c - what the processes of the demo tell each other. See board.h. */
#include "board.h"

#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static struct board *board_mmap(int fd, uint64_t bytes) {
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return at == MAP_FAILED ? NULL : at;
}

struct board *board_new(uint32_t live_count, int *fd) {
    uint64_t bytes = sizeof(struct board) + (uint64_t)live_count * sizeof(struct board_mark);
    int file = memfd_create("shuttle-board", 0);
    if (file < 0)
        return NULL;
    struct board *b = ftruncate(file, (off_t)bytes) == 0 ? board_mmap(file, bytes) : NULL;
    if (!b) {
        (void)close(file);
        return NULL;
    }
    b->bytes = bytes;
    b->live_count = live_count;
    *fd = file;
    return b;
}

struct board *board_map(int fd, uint32_t live_count) {
    uint64_t bytes = sizeof(struct board) + (uint64_t)live_count * sizeof(struct board_mark);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0 || (uint64_t)st.st_size != bytes)
        return NULL;
    struct board *b = board_mmap(fd, bytes);
    return b && b->bytes == bytes && b->live_count == live_count ? b : NULL;
}

void board_count(_Atomic uint64_t *word, uint64_t by) {
    atomic_store_explicit(word, atomic_load_explicit(word, memory_order_relaxed) + by, memory_order_relaxed);
}

void board_note(struct board_slot *slot, const char *text) {
    if (atomic_load(&slot->has_note))
        return;
    (void)snprintf(slot->note, sizeof slot->note, "%s", text);
    atomic_store(&slot->has_note, 1);
}
