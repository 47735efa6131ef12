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

/* SHA-256 of the canonical request with these headers. False: no memory, too many headers, or one
 * that the request does not have. */
bool canonical_hash(const struct message *m, struct message_text signed_headers,
                    unsigned char hash[CANONICAL_HASH_BYTES]);
/* The name of the first header that must be signed and is not; .text is NULL if there is none. Host
 * aside, that is each x-amz-* but x-amz-content-sha256: the body's hash is signed in any case. */
struct message_text canonical_unsigned(const struct message *m, struct message_text signed_headers);
void canonical_hex(const unsigned char hash[CANONICAL_HASH_BYTES], char hex[2 * CANONICAL_HASH_BYTES + 1]);

#endif
