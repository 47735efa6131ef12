/* serve/signature.h - Signature Version 4 of a request.
 *
 * Tests    tests/serve/serve_signature_test.sh
 */
#ifndef LARDER_SERVE_SIGNATURE_H
#define LARDER_SERVE_SIGNATURE_H

#include "serve/route.h"

/* True: the request is refused, and `a` says why as the service does. */
bool signature_refuse(struct route *r, const struct message *m, struct answer *a);

#endif
