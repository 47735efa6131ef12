/* tests/api/ttl_kit.c - see ttl_kit.h. */
#include <criterion/criterion.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>

#include "core/item/item.h"
#include "larder.h"
#include "tests/api/ttl_kit.h"
#include "tests/support/testseg.h"

int64_t shared_clock(void *arg) {
    return atomic_load((_Atomic int64_t *)arg);
}

int attach(struct fixture *f) {
    larder_set_clock(f->db, shared_clock, f->clock_s);
    int r = larder_table_open(f->db, "things", &f->t);
    if (r == LARDER_OK)
        r = larder_builder_new(f->db, &f->b);
    return r ? r : larder_page_new(f->db, &f->page);
}

void furnish(struct fixture *f) {
    const struct larder_index_def index = {
        .name = "by-owner", .partition = {"owner", LARDER_S}, .sort = {"sk", LARDER_S}};
    const struct larder_table_def def = {.name = "things",
                                         .partition = {"pk", LARDER_S},
                                         .sort = {"sk", LARDER_S},
                                         .indexes = &index,
                                         .index_count = 1,
                                         .ttl_attribute = "ttl"};
    f->clock_s = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq((void *)f->clock_s, MAP_FAILED);
    atomic_store(f->clock_s, NOW_S);
    cr_assert_eq(larder_table_create(f->db, &def), LARDER_OK, "%s", larder_error());
    cr_assert_eq(attach(f), LARDER_OK, "%s", larder_error());
}

struct fixture begin_sized(uint64_t bytes) {
    struct fixture f = {0};
    testseg_name(f.name);
    f.db = testseg_open_named(f.name, bytes, 0);
    furnish(&f);
    return f;
}

struct fixture begin(void) {
    return begin_sized(SEGMENT_BYTES);
}

void check(const struct fixture *f) {
    struct larder_check_report report;
    cr_assert_eq(larder_check(f->db, NULL, &report), LARDER_OK, "%s", larder_error());
    cr_assert_eq(report.leaked_blocks, 0);
}

void finish(struct fixture *f) {
    check(f);
    larder_close(f->db);
    testseg_destroy(f->name);
    munmap((void *)f->clock_s, 4096);
}

int put_result(struct fixture *f, const char *pk, const char *sk, const char *name, const char *number) {
    const struct larder_item *item;
    larder_builder_reset(f->b);
    larder_builder_add_s(f->b, "pk", pk);
    larder_builder_add_s(f->b, "sk", sk);
    larder_builder_add_s(f->b, "owner", "me");
    if (name)
        larder_builder_add_n(f->b, name, number);
    int r = larder_builder_finish(f->b, &item);
    return r ? r : larder_put(f->t, item, NULL);
}

void put_number(struct fixture *f, const char *sk, const char *name, const char *number) {
    cr_assert_eq(put_result(f, "p", sk, name, number), LARDER_OK, "%s", larder_error());
}

void put(struct fixture *f, const char *sk, int64_t ttl_s) {
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)ttl_s);
    put_number(f, sk, "ttl", text);
}

struct larder_key key_of(const char *sk) {
    return (struct larder_key){larder_str("p"), larder_str(sk)};
}

int get(const struct fixture *f, const char *sk) {
    struct larder_key key = key_of(sk);
    return larder_get(f->t, &key, f->page);
}

static uint32_t query_count(const struct fixture *f, const char *index, const char *partition, int is_descending) {
    struct larder_query_spec spec = {
        .index = index, .partition = larder_str(partition), .is_descending = is_descending};
    cr_assert_eq(larder_query(f->t, &spec, f->page), LARDER_OK, "%s", larder_error());
    return larder_page_count(f->page);
}

uint32_t scan_count(const struct fixture *f) {
    struct larder_scan_spec spec = {0};
    cr_assert_eq(larder_scan(f->t, &spec, f->page), LARDER_OK, "%s", larder_error());
    return larder_page_count(f->page);
}

uint32_t visible(const struct fixture *f) {
    uint32_t count = scan_count(f);
    cr_assert_eq(query_count(f, NULL, "p", 0), count);
    cr_assert_eq(query_count(f, NULL, "p", 1), count);
    cr_assert_eq(query_count(f, "by-owner", "me", 0), count);
    cr_assert_eq(query_count(f, "by-owner", "me", 1), count);
    return count;
}

uint64_t expire(const struct fixture *f) {
    uint64_t removed = UINT64_MAX;
    cr_assert_eq(larder_expire(f->db, 0, &removed), LARDER_OK, "%s", larder_error());
    return removed;
}

struct larder_table_stats stats_of(const struct fixture *f) {
    struct larder_table_stats stats;
    cr_assert_eq(larder_table_stats(f->t, &stats), LARDER_OK, "%s", larder_error());
    return stats;
}

uint64_t item_count(const struct fixture *f) {
    return stats_of(f).item_count;
}

void put_many(struct fixture *f, uint32_t count, uint32_t seconds) {
    char pk[32], sk[32], ttl[32];
    for (uint32_t i = 0; i < count; i++) {
        snprintf(pk, sizeof pk, "p%u", i % 997);
        snprintf(sk, sizeof sk, "s%u", i);
        snprintf(ttl, sizeof ttl, "%lld", (long long)atomic_load(f->clock_s) + 1 + i % seconds);
        cr_assert_eq(put_result(f, pk, sk, "ttl", ttl), LARDER_OK, "%s", larder_error());
    }
}

void set_attribute(struct fixture *f, const char *attribute) {
    cr_assert_eq(larder_ttl_set(f->t, attribute), LARDER_OK, "%s", larder_error());
}

int has_expirer(struct larder *db, pid_t pid) {
    struct larder_slot_stats slots[64];
    uint32_t count;
    if (larder_slot_stats(db, slots, 64, &count) != LARDER_OK)
        return 0;
    for (uint32_t i = 0; i < count && i < 64; i++)
        if (slots[i].is_expirer && slots[i].is_alive && slots[i].pid == pid)
            return 1;
    return 0;
}
