// SPDX-License-Identifier: Apache-2.0
/*
 * s3_keys: the credentials of requests to S3. They are looked for where other programs for S3 look:
 *
 *     1. the file that the URL names, if it names one
 *     2. AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN in the environment, unless
 *        the URL names a profile
 *     3. the file AWS_SHARED_CREDENTIALS_FILE, or ~/.aws/credentials
 *
 * A file has sections "[PROFILE]" with lines "aws_access_key_id = ...", "aws_secret_access_key" and
 * "aws_session_token". The profile is that of the URL, or AWS_PROFILE, or "default". No message has
 * a part of a key. Threads: any.
 */
#pragma once

#include "shard.h"

struct s3_keys {
    char id[128];
    char secret[256];
    char token[4096]; /* "": there is none */
};

/* `file` and `profile` are those of the URL, or "". -EACCES: there are no credentials, or the file
 * cannot be read; `why` says where they were looked for. */
int s3_keys_load(const char *file, const char *profile, struct s3_keys *ret, char why[SHARD_WHY]);
void s3_keys_forget(struct s3_keys *k); /* overwrites them */
/* Reads the text of a credentials file, which it changes. -ENOENT: it lacks the profile, or one of
 * its two keys; -E2BIG: a key is too long. */
int s3_keys_parse(char *text, const char *profile, struct s3_keys *ret);
