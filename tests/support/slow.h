/* tests/support/slow.h - how much slower this build is than a plain one.
 *
 * Job      One factor for every deadline of the tests, so that a deadline is written once, for the
 *          plain build on an idle machine.
 */
#ifndef LARDER_TESTS_SUPPORT_SLOW_H
#define LARDER_TESTS_SUPPORT_SLOW_H

#if defined(__has_feature)
#define SLOW_HAS(feature) __has_feature(feature)
#else
#define SLOW_HAS(feature) 0
#endif

/* A deadline ends what hangs. A machine that others use, too, is slow and hangs nothing: every
 * deadline is this much later. What has to be fast is judged by until_own_ms(). */
#define SLOW_PATIENCE 10

#if defined(__SANITIZE_THREAD__) || SLOW_HAS(thread_sanitizer)
#define SLOW_FACTOR 10
#define SLOW_IS_TSAN 1
#define SLOW_IS_ASAN 0
#elif defined(__SANITIZE_ADDRESS__) || SLOW_HAS(address_sanitizer)
#define SLOW_FACTOR 4
#define SLOW_IS_TSAN 0
#define SLOW_IS_ASAN 1
#else
#define SLOW_FACTOR 1
#define SLOW_IS_TSAN 0
#define SLOW_IS_ASAN 0
#endif

#endif
