// SPDX-License-Identifier: Apache-2.0
/*
 * s3_lib: the functions of libcurl and libcrypto that the driver "s3:" calls, loaded when they are
 * first needed (engine_lib.h). Private to core/engine.
 */
#pragma once

#define CURL_DISABLE_TYPECHECK
#include "shard.h"
#include <curl/curl.h>
#include <openssl/evp.h>

/* Of libcurl; each name without its "curl_". */
#define S3_CURL(X)                                                                                 \
    X(global_init)                                                                                 \
    X(easy_init)                                                                                   \
    X(easy_cleanup)                                                                                \
    X(easy_reset)                                                                                  \
    X(easy_setopt)                                                                                 \
    X(easy_perform)                                                                                \
    X(easy_getinfo)                                                                                \
    X(easy_strerror)                                                                               \
    X(slist_append)                                                                                \
    X(slist_free_all)                                                                              \
    X(getdate)

struct s3_lib {
#define X(name) __typeof__(curl_##name) *name;
    S3_CURL(X)
#undef X
    __typeof__(EVP_Digest) *digest;
    __typeof__(EVP_sha256) *sha256;
};

/* Loads them once. -EINVAL with a sentence in `why`. Threads: any. */
int s3_lib_get(const struct s3_lib **ret_lib, char why[SHARD_WHY]);
