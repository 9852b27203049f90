// SPDX-License-Identifier: Apache-2.0
/*
 * archive_pins: what readers of an archive need of it (archive_text.h, FORMAT.md, section 19). A
 * pin stays until somebody ends it: by a second name, since nothing is replaced.
 *
 * Threads: any. Errors: 0 or -errno: -EUCLEAN, -EPROTO: a pin cannot be read; those of the shard.
 */
#pragma once

#include "archive_text.h"
#include "shard.h"

/* Gives the pin a token, and puts it. */
int archive_pin_put(struct shard *s, struct archive_pin *pin);
int archive_pin_end(struct shard *s, const uint8_t token[ARCHIVE_TOKEN_LEN]);

struct archive_pins {
    struct archive_pin *v;
    size_t count, room;
    uint8_t bad[ARCHIVE_TOKEN_LEN]; /* after -EUCLEAN and -EPROTO: of the pin that cannot be read */
};
/* The pins that have not ended, in no order, from a list. A list that is not whole, or a pin that
 * cannot be read, is an error: whoever deletes must know them all. The caller frees ret->v. */
int archive_pins_read(struct shard *s, struct archive_pins *ret);
/* Reads a token from 32 hex digits. -EINVAL. */
int archive_token_parse(const char *text, uint8_t ret[ARCHIVE_TOKEN_LEN]);
void archive_token_format(const uint8_t token[ARCHIVE_TOKEN_LEN],
                          char out[2 * ARCHIVE_TOKEN_LEN + 1]);
