// SPDX-License-Identifier: Apache-2.0
/*
 * archive_catalogue: the catalogues of a lineage, which say what is kept of it and what is given up
 * (catalogue.h).
 *
 *     archive_last_catalogue(shard, lineage, 0, &c)      c.number 0: everything is kept
 *     archive_put_catalogue(shard, &c)                   the next one
 *
 * Their numbers are 1, 2, 3 … without gaps; each is put if it is absent, and none is deleted. So a
 * reader that has read the last one knows of all that was given up before. Who needs something of
 * the lineage and is not its writer puts a pin first, and then reads the last catalogue: what that
 * keeps is there until the pin ends. For
 *   - either the catalogue that gives it up was put before that: then the reader sees that, and
 *     does not use it;
 *   - or it is put later. What it gives up is deleted only after the pins were read again, and by
 *     then the pin is there.
 *
 * Threads: any. Errors: 0 or -errno: -EUCLEAN, -EPROTO, and those of the shard.
 */
#pragma once

#include "archive_text.h"
#include "catalogue.h"
#include "shard.h"

/* Reads the catalogue `number`. -ENOENT. The caller releases *ret. */
int archive_catalogue(struct shard *s, uint32_t lineage, uint32_t number, struct catalogue *ret);
/* Reads the last one. None: it is zeros, with the number 0. `hint`: the number of one that there
 * was, or 0; it saves requests. After -EUCLEAN and -EPROTO *ret is zeros but for its number. */
int archive_last_catalogue(struct shard *s, uint32_t lineage, uint32_t hint, struct catalogue *ret);
/* Is the catalogue `number` still the last one? One request. 1, 0 or -errno. */
int archive_catalogue_is_last(struct shard *s, uint32_t lineage, uint32_t number);
/* Puts a catalogue. -EEXIST: another one has its number. -EUCLEAN: it is not sound, and not put. */
int archive_put_catalogue(struct shard *s, const struct catalogue *c);
/* May something that the catalogue has given up be deleted already? 1, 0 or -errno. */
int archive_has_begun(struct shard *s, uint32_t lineage, uint32_t number);
/* From now on it may be, by the mount with that token. -EEXIST: another mount has said so
 * before. */
int archive_begin_deleting(struct shard *s, uint32_t lineage, uint32_t number,
                           const uint8_t token[ARCHIVE_TOKEN_LEN]);
