/* tests/api/ttl_kit.h - a table whose items expire, on a clock that the test moves.
 *
 * Job      All processes of a test read one clock in shared memory, which only the test moves. No
 *          sleeps: waits for the thread have a deadline.
 */
#ifndef LARDER_TESTS_API_TTL_KIT_H
#define LARDER_TESTS_API_TTL_KIT_H

#include <stdatomic.h>
#include <sys/types.h>

#include "larder.h"
#include "tests/support/slow.h"
#include "tests/support/testseg.h"

#define SEGMENT_BYTES (64u << 20)
#define NOW_S INT64_C(1700000000)
#define FIVE_YEARS_S (INT64_C(5) * 366 * 86400)
#define WAIT_MS 10000

struct fixture {
    struct larder *db;
    struct larder_table *t;
    struct larder_builder *b;
    struct larder_page *page;
    _Atomic int64_t *clock_s; /* in memory that forked children share */
    char name[TESTSEG_NAME_MAX];
};

int64_t shared_clock(void *arg);

/* Everything of a fixture that belongs to the handle. */
int attach(struct fixture *f);

/* A clock and the table, on the handle that is open. */
void furnish(struct fixture *f);
struct fixture begin_sized(uint64_t bytes);
struct fixture begin(void);
void check(const struct fixture *f);
void finish(struct fixture *f);

/* An item with one N attribute; name NULL: none. Usable in forked children. */
int put_result(struct fixture *f, const char *pk, const char *sk, const char *name, const char *number);
void put_number(struct fixture *f, const char *sk, const char *name, const char *number);
void put(struct fixture *f, const char *sk, int64_t ttl_s);
struct larder_key key_of(const char *sk);
int get(const struct fixture *f, const char *sk);
uint32_t scan_count(const struct fixture *f);

/* How many items every path agrees to show. */
uint32_t visible(const struct fixture *f);
uint64_t expire(const struct fixture *f);
struct larder_table_stats stats_of(const struct fixture *f);
uint64_t item_count(const struct fixture *f);
void put_many(struct fixture *f, uint32_t count, uint32_t seconds);
void set_attribute(struct fixture *f, const char *attribute);
int has_expirer(struct larder *db, pid_t pid);

#endif
