/* serve/canonical.h - a request in the one form that both sides sign.
 *
 * Picture  POST \n /path \n query \n name:value \n .. \n \n names \n hex(SHA-256(body))
 * Sources  AWS Signature Version 4, "Create a canonical request".
 * Tests    tests/serve/serve_signature_test.sh
 */
#ifndef LARDER_SERVE_CANONICAL_H
#define LARDER_SERVE_CANONICAL_H

#include "serve/message.h"

#define CANONICAL_HASH_BYTES 32

/* SHA-256 of the canonical request with these headers. False: no memory, or too many headers. */
bool canonical_hash(const struct message *m, struct message_text signed_headers,
                    unsigned char hash[CANONICAL_HASH_BYTES]);
void canonical_hex(const unsigned char hash[CANONICAL_HASH_BYTES], char hex[2 * CANONICAL_HASH_BYTES + 1]);

#endif
