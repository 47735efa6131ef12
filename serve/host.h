/* serve/host.h - whether a Host header can be that of a stranger's page (DNS rebinding).
 *
 * Why      A page of evil.example may point its own name at 127.0.0.1 while it is open. The browser
 *          then takes this endpoint for a part of that page, which may read what it answers, and
 *          need not send an Origin. But it sends the name in Host.
 * Rules    H1 Only a name that somebody can register is refused. An address is none; nor is a name
 *             without a dot, such as "dynamodb" in a network of containers; nor one below
 *             localhost, local, internal, test or home.arpa, which no registry gives away.
 *          H2 A request without Host passes: browsers always send it.
 *          H3 Nothing is refused where other hosts may come, or where signatures are checked.
 * Sources  RFC 6761 (localhost, test), RFC 6762 (local), RFC 8375 (home.arpa); ICANN, resolution
 *          2024.07.29.06 (internal).
 * Tests    tests/serve/serve_http_test.c
 */
#ifndef LARDER_SERVE_HOST_H
#define LARDER_SERVE_HOST_H

#include <stdbool.h>
#include <stddef.h>

/* The value of a Host header: a name or address, and maybe a port. */
bool host_is_ours(const char *host, size_t bytes);

#endif
