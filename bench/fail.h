/* bench/fail.h - a measurement that cannot be made ends the program: half a report is worthless. */
#ifndef LARDER_BENCH_FAIL_H
#define LARDER_BENCH_FAIL_H

#include <stdio.h>
#include <stdlib.h>

#define fail(...) (fputs("bench: ", stderr), fprintf(stderr, __VA_ARGS__), fputc('\n', stderr), exit(1))

#endif
