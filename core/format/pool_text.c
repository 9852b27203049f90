// SPDX-License-Identifier: Apache-2.0
/* pool_text: the texts of a pool; see text.h. */
#include "pool_format.h"
#include "strbuf.h"
#include "text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An identity of version 1 has no veil: the ids of all members are not veiled. One of version 2 has
 * no features. */
#define IDENTITY_VERSION_MAX 3

static bool has_features(const struct pool_identity *i)
{
    const uint64_t *m = i->features.mask;

    return m[FEATURE_COMPATIBLE] || m[FEATURE_READ_ONLY] || m[FEATURE_INCOMPATIBLE];
}

size_t pool_identity_encode(const struct pool_identity *i, char out[POOL_TEXT_MAX])
{
    struct text_writer w = {out, POOL_TEXT_MAX, 0};

    text_add(&w, "tallyfs pool %d\n", has_features(i) ? 3 : i->key.veiled ? 2 : 1);
    text_add_hex(&w, "id", i->id, sizeof i->id);
    text_add_hex(&w, "secret", i->key.secret, sizeof i->key.secret);
    if (i->key.veiled)
        text_add_hex(&w, "veil", i->key.veil.b, sizeof i->key.veil.b);
    if (has_features(i))
        features_add(&w, &i->features);
    return text_end(&w, 0);
}

size_t pool_who_encode(const struct pool_who *who, char out[POOL_TEXT_MAX])
{
    struct text_writer w = {out, POOL_TEXT_MAX, 0};

    text_add(&w, "tallyfs pool node " TEXT_VERSION "\nnode=%u\nlife=%" PRIu32 "\n", who->node,
             who->incarnation);
    text_add_hex(&w, "token", who->token, sizeof who->token);
    text_add(&w, "when=%" PRId64 "\nlabel=%s\n", who->when, who->label);
    return text_end(&w, who->node);
}

size_t pool_term_encode(const struct pool_term *t, char out[POOL_TEXT_MAX])
{
    struct text_writer w = {out, POOL_TEXT_MAX, 0};

    text_add(&w,
             "tallyfs pool lease " TEXT_VERSION "\nterm=%" PRIu64 "\nnode=%u\nlife=%" PRIu32 "\n",
             t->term, t->node, t->incarnation);
    text_add(&w, "beat=%" PRIu64 "\nreleased=%d\n", t->beat, t->released);
    return text_end(&w, t->term);
}

size_t pool_home_encode(const struct pool_home *h, char out[POOL_TEXT_MAX])
{
    struct text_writer w = {out, POOL_TEXT_MAX, 0};

    text_add(&w, "tallyfs pool home %d\n", h->is_shard ? 2 : 1);
    text_add_hex(&w, "id", h->id, sizeof h->id);
    text_add(&w, "node=%u\nlife=%" PRIu32 "\n", h->node, h->incarnation);
    text_add_hex(&w, "token", h->token, sizeof h->token);
    text_add_hex(&w, "before", h->before, sizeof h->before);
    text_add(&w, "%s=%s\n", h->is_shard ? "url" : "path", h->path);
    return text_end(&w, 0);
}

size_t pool_floor_encode(const struct pool_floor *f, char out[POOL_TEXT_MAX])
{
    struct text_writer w = {out, POOL_TEXT_MAX, 0};

    text_add(&w, "tallyfs pool floor " TEXT_VERSION "\nserial=%" PRIu64 "\n", f->serial);
    return text_end(&w, 0);
}

/* ---- reading ---- */

/* text_begin returns -EPROTO for versions 2 and 3, too, since it knows version 1 alone. They are
 * handled here. */
int pool_identity_decode(const char *text, size_t len, struct pool_identity *ret)
{
    char copy[POOL_TEXT_MAX], again[POOL_TEXT_MAX];
    struct pool_identity i = {0};
    const char *at;
    int err = text_begin(text, len, "tallyfs pool ", 0, copy, sizeof copy, &at), version;

    if (err == -EUCLEAN)
        return err;
    version = *at - '0';
    if (version > IDENTITY_VERSION_MAX || at[1] != '\n')
        return -EPROTO;
    i.key.veiled = version >= 2;
    text_bytes(&at, "id", i.id, sizeof i.id);
    text_bytes(&at, "secret", i.key.secret, sizeof i.key.secret);
    if (i.key.veiled)
        text_bytes(&at, "veil", i.key.veil.b, sizeof i.key.veil.b);
    if (version >= 3)
        features_read(&at, &i.features);
    if (!text_is_same(again, pool_identity_encode(&i, again), text, len))
        return -EUCLEAN;
    *ret = i;
    return 0;
}

int pool_who_decode(const char *text, size_t len, unsigned node, struct pool_who *ret)
{
    char copy[POOL_TEXT_MAX], again[POOL_TEXT_MAX];
    struct pool_who w = {.node = node};
    const char *at;
    int err = text_begin(text, len, "tallyfs pool node ", node, copy, sizeof copy, &at);

    if (err < 0)
        return err;
    w.incarnation = (uint32_t)text_number(&at, "life");
    text_bytes(&at, "token", w.token, sizeof w.token);
    w.when = strtoll(text_value(&at, "when"), NULL, 10);
    const char *label = text_value(&at, "label");

    snprintf(w.label, sizeof w.label, "%.*s", (int)strcspn(label, "\n"), label);
    if (!text_is_printable(w.label) || w.incarnation == 0 || w.incarnation > POOL_INCARNATION_MAX ||
        !text_is_same(again, pool_who_encode(&w, again), text, len))
        return -EUCLEAN;
    *ret = w;
    return 0;
}

int pool_term_decode(const char *text, size_t len, uint64_t term, struct pool_term *ret)
{
    char copy[POOL_TEXT_MAX], again[POOL_TEXT_MAX];
    struct pool_term t = {.term = term};
    const char *at;
    int err = text_begin(text, len, "tallyfs pool lease ", term, copy, sizeof copy, &at);

    if (err < 0)
        return err;
    t.node = (unsigned)text_number(&at, "node");
    t.incarnation = (uint32_t)text_number(&at, "life");
    t.beat = text_number(&at, "beat");
    t.released = text_number(&at, "released") == 1;
    if (!text_is_same(again, pool_term_encode(&t, again), text, len))
        return -EUCLEAN;
    *ret = t;
    return 0;
}

/* Is it an absolute path, or the URL of a shard? */
static bool is_place(const struct pool_home *h)
{
    const char *colon = strchr(h->path, ':');

    return text_is_printable(h->path) &&
           (h->is_shard ? colon && colon != h->path : h->path[0] == '/');
}

/* text_begin returns -EPROTO for version 2, too, since it knows version 1 alone. */
int pool_home_decode(const char *text, size_t len, struct pool_home *ret)
{
    char copy[POOL_TEXT_MAX], again[POOL_TEXT_MAX];
    struct pool_home h = {0};
    const char *at;
    int err = text_begin(text, len, "tallyfs pool home ", 0, copy, sizeof copy, &at);

    h.is_shard = err == -EPROTO && at[0] == '2' && at[1] == '\n';
    if (err < 0 && !h.is_shard)
        return err;
    text_bytes(&at, "id", h.id, sizeof h.id);
    h.node = (unsigned)text_number(&at, "node");
    h.incarnation = (uint32_t)text_number(&at, "life");
    text_bytes(&at, "token", h.token, sizeof h.token);
    text_bytes(&at, "before", h.before, sizeof h.before);
    const char *path = text_value(&at, h.is_shard ? "url" : "path");

    snprintf(h.path, sizeof h.path, "%.*s", (int)strcspn(path, "\n"), path);
    if (!is_place(&h) || h.node == 0 || h.node > POOL_NODE_MAX || h.incarnation == 0 ||
        h.incarnation > POOL_INCARNATION_MAX ||
        !text_is_same(again, pool_home_encode(&h, again), text, len))
        return -EUCLEAN;
    *ret = h;
    return 0;
}

int pool_floor_decode(const char *text, size_t len, struct pool_floor *ret)
{
    char copy[POOL_TEXT_MAX], again[POOL_TEXT_MAX];
    struct pool_floor f;
    const char *at;
    int err = text_begin(text, len, "tallyfs pool floor ", 0, copy, sizeof copy, &at);

    if (err < 0)
        return err;
    f.serial = text_number(&at, "serial");
    if (f.serial == 0 || !text_is_same(again, pool_floor_encode(&f, again), text, len))
        return -EUCLEAN;
    *ret = f;
    return 0;
}
