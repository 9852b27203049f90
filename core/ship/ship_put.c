// SPDX-License-Identifier: Apache-2.0
/*
 * ship_put: the segment: made once, and put until the archive has it, since a put whose answer was
 * lost may have been done. Its body, if it has one, goes first.
 */
#include "ship_impl.h"

#include "archive_text.h"
#include "flush.h"
#include "items_file.h"
#include "sha256.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WHO_MAX 120    /* bytes */
#define NAMES_EVERY 64 /* segments: at least so often one has the list of names */

struct ship_segment {
    struct front_head head;
    struct items_file *items;
    struct strbuf bytes; /* of the segment, with the items unless they have a body */
    uint8_t sum[SHA256_LEN];
    uint64_t sections;
    bool body_put;
};

void ship_discard(struct stream *s)
{
    if (!s->made)
        return;
    items_file_close(s->made->items);
    strbuf_release(&s->made->bytes);
    free(s->made);
    s->made = NULL;
}

/* ---- making ---- */

static bool is_shipped(const struct shipped *e)
{
    return e->is || e->gone;
}

/* The sections, in the order of the entries. */
static int collect_sections(struct stream *s, struct segment_front *f)
{
    uint32_t n = 0;

    f->sections = calloc((1 + SHIP_JUMPS) * s->count + 1, sizeof *f->sections);
    if (!f->sections)
        return -ENOMEM;
    for (size_t i = 0; i < s->count; i++) {
        struct shipped *e = &s->v[i];
        unsigned jumps = 0;
        int err = is_shipped(e) ? ship_gather(s, e, s->made->items) : 0;

        if (err < 0)
            return err;
        if (is_shipped(e))
            f->sections[n++] = e->section;
        if (e->is)
            err = ship_jumps_take(s, e, s->made->items, &f->sections[n], &jumps);
        if (err < 0)
            return err;
        n += jumps;
    }
    f->head.sections = n;
    return 0;
}

static void name_of(struct stream *s, const struct shipped *e, struct segment_pos at,
                    struct segment_name *ret)
{
    const struct ns *point = e->is ? e->is : e->was;
    READ_GUARD(&s->p->names.lock);

    *ret = (struct segment_name){.ns = e->number,
                                 .generation = e->generation,
                                 .seq = point->hidden.of.seq,
                                 .at = e->is ? at
                                             : (struct segment_pos){e->note.epoch, e->note.serial}};
    memcpy(ret->name, point->name, strlen(point->name) + 1);
}

/* The list of names, if it is due. */
static int collect_names(struct stream *s, struct segment_front *f)
{
    uint32_t n = 0;

    if (!s->names_changed && s->since_names + 1 < NAMES_EVERY)
        return 0;
    f->head.has_names = true;
    f->names = calloc(s->count + 1, sizeof *f->names);
    if (!f->names)
        return -ENOMEM;
    for (size_t i = 0; i < s->count; i++)
        if (s->v[i].is || (s->v[i].was && !s->v[i].gone))
            name_of(s, &s->v[i], f->head.at, &f->names[n++]);
    f->head.names = n;
    return 0;
}

static struct front_head begin_head(struct stream *s)
{
    struct front_head h = {.lineage = s->lineage,
                           .at = {s->chain.epoch, s->chain.serial + 1},
                           .before = s->at,
                           .time = s->cut_time,
                           .seq = s->cut_seq};

    memcpy(h.token, s->chain.who.token, sizeof h.token);
    memcpy(h.before_sum, s->at_sum, sizeof h.before_sum);
    if (h.time < s->at_time)
        h.time = s->at_time;
    return h;
}

/* Encodes the segment. If it is too long with its items these get a body. */
static int encode(struct ship_segment *g, struct segment_front *f)
{
    const void *items = items_file_bytes(g->items);
    int err;

    f->head.items_len = items_file_len(g->items);
    f->head.has_body = !items;
    err = segment_front_encode(f, &g->bytes);
    if (err == 0 && items && f->head.items_len > 0 &&
        g->bytes.len + f->head.items_len > SHARD_PACK_MAX) {
        f->head.has_body = true;
        items = NULL;
        strbuf_clear(&g->bytes);
        err = segment_front_encode(f, &g->bytes);
    }
    if (err == 0 && g->bytes.len > SHARD_PACK_MAX && f->head.has_names) {
        f->head.has_names = false; /* an earlier list and the sections since say it, too */
        f->head.names = 0;
        strbuf_clear(&g->bytes);
        err = segment_front_encode(f, &g->bytes);
    }
    if (err == 0 && items)
        strbuf_add(&g->bytes, items, (size_t)f->head.items_len);
    return err < 0 ? err : strbuf_error(&g->bytes);
}

static int make(struct stream *s, struct segment_front *f)
{
    struct ship_segment *g = s->made;
    int err = items_file_open(&g->items);

    if (err == 0)
        err = collect_sections(s, f);
    if (err == 0)
        err = collect_names(s, f);
    if (err == 0)
        err = items_file_end(g->items, f->head.items_sum);
    if (err == 0)
        err = encode(g, f);
    if (err == 0)
        err = sha256_of(g->bytes.s, g->bytes.len, g->sum);
    g->head = f->head;
    for (uint32_t i = 0; i < f->head.sections; i++)
        g->sections += f->sections[i].kind == SECTION_CHANGE;
    return err;
}

int ship_make(struct stream *s)
{
    struct segment_front f = {.head = begin_head(s)};
    int err;

    s->made = calloc(1, sizeof *s->made);
    if (!s->made)
        return ship_fail(s, -ENOMEM, "no segment can be made");
    s->made->bytes = (struct strbuf)STRBUF_INIT;
    err = make(s, &f);
    ship_tell_rest(s);
    free(f.sections);
    free(f.names);
    if (err < 0) {
        ship_discard(s);
        for (size_t i = 0; i < s->count; i++)
            ship_jumps_forget(s, &s->v[i]);
    }
    return err < 0 ? ship_fail(s, err, "no segment can be made") : 0;
}

/* ---- putting ---- */

static int read_items(void *ctx, void *buf, size_t len, uint64_t off)
{
    return items_file_read(ctx, buf, len, off);
}

/* Is what stands under the name of the body these very bytes? 1, 0 or -errno. */
static int has_body(struct shard *shard, const char *name, struct items_file *items)
{
    uint8_t *mine = malloc((size_t)1 << 20);
    uint64_t len = items_file_len(items), size = 0;
    void *theirs = NULL;
    int same = mine ? shard_stat(shard, name, &size) : -ENOMEM;

    same = same < 0 ? same : size == len;
    for (uint64_t at = 0; same == 1 && at < len; at += (size_t)1 << 20) {
        size_t n = len - at < (size_t)1 << 20 ? (size_t)(len - at) : (size_t)1 << 20;
        ssize_t got = shard_range_alloc(shard, name, n, at, &theirs);

        same = got < 0 ? (int)got : items_file_read(items, mine, n, at);
        if (same == 0)
            same = (size_t)got == n && memcmp(mine, theirs, n) == 0;
        if (got >= 0)
            free(theirs);
    }
    free(mine);
    return same;
}

/* Puts the body. Its name is that of the segment, which this epoch alone uses. */
static int put_body(struct ship_segment *g, struct shard *shard)
{
    const struct shard_source source = {
        .read = read_items, .ctx = g->items, .size = items_file_len(g->items)};
    char name[ARCHIVE_NAME_MAX + 1];
    int err, same;

    archive_body_name(g->head.lineage, g->head.at, name);
    err = shard_put_stream(shard, name, &source);
    if (err != -EEXIST)
        return err;
    same = has_body(shard, name, g->items);
    return same < 0 ? same : same ? 0 : -EEXIST;
}

static int put(struct stream *s, struct shard *shard)
{
    struct ship_segment *g = s->made;
    int err = 0;

    if (g->head.has_body && !g->body_put)
        err = put_body(g, shard);
    if (err < 0)
        return err;
    g->body_put = true;
    return chain_put(&s->chain, g->bytes.s, g->bytes.len);
}

/* The archive has the segment. */
static void was_put(struct stream *s)
{
    struct ship_segment *g = s->made;

    s->at = g->head.at;
    s->at_time = g->head.time;
    memcpy(s->at_sum, g->sum, sizeof s->at_sum);
    s->since_names = g->head.has_names ? 0 : s->since_names + 1;
    s->names_changed = s->names_changed && !g->head.has_names;
    s->unnoted = true;
    MUTEX_GUARD(&s->stats_lock);
    s->stats.at = s->at;
    s->stats.oldest = s->stats.oldest ? s->stats.oldest : s->at_time;
    s->stats.segments++;
    s->stats.sections += g->sections;
}

/* Who has claimed the next epoch, for people: " (HOST, TIME)"; nothing if that cannot be read. */
static void read_claim(struct stream *s, struct shard *shard, char who[WHO_MAX])
{
    CLEANUP_STRBUF struct strbuf at = STRBUF_INIT;
    char name[ARCHIVE_NAME_MAX + 1], text[ARCHIVE_TEXT_MAX];
    struct archive_claim claim;
    ssize_t n;

    archive_epoch_name(s->lineage, s->chain.epoch + 1, name);
    n = shard_get(shard, name, text, sizeof text);
    if (n < 0 || archive_claim_decode(text, (size_t)n, s->lineage, s->chain.epoch + 1, &claim) < 0)
        return;
    strbuf_add_time(&at, claim.time);
    snprintf(who, WHO_MAX, " (%.60s, since %.40s)", claim.host, at.s);
}

static int refuse_fenced(struct stream *s, const char *who)
{
    return ship_refuse(s, "another store, or another mount of this one, ships there now%s", who);
}

/* The points that the segment speaks of are durable here before the archive has it: so the archive
 * is never ahead of the store. */
int ship_put(struct stream *s)
{
    char who[WHO_MAX] = "";
    struct shard *shard;
    int err = flush_sync(s->p);

    if (err < 0)
        return ship_fail(s, err, "what is to be shipped is not durable here");
    err = ship_begin_asking(s, &shard);
    if (err < 0)
        return ship_fail(s, err, "it cannot be asked");
    s->chain.shard = shard;
    err = put(s, shard);
    if (err == -EKEYREVOKED)
        read_claim(s, shard, who);
    err = ship_end_asking(s, err);
    if (err == -EKEYREVOKED)
        return refuse_fenced(s, who);
    if (err < 0)
        return ship_fail(s, err, "a segment cannot be put there");
    was_put(s);
    ship_discard(s);
    return 0;
}
