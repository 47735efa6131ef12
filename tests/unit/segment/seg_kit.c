/* tests/unit/segment/seg_kit.c - see seg_kit.h. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/unit/segment/seg_kit.h"

struct larder_options options_of(const char *segment, uint32_t flags) {
    return (struct larder_options){.segment = segment, .flags = flags, .size_bytes = SMALL};
}

int try_open(struct seg *s, const char *segment, uint32_t flags) {
    struct larder_options o = options_of(segment, flags);
    return seg_open(s, &o);
}

int open_and_close(const char *segment, uint32_t flags) {
    struct seg s;
    int result = try_open(&s, segment, flags);
    seg_close(&s);
    return result;
}

void must_open(struct seg *s, const char *segment, uint32_t flags) {
    int result = try_open(s, segment, flags);
    cr_assert(result == LARDER_OK, "%s: %s: %s", segment, larder_result_name(result), larder_error());
}

void make_dir(char dir[64]) {
    snprintf(dir, 64, "/tmp/larder-test-XXXXXX");
    cr_assert(mkdtemp(dir) != NULL);
}

int exists(const char *path) {
    struct stat st;
    return lstat(path, &st) == 0;
}

void write_file(const char *path, const void *data, size_t bytes) {
    int fd = open(path, O_CREAT | O_TRUNC | O_RDWR, 0600);
    cr_assert(fd >= 0 && write(fd, data, bytes) == (ssize_t)bytes && close(fd) == 0);
}
