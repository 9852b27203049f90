// SPDX-License-Identifier: Apache-2.0
/*
 * s3_parts: a long put in parts (multipart upload). The object is there whole, or not at all. After
 * an error the upload is ended, so that the server does not keep its parts. Uploads of processes
 * that died are ended by the first long put after a shard was opened, once they are a day old by
 * the server's clock: those of the first page of its list, which usually has all.
 */
#pragma once

#include "s3_http.h"

#define S3_PART (8u << 20)  /* bytes of a part; of a larger object they are more */
#define S3_PARTS_MOST 10000 /* that a server accepts */

/* -EEXIST: something has the name. That is asked before the upload, and said by the server at its
 * end if it can. So it decides nothing between two writers of one name, and streams have names that
 * only one writer uses. */
int s3_put_parts(struct s3 *s, const char *name, const struct shard_source *source);
