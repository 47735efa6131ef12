/* tests/torture/shared.c - see shared.h. */
#include "tests/torture/shared.h"

#include "tests/support/content.h"

/* state: low 16 bits of the serial | flags | upper. Only its author changes a place from "being
 * noted" to its end. All other changes are compare-and-swaps that see the tag. */
#define UPPER_BITS 45
#define OPEN ((UINT64_C(1) << UPPER_BITS) - 1) /* upper: not over yet */
#define CERTAIN (UINT64_C(1) << 45)
#define VOID (UINT64_C(1) << 46) /* with OPEN: being noted */
#define REPLACED (UINT64_C(1) << 47)
#define TAG(serial) ((uint64_t)((serial)&0xffff) << 48)

static uint64_t upper_of(uint64_t state) {
    return state & OPEN;
}

static int has_tag(uint64_t state, uint32_t serial) {
    return state >> 48 == (serial & 0xffff);
}

static int is_being_noted(uint64_t state) {
    return (state & VOID) && upper_of(state) == OPEN;
}

uint64_t shared_tick(struct shared *h) {
    return atomic_fetch_add(&h->tick, 1) + 1;
}

/* ---- Writing --------------------------------------------------------------------------------- */

#define PENDING (UINT64_C(1) << 63)

static uint64_t pending_of(uint32_t table, uint32_t reg, uint32_t serial) {
    return PENDING | (uint64_t)table << 52 | (uint64_t)reg << 40 | serial;
}

static void raise_to(_Atomic uint64_t *to, uint64_t value) {
    uint64_t seen = atomic_load(to);
    while (seen < value && !atomic_compare_exchange_weak(to, &seen, value))
        ;
}

void shared_take(struct shared *h, uint32_t author, uint32_t table, uint32_t reg, struct shared_note *note) {
    struct shared_key *key = &h->key[table][reg];
    for (;;) {
        uint32_t serial = atomic_fetch_add(&key->serials, 1) + 1;
        struct shared_write *place = &key->write[serial % SHARED_PLACES];
        uint64_t state = atomic_load(&place->state);
        if (serial == 0 || (state != 0 && upper_of(state) == OPEN))
            continue; /* its author is at work, or stopped */
        if (state != 0 && !(state & VOID))
            raise_to(&key->forgotten_upper, upper_of(state));
        atomic_store(&h->author[author].pending, pending_of(table, reg, serial));
        if (!atomic_compare_exchange_strong(&place->state, &state, TAG(serial) | VOID | OPEN))
            continue;
        *note = (struct shared_note){.h = h, .key = key, .place = place, .author = author, .serial = serial};
        return;
    }
}

void shared_begin(struct shared_note *note, int64_t value) {
    struct shared_write *p = note->place;
    note->begun = shared_tick(note->h);
    atomic_store(&p->serial, note->serial);
    atomic_store(&p->value, value);
    atomic_store(&p->begun, note->begun);
    atomic_store(&p->state, TAG(note->serial) | OPEN);
}

/* Over at `tick` at the latest. */
static void end_at(struct shared_write *p, uint32_t serial, uint64_t tick, uint64_t flags) {
    uint64_t state = atomic_load(&p->state), wanted;
    do {
        if (!has_tag(state, serial) || is_being_noted(state))
            return; /* it was over before, and the place was given to another write */
        wanted = (state & ~OPEN) | flags | (upper_of(state) < tick ? upper_of(state) : tick);
    } while (!atomic_compare_exchange_weak(&p->state, &state, wanted));
}

static void forget_pending(struct shared_note *note) {
    atomic_store(&note->h->author[note->author].pending, 0);
}

void shared_acked(struct shared_note *note) {
    end_at(note->place, note->serial, shared_tick(note->h), CERTAIN);
    forget_pending(note);
}

const char *shared_refused(struct shared_note *note) {
    uint64_t state = atomic_load(&note->place->state);
    uint64_t end = TAG(note->serial) | VOID | shared_tick(note->h);
    do {
        if (!has_tag(state, note->serial) || (state & CERTAIN))
            return content_wrong("write %u was refused, but was seen", note->serial);
    } while (!atomic_compare_exchange_weak(&note->place->state, &state, end));
    forget_pending(note);
    return NULL;
}

void shared_bury(struct shared *h, uint32_t author) {
    uint64_t pending = atomic_exchange(&h->author[author].pending, 0);
    if (!pending)
        return;
    uint32_t table = pending >> 52 & 0xff, reg = pending >> 40 & 0xfff, serial = (uint32_t)pending;
    struct shared_write *p = &h->key[table][reg].write[serial % SHARED_PLACES];
    uint64_t state = atomic_load(&p->state), now = shared_tick(h);
    if (has_tag(state, serial) && is_being_noted(state))
        atomic_store(&p->state, TAG(serial) | VOID | now); /* only its author would change it */
    else
        end_at(p, serial, now, 0);
}

/* ---- Judging --------------------------------------------------------------------------------- */

struct seen_write {
    uint64_t state, begun;
    uint32_t serial;
    int64_t value;
};

/* A place as it is; 0 if it holds no write that may have taken effect or may take effect. */
static int read_place(struct shared_write *p, struct seen_write *w) {
    for (;;) {
        w->state = atomic_load(&p->state);
        w->serial = atomic_load(&p->serial);
        w->begun = atomic_load(&p->begun);
        w->value = atomic_load(&p->value);
        if (atomic_load(&p->state) == w->state)
            return w->state != 0 && !(w->state & VOID);
    }
}

void shared_read_begin(struct shared *h, struct shared_read *r) {
    r->from_s = atomic_load(&h->now_s);
    r->from = shared_tick(h);
}

void shared_read_end(struct shared *h, struct shared_read *r) {
    r->to = shared_tick(h);
    r->to_s = atomic_load(&h->now_s);
    atomic_fetch_add(&h->counts.reads, 1);
}

/* The begin of the latest certain write that was over before the read began: a write that was over
 * before it must not be seen. */
static uint64_t fence_of_register(struct shared_key *key, const struct shared_read *r, uint64_t fence) {
    struct seen_write w;
    for (unsigned i = 0; i < SHARED_PLACES; i++)
        if (read_place(&key->write[i], &w) && (w.state & CERTAIN) && upper_of(w.state) < r->from && w.begun > fence)
            fence = w.begun;
    return fence;
}

static uint64_t fence_of(struct shared *h, const struct shared_read *r, uint32_t table, uint32_t key) {
    return fence_of_register(&h->key[table][SHARED_DROP], r, fence_of_register(&h->key[table][key], r, 0));
}

/* Whether the read may be of the time when this write was the last. */
static int is_possible(const struct seen_write *w, const struct shared_read *r, uint64_t fence) {
    return w->begun < r->to && upper_of(w->state) >= fence;
}

static const char *judge_forgotten(struct shared *h, struct shared_key *k, uint64_t fence, uint32_t key,
                                   uint32_t serial) {
    if (serial > atomic_load(&k->serials))
        return content_wrong("key %u shows write %u, which was never begun", key, serial);
    if (atomic_load(&k->forgotten_upper) < fence)
        return content_wrong("key %u shows write %u, which was replaced long before", key, serial);
    atomic_fetch_add(&h->counts.unjudged, 1);
    return NULL;
}

const char *shared_judge_seen(struct shared *h, const struct shared_read *r, uint32_t table, uint32_t key,
                              uint32_t serial, int64_t expiry) {
    struct shared_key *k = &h->key[table][key];
    struct shared_write *p = &k->write[serial % SHARED_PLACES];
    struct seen_write w;
    uint64_t fence = fence_of(h, r, table, key);
    int may_be = read_place(p, &w);
    if (w.serial != serial || !has_tag(w.state, serial))
        return judge_forgotten(h, k, fence, key, serial);
    if (!may_be)
        return content_wrong("key %u shows write %u, which was refused", key, serial);
    if (w.begun > r->to)
        return content_wrong("key %u shows write %u before it was begun", key, serial);
    if (upper_of(w.state) < fence)
        return content_wrong(
            "key %u shows write %u, over by tick %lu, in a read from %lu to %lu; one begun at %lu came after", key,
            serial, (unsigned long)upper_of(w.state), (unsigned long)r->from, (unsigned long)r->to,
            (unsigned long)fence);
    if (expiry >= 0 && w.value != expiry)
        return content_wrong("key %u, write %u, expires at %ld instead of %ld", key, serial, (long)expiry,
                             (long)w.value);
    end_at(p, serial, r->to, CERTAIN);
    atomic_fetch_add(&h->counts.judged, 1);
    return NULL;
}

const char *shared_judge_unseen(struct shared *h, const struct shared_read *r, uint32_t table, uint32_t key,
                                uint32_t but, shared_hides *hides, void *arg) {
    struct shared_key *k = &h->key[table][key], *drop = &h->key[table][SHARED_DROP];
    uint64_t fence = fence_of(h, r, table, key);
    struct seen_write w;
    uint32_t possible = 0, last = 0;
    atomic_fetch_add(&h->counts.judged, 1);
    if (fence == 0)
        return NULL; /* it may never have been written */
    for (unsigned i = 0; i < SHARED_PLACES; i++) {
        if (read_place(&drop->write[i], &w) && is_possible(&w, r, fence))
            return NULL;
        if (read_place(&k->write[i], &w) && w.serial != but && is_possible(&w, r, fence)) {
            if (hides(arg, w.serial, w.value))
                return NULL;
            possible++;
            last = w.serial;
        }
    }
    if (atomic_load(&k->forgotten_upper) >= fence || atomic_load(&drop->forgotten_upper) >= fence) {
        atomic_fetch_add(&h->counts.unjudged, 1);
        return NULL;
    }
    return content_wrong(
        "key %u is missing: each of the %u writes that it may show (one is %u) is to be seen; read from tick "
        "%lu to %lu, the last write over before was begun at %lu",
        key, possible, last, (unsigned long)r->from, (unsigned long)r->to, (unsigned long)fence);
}

const char *shared_judge_replaced(struct shared *h, uint32_t table, uint32_t key, uint32_t serial) {
    struct shared_write *p = &h->key[table][key].write[serial % SHARED_PLACES];
    uint64_t state = atomic_load(&p->state);
    do {
        if (!has_tag(state, serial))
            return NULL; /* forgotten */
        if (state & REPLACED)
            return content_wrong("key %u: two writes replaced write %u; one of them is lost", key, serial);
    } while (!atomic_compare_exchange_weak(&p->state, &state, state | REPLACED));
    return NULL;
}

int shared_was_always(struct shared *h, const struct shared_read *r, uint32_t table, uint32_t reg, int64_t initial,
                      int64_t value) {
    struct shared_key *k = &h->key[table][reg];
    struct seen_write w;
    uint64_t fence = fence_of_register(k, r, 0);
    int is_always = fence != 0 || initial == value;
    for (unsigned i = 0; i < SHARED_PLACES; i++)
        if (read_place(&k->write[i], &w) && is_possible(&w, r, fence) && w.value != value)
            is_always = 0;
    return is_always && (fence == 0 || atomic_load(&k->forgotten_upper) < fence);
}

int shared_may_be_dropped(struct shared *h, const struct shared_read *r, uint32_t table, uint64_t since) {
    struct shared_key *drop = &h->key[table][SHARED_DROP];
    struct seen_write w;
    for (unsigned i = 0; i < SHARED_PLACES; i++)
        if (read_place(&drop->write[i], &w) && w.begun < r->to && upper_of(w.state) > since)
            return 1;
    return atomic_load(&drop->forgotten_upper) > since;
}

int shared_has_index(struct shared *h, const struct shared_read *r, uint32_t table) {
    struct seen_write w;
    for (unsigned i = 0; i < SHARED_PLACES; i++)
        if (read_place(&h->key[table][SHARED_INDEX].write[i], &w) && (w.state & CERTAIN) &&
            upper_of(w.state) < r->from && !shared_may_be_dropped(h, r, table, w.begun))
            return 1;
    return 0;
}
