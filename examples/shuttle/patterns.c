/* patterns.c - the access patterns, one function each. See patterns.h. */
#include "patterns.h"

#include <string.h>
#include <time.h>

#include "expiry.h"
#include "text.h"
#include "when.h"

/* Kept answers (oracle_question.cache): one number for each question about all shops. */
enum {
    CACHE_SHOPS = 1,
    CACHE_PLAN,
    CACHE_QUEUED = CACHE_PLAN + GEN_PLAN_COUNT,
    CACHE_MONTH,
    CACHE_DAY = CACHE_MONTH + 3
};
_Static_assert(CACHE_DAY + GEN_DAYS - 1 <= ORACLE_CACHE_MAX, "a kept answer for each question about all shops");

/* Its jobs fit into one page, which a moving job cannot slip through. */
#define PATTERN_SMALL_SHOP_JOBS 64u

/* ---- Gets ------------------------------------------------------------------------------------ */

static bool get_place(struct worker *w, struct gen_place p) {
    struct key k;
    (void)key_of(&w->gen, p, 0, KEY_TABLE, &k);
    return worker_get(w, k.partition, k.sort, gen_id(&w->gen, p));
}

static bool run_1(struct worker *w, uint32_t shop, uint32_t variant) {
    (void)variant;
    return get_place(w, (struct gen_place){GEN_SHOP, shop, 0});
}

static bool run_5(struct worker *w, uint32_t shop, uint32_t variant) {
    char partition[KEY_TEXT_BYTES], sort[KEY_TEXT_BYTES], ulid[WHEN_ULID_BYTES];
    if (variant < w->gen.job_count[shop])
        return get_place(w, (struct gen_place){GEN_JOB, shop, variant});
    key_shop(&w->gen, shop, partition);
    when_ulid_end(gen_job_created_ms(&w->gen, shop, 0), 'Z', ulid);
    key_join("JOB#", ulid, sort);
    return worker_get(w, partition, sort, GEN_NONE);
}

static bool run_12(struct worker *w, uint32_t shop, uint32_t variant) {
    char partition[KEY_TEXT_BYTES], sort[KEY_TEXT_BYTES], day[KEY_TEXT_BYTES];
    if (variant < GEN_DAYS)
        return get_place(w, (struct gen_place){GEN_DAILY, shop, variant});
    key_shop(&w->gen, shop, partition);
    key_day(&w->gen, variant, day); /* today, which has no usage yet */
    key_join("USAGE#DAILY#", day, sort);
    return worker_get(w, partition, sort, GEN_NONE);
}

static bool run_15_shop(struct worker *w, uint32_t shop, uint32_t variant) {
    return get_place(w, (struct gen_place){GEN_MONTHLY, shop, variant});
}

static bool run_16_current(struct worker *w, uint32_t shop, uint32_t variant) {
    (void)variant;
    return get_place(w, (struct gen_place){GEN_SCHEMA, shop, 0});
}

static bool run_17(struct worker *w, uint32_t shop, uint32_t variant) {
    char id[KEY_TEXT_BYTES], partition[KEY_TEXT_BYTES];
    if (variant < GEN_SESSIONS)
        return get_place(w, (struct gen_place){GEN_SESSION, shop, variant});
    key_session_id(&w->gen, shop, variant, id); /* a user who never logged in */
    key_join("SESSION#", id, partition);
    return worker_get(w, partition, "METADATA", GEN_NONE);
}

static bool run_19(struct worker *w, uint32_t shop, uint32_t variant) {
    (void)shop, (void)variant;
    return get_place(w, (struct gen_place){GEN_CONFIG, 0, 0});
}

/* ---- Queries of one shop --------------------------------------------------------------------- */

/* Over the table: PK = SHOP#D. */
static struct oracle_question of_shop(struct worker *w, uint32_t shop, enum larder_sort_op op, const char *low) {
    struct oracle_question q = {.index = KEY_TABLE, .op = op, .shop = shop, .kinds = ORACLE_ALL_KINDS};
    key_shop(&w->gen, shop, q.partition);
    key_join(low, "", q.low);
    return q;
}

static bool run_4(struct worker *w, uint32_t shop, uint32_t variant) {
    (void)variant;
    struct oracle_question q = of_shop(w, shop, LARDER_SORT_ANY, "");
    return worker_query(w, &q, WORKER_ANY);
}

static bool run_6(struct worker *w, uint32_t shop, uint32_t variant) {
    (void)variant;
    struct oracle_question q = of_shop(w, shop, LARDER_SORT_BEGINS_WITH, "JOB#");
    return worker_query(w, &q, WORKER_ANY);
}

static bool run_7(struct worker *w, uint32_t shop, uint32_t variant) {
    (void)variant;
    struct oracle_question q = of_shop(w, shop, LARDER_SORT_BEGINS_WITH, "JOB#");
    q.is_descending = true;
    q.page_items = 20;
    q.items_max = 40;
    return worker_query(w, &q, WORKER_ANY);
}

static bool run_8(struct worker *w, uint32_t shop, uint32_t variant) {
    (void)variant;
    struct oracle_question q = of_shop(w, shop, LARDER_SORT_BETWEEN, "");
    uint32_t a = rng_below(&w->rng, GEN_DAYS * 24), hours = 1 + rng_below(&w->rng, 7 * 24);
    int64_t from_ms = ((w->gen.load.today - (int64_t)GEN_DAYS) * 24 + a) * 3600000;
    char ulid[WHEN_ULID_BYTES];
    when_ulid_end(from_ms, '0', ulid);
    key_join("JOB#", ulid, q.low);
    when_ulid_end(from_ms + hours * INT64_C(3600000), 'Z', ulid);
    key_join("JOB#", ulid, q.high);
    return worker_query(w, &q, WORKER_ANY);
}

static bool run_9(struct worker *w, uint32_t shop, uint32_t variant) {
    struct oracle_question q = of_shop(w, shop, LARDER_SORT_BEGINS_WITH, "");
    q.index = KEY_GSI1;
    key_join("STATUS#", gen_status_names[variant], q.low);
    return worker_query(w, &q, WORKER_ANY);
}

static bool run_10(struct worker *w, uint32_t shop, uint32_t variant) {
    struct oracle_question q = of_shop(w, shop, LARDER_SORT_EQ, gen_status_names[variant]);
    q.index = KEY_STATUS;
    key_domain(&w->gen, shop, q.partition);
    return worker_query(w, &q, WORKER_ANY);
}

static bool run_13(struct worker *w, uint32_t shop, uint32_t variant) {
    (void)variant;
    struct oracle_question q = of_shop(w, shop, LARDER_SORT_BETWEEN, "");
    uint32_t from = rng_below(&w->rng, GEN_DAYS), days = rng_below(&w->rng, 31);
    char day[KEY_TEXT_BYTES];
    key_day(&w->gen, from, day);
    key_join("USAGE#DAILY#", day, q.low);
    key_day(&w->gen, from + days, day);
    key_join("USAGE#DAILY#", day, q.high);
    return worker_query(w, &q, WORKER_ANY);
}

static bool run_16_versions(struct worker *w, uint32_t shop, uint32_t variant) {
    (void)variant;
    struct oracle_question q = of_shop(w, shop, LARDER_SORT_BEGINS_WITH, "SCHEMA#V#");
    return worker_query(w, &q, WORKER_ANY);
}

/* "Live" as of now, or as of a moment in the next two days: by then the online sessions have
 * expired. */
static bool run_18(struct worker *w, uint32_t shop, uint32_t variant) {
    struct oracle_question q = of_shop(w, shop, LARDER_SORT_GT, "");
    int64_t at_s = time(NULL) + (variant == 0 ? 0 : rng_below(&w->rng, 2 * (uint32_t)WHEN_DAY_S));
    q.index = KEY_GSI3;
    key_shop_sessions(&w->gen, shop, q.partition);
    when_stamp(at_s * 1000, q.low);
    return worker_query(w, &q, WORKER_ANY);
}

/* All jobs of a shop through the index in which they move: each must be there exactly once, at
 * either place. */
static bool run_20_readers(struct worker *w, uint32_t shop, uint32_t variant) {
    (void)variant;
    /* most shops are small: the next small one will do */
    while (w->gen.job_count[shop] > PATTERN_SMALL_SHOP_JOBS)
        shop = (shop + 1) % w->gen.load.shop_count;
    struct oracle_question q = of_shop(w, shop, LARDER_SORT_BEGINS_WITH, "STATUS#");
    q.index = KEY_GSI1;
    return worker_query(w, &q, WORKER_ANY);
}

/* ---- Queries of all shops -------------------------------------------------------------------- */

static bool ask_all(struct worker *w, enum key_index index, const char *partition, const char *begins_with,
                    enum gen_kind kind, uint32_t cache) {
    struct oracle_question q = {.index = index, .shop = ORACLE_ALL_SHOPS, .kinds = 1u << kind, .cache = cache};
    q.op = begins_with[0] ? LARDER_SORT_BEGINS_WITH : LARDER_SORT_ANY;
    key_join(partition, "", q.partition);
    key_join(begins_with, "", q.low);
    return worker_query(w, &q, WORKER_ANY);
}

static bool run_2(struct worker *w, uint32_t shop, uint32_t variant) {
    (void)shop, (void)variant;
    return ask_all(w, KEY_GSI1, "SHOPS", "", GEN_SHOP, CACHE_SHOPS);
}

static bool run_3(struct worker *w, uint32_t shop, uint32_t variant) {
    (void)shop;
    char partition[KEY_TEXT_BYTES];
    key_join("PLAN#", gen_plan_names[variant], partition);
    return ask_all(w, KEY_GSI3, partition, "", GEN_SHOP, CACHE_PLAN + variant);
}

static bool run_11(struct worker *w, uint32_t shop, uint32_t variant) {
    (void)shop, (void)variant;
    return ask_all(w, KEY_GSI2, "JOBS#QUEUED", "", GEN_JOB, CACHE_QUEUED);
}

static bool run_14(struct worker *w, uint32_t shop, uint32_t variant) {
    (void)shop;
    char day[KEY_TEXT_BYTES];
    key_day(&w->gen, variant, day);
    return ask_all(w, KEY_GSI2, "USAGE_DAILY", day, GEN_DAILY, CACHE_DAY + variant);
}

static bool run_15_all(struct worker *w, uint32_t shop, uint32_t variant) {
    (void)shop;
    char month[KEY_TEXT_BYTES];
    key_month(&w->gen, variant, month);
    return ask_all(w, KEY_GSI2, "USAGE_MONTHLY", month, GEN_MONTHLY, CACHE_MONTH + variant);
}

static bool run_23(struct worker *w, uint32_t shop, uint32_t variant) {
    (void)shop;
    return expiry_ask(w, variant);
}

/* ---- The table ------------------------------------------------------------------------------- */

/* Weights: questions that a user waits for come often; those that walk all shops and return
 * thousands of items come rarely. */
const struct pattern patterns[] = {
    {"1", "shop by domain", 750, true, 1, run_1},
    {"2", "all shops by install date", 1, false, 1, run_2},
    {"3", "shops on a plan", 10, false, GEN_PLAN_COUNT, run_3},
    {"4", "everything of a shop", 75, true, 1, run_4},
    {"5", "one job", 900, true, PATTERN_EACH_JOB, run_5},
    {"6", "all jobs of a shop", 100, true, 1, run_6},
    {"7", "newest 20 jobs, then the next 20", 300, true, 1, run_7},
    {"8", "jobs of a shop in a time window", 250, true, 1, run_8},
    {"9", "jobs of a shop in a status, by time", 250, true, GEN_STATUS_COUNT, run_9},
    {"10", "jobs of a shop in a status", 200, true, GEN_STATUS_COUNT, run_10},
    {"11", "queued jobs of all shops, oldest first", 1, false, 1, run_11},
    {"12", "a shop's usage on a day", 450, true, GEN_DAYS + 1, run_12},
    {"13", "a shop's usage over a date range", 250, true, 1, run_13},
    {"14", "all shops' usage on a day", 1, false, GEN_DAYS, run_14},
    {"15", "a month's usage of a shop", 200, true, GEN_MONTHS, run_15_shop},
    {"15b", "a month's usage of all shops", 1, false, GEN_MONTHS, run_15_all},
    {"16", "current schema", 150, true, 1, run_16_current},
    {"16b", "all schema versions", 100, true, 1, run_16_versions},
    {"17", "session by id", 750, true, GEN_SESSIONS + 1, run_17},
    {"17w", "a session is renewed (writer)", 0, true, 1, NULL},
    {"18", "live sessions of a shop", 300, true, 2, run_18},
    {"19", "app configuration", 50, false, 1, run_19},
    {"20", "a job changes status (writer)", 0, true, 1, NULL},
    {"20r", "jobs on the move, each exactly once", 150, true, 1, run_20_readers},
    {"21", "an import is counted (writer)", 0, true, 1, NULL},
    {"23", "sessions gone from their second on", 500, false, EXPIRY_SESSIONS, run_23},
};
const unsigned pattern_count = sizeof patterns / sizeof patterns[0];
_Static_assert(sizeof patterns / sizeof patterns[0] <= BOARD_PATTERNS_MAX, "a tally for each pattern");

static unsigned pattern_labelled(const char *label) {
    unsigned i = 0;
    while (i + 1 < pattern_count && strcmp(patterns[i].label, label) != 0)
        i++;
    return i;
}

unsigned pattern_status_change(void) {
    return pattern_labelled("20");
}
unsigned pattern_import(void) {
    return pattern_labelled("21");
}
unsigned pattern_renewal(void) {
    return pattern_labelled("17w");
}

uint32_t pattern_variants(const struct pattern *p, const struct gen *g, uint32_t shop) {
    return p->variants == PATTERN_EACH_JOB ? g->job_count[shop] + 1u : p->variants;
}
