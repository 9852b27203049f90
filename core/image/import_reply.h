// SPDX-License-Identifier: Apache-2.0
/*
 * import_reply: the lines that a session on `.tally/import` answers with, in the form of the
 * control file. Each function adds one. Threads: any.
 */
#pragma once

#include "load.h"
#include "strbuf.h"
#include <stdint.h>

/* error ERRNO VERB: sentence. `why` may be empty: then the sentence is the usual one for `err`,
 * -errno. */
void import_reply_error(struct strbuf *out, const char *verb, int err, const struct strbuf *why);
/* ok ns=… inodes=… files=… bytes=… stored=… seq=…; and digest=…, unless `digest` is NULL.
 * SHA256_LEN bytes. */
void import_reply_done(struct strbuf *out, const char *ns, const struct load_result *r,
                       uint64_t seq, const uint8_t *digest);
