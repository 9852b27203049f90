// SPDX-License-Identifier: Apache-2.0
/*
 * Whatever bytes a frame has, it is refused, or it becomes exactly as many bytes as were asked for.
 * And whatever bytes a content has, it comes back. Input: length of the content, 3, then the frame.
 */
#include "bytes.h"
#include "compress.h"
#include "fuzz.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SIZE_MOST (1024 * 1024)

static void there_and_back(const uint8_t *data, uint32_t len)
{
    uint8_t *buf = malloc(len + 1u);
    const void *frame;
    uint32_t n;

    MUST(buf);
    for (int how = COMPRESS_WRITE; how <= COMPRESS_REST; how++) {
        MUST(compress_bytes(data, len, (enum compress_how)how, &frame, &n) == 0);
        if (n == 0)
            continue;
        MUST(n <= len - len / 8);
        MUST(compress_expand(frame, n, buf, len) == 0 && memcmp(buf, data, len) == 0);
    }
    free(buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    uint32_t size;
    uint8_t *buf;

    if (len < 3)
        return 0;
    size = (get_le16(data) | (uint32_t)data[2] << 16) % (SIZE_MOST + 1);
    buf = malloc(size + 1u); /* its end is guarded */
    MUST(buf);
    int err = compress_expand(data + 3, (uint32_t)(len - 3), buf, size);
    MUST(err == 0 || err == -EUCLEAN);
    free(buf);
    there_and_back(data, (uint32_t)len);
    return 0;
}
