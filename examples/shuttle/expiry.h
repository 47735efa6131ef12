/* expiry.h - pattern 23: sessions that expire while they are read.
 *
 * Job      A wave is 200 sessions of one imaginary shop, of 8 KB each, that expire 5 to 15 seconds
 *          after the wave's first second. The supervisor stores a wave and shows how it shrinks;
 *          the workers ask for its sessions all the time.
 * Rules    E1 A call that begins at or after a session's second of expiry does not return it.
 *          E2 A call that ends before that second does. (A call during which the second begins may
 *             do either.)
 *          E3 Every item returned is whole.
 */
#ifndef SHUTTLE_EXPIRY_H
#define SHUTTLE_EXPIRY_H

#include <larder.h>
#include <stdbool.h>
#include <stdint.h>

struct worker;

#define EXPIRY_SESSIONS 200u
#define EXPIRY_FIRST_S 5
#define EXPIRY_LAST_S 15

/** The second from which session i of a wave is gone. */
int64_t expiry_at(int64_t wave_start, uint32_t i);
/** How many sessions of a wave are still there at a second. */
uint32_t expiry_left(int64_t wave_start, int64_t now_s);

/** Stores a wave. @return LARDER_OK or the failure of a put. */
int expiry_store(struct larder_table *t, struct larder_builder *b, int64_t wave_start);

/** The result of a look at a wave. */
struct expiry_look {
    uint32_t visible;
    const char *complaint; /* NULL: all is right */
};
/** Queries the wave's partition and judges it. @return LARDER_OK or the failure of the query. */
int expiry_look(struct larder_table *t, struct larder_page *page, int64_t wave_start, struct expiry_look *out);

/** Pattern 23 of a worker: gets session `variant` of the current wave, sometimes the whole wave;
 * counts itself. */
bool expiry_ask(struct worker *w, uint32_t variant);

#endif
