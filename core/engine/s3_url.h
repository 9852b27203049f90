// SPDX-License-Identifier: Apache-2.0
/*
 * s3_url: what a URL of the driver "s3:" says.
 *
 *     s3://BUCKET[/PREFIX][?endpoint=URL&region=NAME&credentials=FILE&profile=NAME&ca=FILE]
 *
 *     endpoint     http[s]://HOST[:PORT]; default: https://s3.REGION.amazonaws.com
 *     region       default: us-east-1, which most servers that are not Amazon's take
 *     credentials  a file in the form of ~/.aws/credentials (s3_keys.h)
 *     profile      the section of that file; default: default
 *     ca           a file with the certificates that are trusted instead of those of the system
 *
 * The names of a shard begin with "PREFIX/" in the bucket. The bucket is a part of the path of each
 * request and not of the host's name, since every server takes that form.
 */
#pragma once

#include "shard.h"

struct s3_url {
    char bucket[64];
    char prefix[SHARD_URL_MAX + 1]; /* "", or a path that ends with '/' */
    char endpoint[SHARD_URL_MAX + 1];
    char region[64];
    char credentials[SHARD_URL_MAX + 1]; /* "": not given */
    char profile[64];                    /* "": not given */
    char ca[SHARD_URL_MAX + 1];          /* "": not given */
};

/* Both take the text behind "s3:". -EINVAL with a sentence in `why`. s3_url_normal writes the form
 * that is stored, of at most `cap` bytes with the NUL. */
int s3_url_parse(const char *rest, struct s3_url *ret, char why[SHARD_WHY]);
int s3_url_normal(const char *rest, char *out, size_t cap, char why[SHARD_WHY]);
