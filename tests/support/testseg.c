/* tests/support/testseg.c - see testseg.h. */
#include "tests/support/testseg.h"

#include <criterion/criterion.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct larder *testseg_open_with(const struct larder_options *options) {
    struct larder *db = NULL;
    int result = larder_open(options, &db);
    cr_assert(result == LARDER_OK, "larder_open: %s: %s", larder_result_name(result), larder_error());
    return db;
}

struct larder *testseg_open(uint64_t size_bytes, uint32_t stripe_count) {
    return testseg_open_with(&(struct larder_options){
        .flags = LARDER_CREATE | LARDER_MEMFD, .memfd = -1, .size_bytes = size_bytes, .stripe_count = stripe_count});
}

struct larder *testseg_attach(const struct larder *db, uint32_t flags) {
    return testseg_open_with(&(struct larder_options){.flags = flags | LARDER_MEMFD, .memfd = larder_memfd(db)});
}

void testseg_name(char name[TESTSEG_NAME_MAX]) {
    static atomic_uint count;
    const char *prefix = getenv("LARDER_TEST_PREFIX");
    snprintf(name, TESTSEG_NAME_MAX, "%.80s-%d-%u", prefix && *prefix ? prefix : "larder-test", (int)getpid(),
             atomic_fetch_add(&count, 1));
}

struct larder *testseg_open_named(const char *name, uint64_t size_bytes, uint32_t stripe_count) {
    return testseg_open_with(&(struct larder_options){.segment = name,
                                                      .flags = LARDER_CREATE | LARDER_EXCLUSIVE,
                                                      .size_bytes = size_bytes,
                                                      .stripe_count = stripe_count});
}

void testseg_destroy(const char *name) {
    int result = larder_destroy(name, LARDER_FORCE);
    cr_assert(result == LARDER_OK || result == LARDER_E_NO_SEGMENT, "larder_destroy %s: %s: %s", name,
              larder_result_name(result), larder_error());
}
