// SPDX-License-Identifier: Apache-2.0
/* s3_lib: see the header. */
#include "s3_lib.h"

#include "engine_lib.h"
#include <errno.h>
#include <pthread.h>
#include <stdio.h>

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))

static struct s3_lib lib;
static int loaded; /* 0, or the error of loading */
static char reason[SHARD_WHY];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void load(void)
{
    static const struct engine_symbol curl[] = {
#define X(name) {"curl_" #name, &lib.name},
        S3_CURL(X)
#undef X
    };
    static const struct engine_symbol crypto[] = {{"EVP_Digest", &lib.digest},
                                                  {"EVP_sha256", &lib.sha256}};

    loaded = engine_load("libcurl.so.4", "libcurl4", curl, LENGTH(curl), reason);
    if (loaded == 0)
        loaded = engine_load("libcrypto.so.3", "libssl3", crypto, LENGTH(crypto), reason);
    if (loaded == 0 && lib.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        snprintf(reason, sizeof reason, "libcurl cannot be initialised");
        loaded = -EINVAL;
    }
}

int s3_lib_get(const struct s3_lib **ret_lib, char why[SHARD_WHY])
{
    (void)pthread_once(&once, load);
    if (loaded < 0)
        snprintf(why, SHARD_WHY, "%s", reason);
    *ret_lib = &lib;
    return loaded;
}
