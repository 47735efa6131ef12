/* tests/crash/damage_parts.h - what the files of damage.h share: the copy, the contents, the judge.
 */
#ifndef LARDER_TESTS_CRASH_DAMAGE_PARTS_H
#define LARDER_TESTS_CRASH_DAMAGE_PARTS_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "larder.h"
#include "tests/crash/damage.h"

#define BUSY_MS 3u
#define NOW_S INT64_C(1700000000)
#define STRIPES 4u
#define ITEMS 90
#define PLAIN_ITEMS 24
#define LARGE 12000u /* bytes: a block of whole spans */
#define PARTITIONS 3
#define PAGES_MAX 1000u /* more pages than items: a query that never ends */
#define HASH_SEED UINT64_C(0x1a2de2c0ffee5eed)

extern int damage_memfd;       /* the copy */
extern int damage_is_pristine; /* nothing was changed: failures are not excused */

#define FAIL(...)                                                                                                      \
    do {                                                                                                               \
        fprintf(stderr, "damage: %s:%d: ", __func__, __LINE__);                                                        \
        fprintf(stderr, __VA_ARGS__);                                                                                  \
        fprintf(stderr, " (last error: %s)\n", larder_error());                                                        \
        abort();                                                                                                       \
    } while (0)
#define MUST(condition)                                                                                                \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            FAIL("%s does not hold", #condition);                                                                      \
    } while (0)

/* A result that larder.h names, except E_INVAL: what is asked for here is allowed. */
int damage_judge(int r, const char *what);

/* ---- damage_contents.c ----------------------------------------------------------------------- */

void damage_pk_text(char *to, size_t room_for, int n);
void damage_sk_text(char *to, size_t room_for, int n);

/* Item n of table World, with index keys of variant `keys`. */
int damage_put_item(struct larder *db, struct larder_table *t, int n, int keys, size_t fill, int64_t expires_s,
                    struct larder_page *replaced);
int damage_put_plain(struct larder *db, struct larder_table *t, int n);
void damage_create_tables(struct larder *db);
void damage_fill_tables(struct larder *db);
int damage_add_index(struct larder *db);

/* A handle on the copy, on a clock that stands still. */
struct larder *damage_open(uint32_t flags);

/* ---- damage_use.c, damage.c ------------------------------------------------------------------ */

/* Reads all; a digest of what was read. */
uint64_t damage_use_read_only(int is_brief);

/* Everything that can be done with the copy. */
void damage_use(const struct damage_template *t);

/* The copy is the template again. */
void damage_restore(const struct damage_template *t);

#endif
