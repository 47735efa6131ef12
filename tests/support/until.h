/* tests/support/until.h - waits for a condition, with a deadline.
 *
 * Job      Replaces blind sleeps: UNTIL(SHM_LOAD(&flag) == 1, 2000) looks again and again and is
 *          false only if the condition still does not hold when the deadline has passed.
 * Rules    U1 The condition is evaluated once more after the deadline, so that a test process that
 *             was itself held up does not blame the code under test.
 *          U2 Deadlines are for the plain build in milliseconds; sanitizer builds stretch them.
 *             They are there to end what hangs, and are far away (SLOW_PATIENCE, slow.h).
 *          U3 A promise of time is judged by UNTIL_OWN() and until_own_ms(), where only the calling
 *             thread has to run; else by the best of several tries, or beside until_queued_ms().
 */
#ifndef LARDER_TESTS_SUPPORT_UNTIL_H
#define LARDER_TESTS_SUPPORT_UNTIL_H

#include <stdint.h>

/* Monotonic clock. */
uint64_t until_now_ms(void);
/* The same clock without the time in which the calling thread was ready to run and had no core. So
 * the time of a call means something on a loaded machine, too: upper limits of time are judged by
 * it. */
uint64_t until_own_ms(void);
/* That time without a core. What other threads of the machine lack meanwhile is about as much. */
uint64_t until_queued_ms(void);
/* The moment deadline_ms from now, stretched by SLOW_FACTOR and SLOW_PATIENCE. */
uint64_t until_deadline(uint32_t deadline_ms);

/* The slowest of many calls beside other processes, which may hold a lock and get no core. The
 * calling thread gets none now and then, too: of that, the longest is noted as well. */
struct until_slowest {
    uint64_t own_ms, queued_ms, started_own_ms, started_queued_ms;
};
void until_call_begins(struct until_slowest *s);
void until_call_ends(struct until_slowest *s);
/* No call took longer than promised, and what a few such holders add. */
int until_is_prompt(const struct until_slowest *s, uint64_t promised_ms);

/* Yields the CPU for a fifth of a millisecond. */
void until_pause(void);

/* Looks until `now` of a clock is `end`, and once more. */
#define UNTIL_CLOCK(condition, now, end)                                                                               \
    __extension__({                                                                                                    \
        uint64_t until_end = (end);                                                                                    \
        int until_late = 0, until_holds;                                                                               \
        while (!(until_holds = !!(condition)) && !until_late) {                                                        \
            until_late = (now) >= until_end;                                                                           \
            until_pause();                                                                                             \
        }                                                                                                              \
        until_holds;                                                                                                   \
    })

/* 1 as soon as the condition holds, 0 if it does not within the deadline. */
#define UNTIL(condition, deadline_ms) UNTIL_CLOCK(condition, until_now_ms(), until_deadline(deadline_ms))

/* The same for a promise: within `promised_ms` of the thread's own time, no longer than that on an
 * idle machine. For a condition that needs no other thread to run. */
#define UNTIL_OWN(condition, promised_ms) UNTIL_CLOCK(condition, until_own_ms(), until_own_ms() + (promised_ms))

#endif
