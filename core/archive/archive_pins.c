// SPDX-License-Identifier: Apache-2.0
/* archive_pins: see the header. */
#include "archive_pins.h"

#include "array.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define HEX (2 * ARCHIVE_TOKEN_LEN)
#define ENDED "ended\n"

int archive_pin_put(struct shard *s, struct archive_pin *pin)
{
    char name[ARCHIVE_NAME_MAX + 1], text[ARCHIVE_TEXT_MAX];
    int err;

    if (getrandom(pin->token, sizeof pin->token, 0) != (ssize_t)sizeof pin->token)
        return -EIO;
    archive_pin_name(pin->token, name);
    err = shard_put_if_absent(s, name, text, archive_pin_encode(pin, text));
    return err == -EEXIST ? 0 : err; /* the token is random: an answer was lost */
}

int archive_pin_end(struct shard *s, const uint8_t token[ARCHIVE_TOKEN_LEN])
{
    char name[ARCHIVE_NAME_MAX + 1];
    int err;

    archive_pin_end_name(token, name);
    err = shard_put_if_absent(s, name, ENDED, sizeof ENDED - 1);
    return err == -EEXIST ? 0 : err;
}

int archive_token_parse(const char *text, uint8_t ret[ARCHIVE_TOKEN_LEN])
{
    if (strlen(text) != HEX || strspn(text, "0123456789abcdef") != HEX)
        return -EINVAL;
    for (size_t i = 0; i < ARCHIVE_TOKEN_LEN; i++) {
        char pair[3] = {text[2 * i], text[2 * i + 1], '\0'};

        ret[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return 0;
}

void archive_token_format(const uint8_t token[ARCHIVE_TOKEN_LEN], char out[HEX + 1])
{
    for (size_t i = 0; i < ARCHIVE_TOKEN_LEN; i++)
        snprintf(out + 2 * i, 3, "%02x", token[i]);
}

/* ---- reading all ---- */

struct listed {
    uint8_t token[ARCHIVE_TOKEN_LEN];
    bool pin, end; /* which of its names there are */
};

struct list {
    struct listed *v;
    size_t count, room;
};

static int find(struct list *l, const uint8_t token[ARCHIVE_TOKEN_LEN], struct listed **ret)
{
    int err;

    for (size_t i = 0; i < l->count; i++)
        if (memcmp(l->v[i].token, token, ARCHIVE_TOKEN_LEN) == 0) {
            *ret = &l->v[i];
            return 0;
        }
    err = ARRAY_RESERVE(l->v, l->room, l->count + 1);
    if (err < 0)
        return err;
    *ret = &l->v[l->count++];
    **ret = (struct listed){.pin = false};
    memcpy((*ret)->token, token, ARCHIVE_TOKEN_LEN);
    return 0;
}

/* Takes one name. What is no pin was put by somebody else. */
static int take_name(const char *name, uint64_t size, void *ctx)
{
    const char *text = name + sizeof ARCHIVE_PINS;
    uint8_t token[ARCHIVE_TOKEN_LEN];
    char hex[HEX + 1];
    struct listed *l;
    int err;

    (void)size;
    if (strlen(name) < sizeof ARCHIVE_PINS + HEX)
        return 0;
    snprintf(hex, sizeof hex, "%.*s", (int)HEX, text);
    if (archive_token_parse(hex, token) < 0)
        return 0;
    err = find(ctx, token, &l);
    if (err == 0 && text[HEX] == '\0')
        l->pin = true;
    if (err == 0 && strcmp(text + HEX, ARCHIVE_PIN_END) == 0)
        l->end = true;
    return err;
}

static int read_pin(struct shard *s, const struct listed *l, struct archive_pins *ret)
{
    char name[ARCHIVE_NAME_MAX + 1], text[ARCHIVE_TEXT_MAX];
    int err = ARRAY_RESERVE(ret->v, ret->room, ret->count + 1);
    ssize_t n;

    if (err < 0)
        return err;
    archive_pin_name(l->token, name);
    n = shard_get(s, name, text, sizeof text);
    if (n < 0)
        return n == -EFBIG ? -EUCLEAN : n == -ENOENT ? -EIO : (int)n;
    err = archive_pin_decode(text, (size_t)n, l->token, &ret->v[ret->count]);
    ret->count += err == 0;
    if (err < 0)
        memcpy(ret->bad, l->token, sizeof ret->bad);
    return err;
}

int archive_pins_read(struct shard *s, struct archive_pins *ret)
{
    struct list l = {.count = 0};
    int err = shard_list(s, ARCHIVE_PINS, take_name, &l);

    *ret = (struct archive_pins){.count = 0};
    for (size_t i = 0; i < l.count && err == 0; i++)
        if (l.v[i].pin && !l.v[i].end)
            err = read_pin(s, &l.v[i], ret);
    free(l.v);
    if (err < 0) {
        free(ret->v);
        ret->v = NULL;
        ret->count = ret->room = 0;
    }
    return err;
}
