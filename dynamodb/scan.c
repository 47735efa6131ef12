/* dynamodb/scan.c - Scan.
 *
 * Tests    tests/dynamodb/dynamodb_query_test.c
 */
#include "dynamodb/operations.h"
#include "dynamodb/prepared.h"
#include "dynamodb/reading.h"

/* What the engine refuses after all checks: a start key of another segment. */
static int fail(struct larder_dynamodb *d, int result) {
    if (result != LARDER_E_INVAL)
        return context_fail(d, result);
    return failure_set(&d->failure, FAILURE_VALIDATION,
                       "The provided starting key is invalid: Invalid ExclusiveStartKey. Please use ExclusiveStartKey "
                       "with correct Segment. TotalSegments: %lld Segment: %lld",
                       (long long)d->request.integers[INTEGER_TOTAL_SEGMENTS],
                       (long long)d->request.integers[INTEGER_SEGMENT]);
}

int operation_scan(struct larder_dynamodb *d, struct document_writer *w) {
    const struct request *q = &d->request;
    struct reading r;
    struct larder_scan_spec spec = {.segment = 0};
    int result = reading_take(d, &r);
    if (result)
        return result;
    if ((result = reading_check_start(d, &r, 0)) || (result = reading_check(d, &r, 0)))
        return result;
    if (request_has_integer(q, INTEGER_TOTAL_SEGMENTS)) {
        spec.segment = (uint32_t)q->integers[INTEGER_SEGMENT];
        spec.segment_count = (uint32_t)q->integers[INTEGER_TOTAL_SEGMENTS];
    }
    if (request_has_integer(q, INTEGER_LIMIT))
        spec.limit = q->integers[INTEGER_LIMIT] < UINT32_MAX ? (uint32_t)q->integers[INTEGER_LIMIT] : UINT32_MAX;
    if (request_has(q, MAP_START_KEY))
        spec.start_key = q->maps[MAP_START_KEY].item;
    result = r.index ? reading_scan_index(d, &r, &spec, w) : larder_scan(r.table->handle, &spec, d->page);
    if (r.index && (result >= 0 || d->failure.kind != FAILURE_NONE))
        return result;
    return result < 0 ? fail(d, result) : reading_answer(d, &r, result, w);
}
