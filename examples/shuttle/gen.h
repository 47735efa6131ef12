/* gen.h - the load: which items there are, as a pure function of a seed.
 *
 * Job      Numbers every item of the load (its id), knows its place and draws its facts. Only two
 *          prefix sums and some texts are stored, so every process of the demo makes the same
 *          million items for itself.
 * Picture  ids of shop s:  | shop | job 0 .. n-1 | day 0..59 | month 0..2 | schema | session 0..2 |
 *          schema: CURRENT, V1 .. Vv. After the last shop comes the one AppConfig item.
 * Rules    G1 Equal struct load, equal items.
 *          G2 A fixed item never changes after the load.
 *          G3 A live item is at some revision r = 0, 1, 2, ... and all its attributes follow from
 *             (id, r).
 * Not here Attributes (item.c), keys (key.c), from keys back to ids (ident.c).
 */
#ifndef SHUTTLE_GEN_H
#define SHUTTLE_GEN_H

#include <stdbool.h>
#include <stdint.h>

#define GEN_DAYS 60u
#define GEN_MONTHS 3u
#define GEN_SESSIONS 3u
#define GEN_JOBS_MAX 4000u
#define GEN_SHOPS_MIN 10u /* fewer might all be large ones, which pattern 20r cannot use */
#define GEN_SHOPS_MAX 1000000u
/* The newest job of a shop is live, and every 8th before it up to the 64th: those that a real shop
 * still works on. So are its usage of this month and its offline session. */
#define GEN_LIVE_EVERY 8u
#define GEN_LIVE_JOBS_MAX 8u
/* Longest: 8 + 8 letters, 7 digits, "-", "-", ".myshopify.com" and the final 0. */
#define GEN_DOMAIN_BYTES 40
#define GEN_DATE_COUNT (2 * GEN_DAYS)
#define GEN_DATE_BYTES 11
#define GEN_NONE UINT32_MAX

enum gen_kind { GEN_SHOP, GEN_JOB, GEN_DAILY, GEN_MONTHLY, GEN_SCHEMA, GEN_SESSION, GEN_CONFIG };
enum gen_status { GEN_QUEUED, GEN_PROCESSING, GEN_COMPLETED, GEN_FAILED, GEN_CANCELLED, GEN_STATUS_COUNT };
enum gen_plan { GEN_FREE, GEN_SMALL, GEN_MEDIUM, GEN_LARGE, GEN_PLAN_COUNT };

extern const char *const gen_status_names[GEN_STATUS_COUNT];
extern const char *const gen_plan_names[GEN_PLAN_COUNT];

/** Everything that a load depends on. */
struct gen_load {
    uint64_t seed;
    uint32_t shop_count;
    int64_t today; /* epoch day: usage ends the day before it, sessions begin on it */
};

struct gen {
    struct gen_load load;
    uint32_t *first;      /* shop_count + 1: id of each shop's first item */
    uint32_t *first_live; /* shop_count + 1: number of each shop's first live item */
    uint16_t *job_count;  /* shop_count */
    /* Texts that brute force needs by the million. */
    char (*domain)[GEN_DOMAIN_BYTES];          /* shop_count */
    char date[GEN_DATE_COUNT][GEN_DATE_BYTES]; /* from the first day of usage on */
};

/** The place of an item: GEN_CONFIG has shop and ordinal 0; a schema's ordinal 0 is CURRENT, v is
 * version v. */
struct gen_place {
    enum gen_kind kind;
    uint32_t shop, ordinal;
};

/** False if there is no memory. */
bool gen_init(struct gen *g, const struct gen_load *load);
void gen_done(struct gen *g);

static inline uint32_t gen_item_count(const struct gen *g) {
    return g->first[g->load.shop_count] + 1;
}
static inline uint32_t gen_live_count(const struct gen *g) {
    return g->first_live[g->load.shop_count];
}
static inline uint32_t gen_shop_items(const struct gen *g, uint32_t shop) {
    return g->first[shop + 1] - g->first[shop];
}
uint32_t gen_schema_versions(const struct gen *g, uint32_t shop);

uint32_t gen_id(const struct gen *g, struct gen_place p);
struct gen_place gen_place_of(const struct gen *g, uint32_t id);
/** The nth item of a shop, nth < gen_shop_items(). */
struct gen_place gen_place_in(const struct gen *g, uint32_t shop, uint32_t nth);

/** Number of a live item, 0..gen_live_count()-1, or GEN_NONE for a fixed one. */
uint32_t gen_live(const struct gen *g, struct gen_place p);
/** The nth live item of a shop: its live jobs, newest first, this month's usage, session 0. */
struct gen_place gen_live_place(const struct gen *g, uint32_t shop, uint32_t nth);

/** A 64-bit draw for an item; `salt` tells the draws of one item apart. */
uint64_t gen_draw(const struct gen *g, struct gen_place p, uint32_t salt);

int64_t gen_job_created_ms(const struct gen *g, uint32_t shop, uint32_t job);
/** The job of a shop that was created in that millisecond, if there is one: undoes
 * gen_job_created_ms(). */
uint32_t gen_job_at(const struct gen *g, uint32_t shop, int64_t created_ms);
enum gen_status gen_job_status(const struct gen *g, uint32_t shop, uint32_t job, uint32_t revision);
enum gen_plan gen_shop_plan(const struct gen *g, uint32_t shop);
int64_t gen_shop_installed_ms(const struct gen *g, uint32_t shop);
int64_t gen_session_expires_s(const struct gen *g, uint32_t shop, uint32_t session, uint32_t revision);
int64_t gen_session_user(uint32_t shop, uint32_t session);

#endif
