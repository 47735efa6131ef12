/* expiry.c - pattern 23: sessions that expire while they are read. See expiry.h. */
#include "expiry.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "key.h"
#include "sink.h"
#include "text.h"
#include "when.h"
#include "worker.h"

#define EXPIRY_STATE_BYTES 8000u /* large, so that 200 sessions show in the memory in use */
#define EXPIRY_LOOK_EVERY 16u    /* one question in this many is about the whole wave */

int64_t expiry_at(int64_t wave_start, uint32_t i) {
    return wave_start + EXPIRY_FIRST_S + i % (EXPIRY_LAST_S - EXPIRY_FIRST_S + 1);
}

uint32_t expiry_left(int64_t wave_start, int64_t now_s) {
    uint32_t left = 0;
    for (uint32_t i = 0; i < EXPIRY_SESSIONS; i++)
        left += expiry_at(wave_start, i) > now_s;
    return left;
}

static void expiry_partition(int64_t wave_start, char out[KEY_TEXT_BYTES]) {
    struct text t = text_on(out, KEY_TEXT_BYTES);
    text_add(&t, "SHOP#wave-");
    text_digits(&t, (uint64_t)wave_start, 1);
    text_add(&t, ".example#SESSIONS");
}

static void expiry_id(int64_t wave_start, uint32_t i, char out[KEY_TEXT_BYTES]) {
    struct text t = text_on(out, KEY_TEXT_BYTES);
    text_add(&t, "SESSION#wave-");
    text_digits(&t, (uint64_t)wave_start, 1);
    text_add(&t, "-");
    text_digits(&t, i, 3);
}

static void expiry_emit(int64_t wave_start, uint32_t i, struct sink *s) {
    char text[KEY_TEXT_BYTES], state[EXPIRY_STATE_BYTES + 1];
    expiry_id(wave_start, i, text);
    sink_s(s, "PK", text);
    sink_s(s, "SK", "METADATA");
    expiry_partition(wave_start, text);
    sink_s(s, "GSI3PK", text);
    when_stamp(expiry_at(wave_start, i) * 1000, text);
    sink_s(s, "GSI3SK", text);
    sink_s(s, "EntityType", "Session");
    sink_n(s, "userId", i);
    memset(state, 'a' + (int)(i % 26), EXPIRY_STATE_BYTES);
    state[EXPIRY_STATE_BYTES] = 0;
    sink_s(s, "state", state);
    sink_n(s, "ExpiresAt", expiry_at(wave_start, i));
}

int expiry_store(struct larder_table *t, struct larder_builder *b, int64_t wave_start) {
    const struct larder_item *item;
    struct sink s;
    int result = LARDER_OK;
    for (uint32_t i = 0; i < EXPIRY_SESSIONS && result == LARDER_OK; i++) {
        sink_open(&s, b);
        expiry_emit(wave_start, i, &s);
        if ((result = larder_builder_finish(b, &item)) == LARDER_OK)
            result = larder_put(t, item, NULL);
    }
    return result;
}

/* ---- Judging --------------------------------------------------------------------------------- */

static int64_t expiry_now_s(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec;
}

/* NULL if a call between those two seconds may see the session, or not see it. */
static const char *expiry_judge(int64_t wave_start, uint32_t i, bool is_seen, int64_t before_s, int64_t after_s) {
    int64_t at_s = expiry_at(wave_start, i);
    if (is_seen && before_s >= at_s)
        return "a session is visible after it expired";
    if (!is_seen && after_s < at_s)
        return "a session is gone before it expired";
    return NULL;
}

static const char *expiry_judge_item(int64_t wave_start, uint32_t i, const struct larder_item *item) {
    struct sink s;
    sink_open(&s, NULL);
    expiry_emit(wave_start, i, &s);
    return sink_fingerprint(&s) == sink_fingerprint_item(item) ? NULL : "a session has wrong attributes";
}

/* Finds which sessions of the wave a page holds: each once, each whole. */
static const char *expiry_take(int64_t wave_start, const struct larder_page *page, bool seen[EXPIRY_SESSIONS]) {
    const char *complaint = NULL;
    for (uint32_t n = 0; n < larder_page_count(page) && !complaint; n++) {
        const struct larder_item *item = larder_page_item(page, n);
        struct larder_value v;
        int64_t i;
        if (larder_item_get(item, "userId", &v) != LARDER_OK || larder_value_int64(&v, &i) != LARDER_OK || i < 0 ||
            i >= EXPIRY_SESSIONS || seen[i])
            return "a session came twice, or was never stored";
        seen[i] = true;
        complaint = expiry_judge_item(wave_start, (uint32_t)i, item);
    }
    return complaint;
}

static int expiry_query(struct larder_table *t, struct larder_page *page, int64_t wave_start) {
    char partition[KEY_TEXT_BYTES];
    expiry_partition(wave_start, partition);
    const struct larder_query_spec spec = {
        .index = "GSI3", .partition = larder_str(partition), .bytes_max = 4 * EXPIRY_SESSIONS * EXPIRY_STATE_BYTES};
    return larder_query(t, &spec, page);
}

static void expiry_judge_wave(int64_t wave_start, const struct larder_page *page, int64_t before_s, int64_t after_s,
                              struct expiry_look *out) {
    bool seen[EXPIRY_SESSIONS] = {false};
    *out = (struct expiry_look){.complaint = expiry_take(wave_start, page, seen)};
    for (uint32_t i = 0; i < EXPIRY_SESSIONS; i++) {
        out->visible += seen[i];
        if (!out->complaint)
            out->complaint = expiry_judge(wave_start, i, seen[i], before_s, after_s);
    }
}

int expiry_look(struct larder_table *t, struct larder_page *page, int64_t wave_start, struct expiry_look *out) {
    int64_t before_s = expiry_now_s();
    int result = expiry_query(t, page, wave_start);
    if (result == LARDER_OK)
        expiry_judge_wave(wave_start, page, before_s, expiry_now_s(), out);
    return result;
}

/* ---- A worker's questions -------------------------------------------------------------------- */

static const char *expiry_ask_wave(struct worker *w, int64_t wave_start) {
    struct expiry_look look;
    int64_t before_s = expiry_now_s();
    worker_call_begins(w);
    int result = expiry_query(w->table, w->page, wave_start);
    worker_call_ends(w);
    if (result != LARDER_OK)
        return larder_result_name(result);
    expiry_judge_wave(wave_start, w->page, before_s, expiry_now_s(), &look);
    w->oracle.item_count = look.visible;
    return look.complaint;
}

static const char *expiry_ask_one(struct worker *w, int64_t wave_start, uint32_t i) {
    char partition[KEY_TEXT_BYTES];
    expiry_id(wave_start, i, partition);
    const struct larder_key key = {larder_str(partition), larder_str("METADATA")};
    int64_t before_s = expiry_now_s();
    worker_call_begins(w);
    int result = larder_get(w->table, &key, w->page);
    worker_call_ends(w);
    int64_t after_s = expiry_now_s();
    if (result < 0)
        return larder_result_name(result);
    const char *complaint = expiry_judge(wave_start, i, result == LARDER_OK, before_s, after_s);
    w->oracle.item_count = result == LARDER_OK;
    if (!complaint && result == LARDER_OK)
        complaint = expiry_judge_item(wave_start, i, larder_page_item(w->page, 0));
    return complaint;
}

bool expiry_ask(struct worker *w, uint32_t variant) {
    const struct oracle_question q = {.index = KEY_GSI3};
    int64_t wave_start = atomic_load(&w->board->wave_start);
    char partition[KEY_TEXT_BYTES];
    /* clears the last question, and will hold the complaint */
    oracle_ask_one(&w->oracle, &q, GEN_NONE);
    if (wave_start == 0)
        return true;
    const char *complaint =
        variant % EXPIRY_LOOK_EVERY == 0 ? expiry_ask_wave(w, wave_start) : expiry_ask_one(w, wave_start, variant);
    if (!complaint)
        return true;
    expiry_id(wave_start, variant, partition);
    oracle_complain(&w->oracle, complaint, partition, "");
    return false;
}
