// SPDX-License-Identifier: Apache-2.0
/*
 * Whatever a server of S3, a credentials file or a URL says, it is refused, or read without harm.
 * Input: one byte (what it is), then its bytes.
 */
#include "fuzz.h"
#include "s3_keys.h"
#include "s3_url.h"
#include "s3_xml.h"

#include <stdlib.h>
#include <string.h>

static int take_name(const char *name, uint64_t size, void *ctx)
{
    (void)size;
    ++*(uint64_t *)ctx;
    return name[0] == '\1' ? 7 : 0;
}

static int take_upload(const char *key, const char *id, const char *initiated, void *ctx)
{
    *(size_t *)ctx += strlen(key) + strlen(id) + strlen(initiated);
    return 0;
}

static void check_answers(const char *text, size_t len)
{
    struct s3_page page;
    struct s3_said said;
    uint64_t names = 0;
    size_t total = 0;
    char id[1024];

    if (s3_page_read(text, len, take_name, &names, &page) == 0) {
        MUST(page.count == names);
        MUST(!page.more || *page.token);
    }
    (void)s3_uploads_read(text, len, take_upload, &total);
    if (s3_upload_id_read(text, len, id) == 0)
        MUST(*id && strlen(id) < sizeof id);
    s3_said_read(text, len, &said);
    MUST(strlen(said.code) < sizeof said.code && strlen(said.message) < sizeof said.message);
    (void)s3_is_complete(text, len);
}

/* The form that is stored means the same as what was written, and is its own form. */
static void check_url(const char *text)
{
    char once[SHARD_URL_MAX + 1], twice[SHARD_URL_MAX + 1], why[SHARD_WHY];

    if (s3_url_normal(text, once, sizeof once, why) < 0) {
        MUST(*why);
        return;
    }
    MUST(s3_url_normal(once, twice, sizeof twice, why) == 0);
    MUST(strcmp(once, twice) == 0);
}

static void check_keys(char *text)
{
    struct s3_keys k;

    if (s3_keys_parse(text, "default", &k) == 0)
        MUST(*k.id && *k.secret && strlen(k.token) < sizeof k.token);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char *text = malloc(len + 1);

    MUST(text);
    memcpy(text, data, len);
    text[len] = '\0';
    if (len && data[0] % 3 == 0)
        check_answers(text + 1, len - 1);
    else if (len && data[0] % 3 == 1)
        check_url(text + 1);
    else if (len)
        check_keys(text + 1);
    free(text);
    return 0;
}
