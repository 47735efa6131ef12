/* tests/support/until.h - waits for a condition, with a deadline.
 *
 * Job      Replaces blind sleeps: UNTIL(SHM_LOAD(&flag) == 1, 2000) looks again and again and is
 *          false only if the condition still does not hold when the deadline has passed.
 * Rules    U1 The condition is evaluated once more after the deadline, so that a test process that
 *             was itself held up does not blame the code under test.
 *          U2 Deadlines are for the plain build in milliseconds; sanitizer builds stretch them
 *             (slow.h).
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
/* The moment deadline_ms from now, stretched by SLOW_FACTOR. */
uint64_t until_deadline(uint32_t deadline_ms);
/* Yields the CPU for a fifth of a millisecond. */
void until_pause(void);

/* 1 as soon as the condition holds, 0 if it does not within the deadline. */
#define UNTIL(condition, deadline_ms)                                                                                  \
    __extension__({                                                                                                    \
        uint64_t until_end = until_deadline(deadline_ms);                                                              \
        int until_late = 0, until_holds;                                                                               \
        while (!(until_holds = !!(condition)) && !until_late) {                                                        \
            until_late = until_now_ms() >= until_end;                                                                  \
            until_pause();                                                                                             \
        }                                                                                                              \
        until_holds;                                                                                                   \
    })

#endif
