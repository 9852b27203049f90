// SPDX-License-Identifier: Apache-2.0
/* sha256: see the header. The one fault of libcrypto that can come here is a lack of memory. */
#include "sha256.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdlib.h>

struct sha256 {
    EVP_MD_CTX *ctx;
    bool failed;
};

static bool begin(struct sha256 *h)
{
    return EVP_DigestInit_ex(h->ctx, EVP_sha256(), NULL) == 1;
}

int sha256_new(struct sha256 **ret_h)
{
    struct sha256 *h = calloc(1, sizeof *h);

    if (!h)
        return -ENOMEM;
    h->ctx = EVP_MD_CTX_new();
    if (!h->ctx || !begin(h)) {
        sha256_free(h);
        return -ENOMEM;
    }
    *ret_h = h;
    return 0;
}

void sha256_free(struct sha256 *h)
{
    if (!h)
        return;
    EVP_MD_CTX_free(h->ctx);
    free(h);
}

void sha256_add(struct sha256 *h, const void *bytes, size_t len)
{
    if (len && EVP_DigestUpdate(h->ctx, bytes, len) != 1)
        h->failed = true;
}

int sha256_end(struct sha256 *h, uint8_t out[SHA256_LEN])
{
    bool good = !h->failed && EVP_DigestFinal_ex(h->ctx, out, NULL) == 1;

    h->failed = !begin(h);
    return good ? 0 : -ENOMEM;
}

int sha256_of(const void *bytes, size_t len, uint8_t out[SHA256_LEN])
{
    struct sha256 *h;
    int err = sha256_new(&h);

    if (err < 0)
        return err;
    sha256_add(h, bytes, len);
    err = sha256_end(h, out);
    sha256_free(h);
    return err;
}
