// SPDX-License-Identifier: Apache-2.0
/*
 * pool_text: the texts of a pool. One is right exactly if what was read of it is written again as
 * the same text, so reading need not be strict by itself.
 */
#include "pool_format.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VERSION_TEXT "1"
#define SUM_LINE (sizeof "sum=0123456789abcdef\n" - 1)

/* ---- writing ---- */

struct writer {
    char *out; /* POOL_TEXT_MAX */
    size_t len;
};

__attribute__((format(printf, 2, 3))) static void add(struct writer *w, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    w->len += (size_t)vsnprintf(w->out + w->len, POOL_TEXT_MAX - w->len, fmt, args);
    va_end(args);
}

static void add_hex(struct writer *w, const char *name, const uint8_t *b, size_t len)
{
    add(w, "%s=", name);
    for (size_t i = 0; i < len; i++)
        add(w, "%02x", b[i]);
    add(w, "\n");
}

static size_t end(struct writer *w, uint64_t seed)
{
    add(w, "sum=%016" PRIx64 "\n", id_checksum(w->out, w->len, seed));
    return w->len;
}

size_t pool_identity_encode(const struct pool_identity *i, char out[POOL_TEXT_MAX])
{
    struct writer w = {out, 0};

    add(&w, "tallyfs pool " VERSION_TEXT "\n");
    add_hex(&w, "id", i->id, sizeof i->id);
    add_hex(&w, "secret", i->secret, sizeof i->secret);
    return end(&w, 0);
}

size_t pool_who_encode(const struct pool_who *who, char out[POOL_TEXT_MAX])
{
    struct writer w = {out, 0};

    add(&w, "tallyfs pool node " VERSION_TEXT "\nnode=%u\nlife=%" PRIu32 "\n", who->node,
        who->life);
    add_hex(&w, "token", who->token, sizeof who->token);
    add(&w, "when=%" PRId64 "\nlabel=%s\n", who->when, who->label);
    return end(&w, who->node);
}

size_t pool_term_encode(const struct pool_term *t, char out[POOL_TEXT_MAX])
{
    struct writer w = {out, 0};

    add(&w, "tallyfs pool lease " VERSION_TEXT "\nterm=%" PRIu64 "\nnode=%u\nlife=%" PRIu32 "\n",
        t->term, t->node, t->life);
    add(&w, "beat=%" PRIu64 "\nreleased=%d\n", t->beat, t->released);
    return end(&w, t->term);
}

size_t pool_home_encode(const struct pool_home *h, char out[POOL_TEXT_MAX])
{
    struct writer w = {out, 0};

    add(&w, "tallyfs pool home " VERSION_TEXT "\n");
    add_hex(&w, "id", h->id, sizeof h->id);
    add(&w, "node=%u\nlife=%" PRIu32 "\n", h->node, h->life);
    add_hex(&w, "token", h->token, sizeof h->token);
    add_hex(&w, "before", h->before, sizeof h->before);
    add(&w, "path=%s\n", h->path);
    return end(&w, 0);
}

size_t pool_floor_encode(const struct pool_floor *f, char out[POOL_TEXT_MAX])
{
    struct writer w = {out, 0};

    add(&w, "tallyfs pool floor " VERSION_TEXT "\nserial=%" PRIu64 "\n", f->serial);
    return end(&w, 0);
}

/* ---- reading ---- */

/* A copy with a NUL, whose checksum holds, of the right kind and version; *ret_at is behind that. */
static int begin(const char *text, size_t len, const char *what, uint64_t seed,
                 char copy[POOL_TEXT_MAX], const char **ret_at)
{
    char sum[SUM_LINE + 1];

    if (len <= SUM_LINE || len >= POOL_TEXT_MAX)
        return -EUCLEAN;
    memcpy(copy, text, len);
    copy[len] = '\0';
    snprintf(sum, sizeof sum, "sum=%016" PRIx64 "\n", id_checksum(copy, len - SUM_LINE, seed));
    if (memcmp(copy + len - SUM_LINE, sum, SUM_LINE) != 0 ||
        strncmp(copy, what, strlen(what)) != 0)
        return -EUCLEAN;
    *ret_at = copy + strlen(what);
    if (strncmp(*ret_at, VERSION_TEXT "\n", strlen(VERSION_TEXT "\n")) == 0)
        return 0;
    return isdigit((unsigned char)**ret_at) ? -EPROTO : -EUCLEAN;
}

/* What follows "\nNAME=" from *at on, which moves there; "" when there is none. */
static const char *value(const char **at, const char *name)
{
    char want[16];
    int n = snprintf(want, sizeof want, "\n%s=", name);
    const char *found = strstr(*at, want);

    if (!found)
        return "";
    *at = found + n;
    return *at;
}

static uint64_t number(const char **at, const char *name)
{
    return strtoull(value(at, name), NULL, 10);
}

static void bytes(const char **at, const char *name, uint8_t *out, size_t len)
{
    const char *v = value(at, name);
    char two[3] = "";

    for (size_t i = 0; i < len && v[0] && v[1]; i++, v += 2) {
        memcpy(two, v, 2);
        out[i] = (uint8_t)strtoul(two, NULL, 16);
    }
}

static bool is_same(const char *again, size_t again_len, const char *text, size_t len)
{
    return again_len == len && memcmp(again, text, len) == 0;
}

int pool_identity_decode(const char *text, size_t len, struct pool_identity *ret)
{
    char copy[POOL_TEXT_MAX], again[POOL_TEXT_MAX];
    struct pool_identity i = {0};
    const char *at;
    int err = begin(text, len, "tallyfs pool ", 0, copy, &at);

    if (err < 0)
        return err;
    bytes(&at, "id", i.id, sizeof i.id);
    bytes(&at, "secret", i.secret, sizeof i.secret);
    if (!is_same(again, pool_identity_encode(&i, again), text, len))
        return -EUCLEAN;
    *ret = i;
    return 0;
}

bool pool_text_ok(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            return false;
    return true;
}

int pool_who_decode(const char *text, size_t len, unsigned node, struct pool_who *ret)
{
    char copy[POOL_TEXT_MAX], again[POOL_TEXT_MAX];
    struct pool_who w = {.node = node};
    const char *at;
    int err = begin(text, len, "tallyfs pool node ", node, copy, &at);

    if (err < 0)
        return err;
    w.life = (uint32_t)number(&at, "life");
    bytes(&at, "token", w.token, sizeof w.token);
    w.when = strtoll(value(&at, "when"), NULL, 10);
    const char *label = value(&at, "label");

    snprintf(w.label, sizeof w.label, "%.*s", (int)strcspn(label, "\n"), label);
    if (!pool_text_ok(w.label) || w.life == 0 || w.life > POOL_LIFE_MAX ||
        !is_same(again, pool_who_encode(&w, again), text, len))
        return -EUCLEAN;
    *ret = w;
    return 0;
}

int pool_term_decode(const char *text, size_t len, uint64_t term, struct pool_term *ret)
{
    char copy[POOL_TEXT_MAX], again[POOL_TEXT_MAX];
    struct pool_term t = {.term = term};
    const char *at;
    int err = begin(text, len, "tallyfs pool lease ", term, copy, &at);

    if (err < 0)
        return err;
    t.node = (unsigned)number(&at, "node");
    t.life = (uint32_t)number(&at, "life");
    t.beat = number(&at, "beat");
    t.released = number(&at, "released") == 1;
    if (!is_same(again, pool_term_encode(&t, again), text, len))
        return -EUCLEAN;
    *ret = t;
    return 0;
}

int pool_home_decode(const char *text, size_t len, struct pool_home *ret)
{
    char copy[POOL_TEXT_MAX], again[POOL_TEXT_MAX];
    struct pool_home h = {0};
    const char *at;
    int err = begin(text, len, "tallyfs pool home ", 0, copy, &at);

    if (err < 0)
        return err;
    bytes(&at, "id", h.id, sizeof h.id);
    h.node = (unsigned)number(&at, "node");
    h.life = (uint32_t)number(&at, "life");
    bytes(&at, "token", h.token, sizeof h.token);
    bytes(&at, "before", h.before, sizeof h.before);
    const char *path = value(&at, "path");

    snprintf(h.path, sizeof h.path, "%.*s", (int)strcspn(path, "\n"), path);
    if (!pool_text_ok(h.path) || h.path[0] != '/' || h.node == 0 || h.node > POOL_NODE_MAX ||
        h.life == 0 || h.life > POOL_LIFE_MAX ||
        !is_same(again, pool_home_encode(&h, again), text, len))
        return -EUCLEAN;
    *ret = h;
    return 0;
}

int pool_floor_decode(const char *text, size_t len, struct pool_floor *ret)
{
    char copy[POOL_TEXT_MAX], again[POOL_TEXT_MAX];
    struct pool_floor f;
    const char *at;
    int err = begin(text, len, "tallyfs pool floor ", 0, copy, &at);

    if (err < 0)
        return err;
    f.serial = number(&at, "serial");
    if (f.serial == 0 || !is_same(again, pool_floor_encode(&f, again), text, len))
        return -EUCLEAN;
    *ret = f;
    return 0;
}
