// SPDX-License-Identifier: Apache-2.0
/* catalogue: see the header. */
#include "catalogue.h"

#include "bytes.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC "TLYSKEPT"
#define VERSION 1u
#define HEAD 96u
#define STATE 32u
#define RUN 24u
#define PACKS 16u
#define FILE_ 24u
#define SUM 8u

/* ---- writing ---- */

static void add64(struct strbuf *out, uint64_t v)
{
    uint8_t b[8];

    put_le64(b, v);
    strbuf_add(out, b, sizeof b);
}

static void add32(struct strbuf *out, uint32_t v)
{
    uint8_t b[4];

    put_le32(b, v);
    strbuf_add(out, b, sizeof b);
}

static void add_state(struct strbuf *out, const struct kept_state *s)
{
    add64(out, s->at.epoch);
    add64(out, s->at.serial);
    add64(out, s->seq);
    add64(out, (uint64_t)s->time);
}

static void add_runs(struct strbuf *out, const struct kept_run *v, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        add64(out, v[i].epoch);
        add64(out, v[i].first);
        add64(out, v[i].last);
    }
}

static void add_head(const struct catalogue *c, struct strbuf *out)
{
    strbuf_add(out, MAGIC, 8);
    add32(out, VERSION);
    add32(out, c->lineage);
    add32(out, c->number);
    add32(out, c->state_count);
    add32(out, c->kept_count);
    add32(out, c->gone_count);
    add32(out, c->pack_count);
    add32(out, c->file_count);
    add64(out, 0);
    add64(out, (uint64_t)c->time);
    add64(out, c->bytes);
    add_state(out, &c->begin);
}

int catalogue_encode(const struct catalogue *c, struct strbuf *out)
{
    size_t begin = out->len;

    add_head(c, out);
    for (uint32_t i = 0; i < c->state_count; i++)
        add_state(out, &c->states[i]);
    add_runs(out, c->kept, c->kept_count);
    add_runs(out, c->gone, c->gone_count);
    for (uint32_t i = 0; i < c->pack_count; i++) {
        add64(out, c->packs[i].first);
        add64(out, c->packs[i].last);
    }
    for (uint32_t i = 0; i < c->file_count; i++) {
        strbuf_add(out, c->files[i].id.b, sizeof c->files[i].id.b);
        add64(out, c->files[i].where);
    }
    if (strbuf_error(out) < 0)
        return strbuf_error(out);
    add64(out, id_checksum(out->s + begin, out->len - begin, c->lineage));
    return strbuf_error(out);
}

/* ---- reading ---- */

static struct kept_state get_state(const uint8_t *p)
{
    return (struct kept_state){.at = {get_le64(p), get_le64(p + 8)},
                               .seq = get_le64(p + 16),
                               .time = (int64_t)get_le64(p + 24)};
}

static const uint8_t *get_runs(const uint8_t *p, struct kept_run *v, size_t count)
{
    for (size_t i = 0; i < count; i++, p += RUN)
        v[i] = (struct kept_run){get_le64(p), get_le64(p + 8), get_le64(p + 16)};
    return p;
}

static void get_arrays(const uint8_t *p, struct catalogue *c)
{
    for (uint32_t i = 0; i < c->state_count; i++, p += STATE)
        c->states[i] = get_state(p);
    p = get_runs(p, c->kept, c->kept_count);
    p = get_runs(p, c->gone, c->gone_count);
    for (uint32_t i = 0; i < c->pack_count; i++, p += PACKS)
        c->packs[i] = (struct pack_run){get_le64(p), get_le64(p + 8)};
    for (uint32_t i = 0; i < c->file_count; i++, p += FILE_) {
        memcpy(c->files[i].id.b, p, sizeof c->files[i].id.b);
        c->files[i].where = get_le64(p + 16);
    }
}

static void get_head(const uint8_t *p, struct catalogue *c)
{
    c->lineage = get_le32(p + 12);
    c->number = get_le32(p + 16);
    c->state_count = get_le32(p + 20);
    c->kept_count = get_le32(p + 24);
    c->gone_count = get_le32(p + 28);
    c->pack_count = get_le32(p + 32);
    c->file_count = get_le32(p + 36);
    c->time = (int64_t)get_le64(p + 48);
    c->bytes = get_le64(p + 56);
    c->begin = get_state(p + 64);
}

static bool counts_fit(const struct catalogue *c, size_t len)
{
    return len == HEAD + (uint64_t)c->state_count * STATE +
                      ((uint64_t)c->kept_count + c->gone_count) * RUN +
                      (uint64_t)c->pack_count * PACKS + (uint64_t)c->file_count * FILE_ + SUM;
}

static int make_arrays(struct catalogue *c)
{
    c->states = calloc(c->state_count + 1u, sizeof *c->states);
    c->kept = calloc(c->kept_count + 1u, sizeof *c->kept);
    c->gone = calloc(c->gone_count + 1u, sizeof *c->gone);
    c->packs = calloc(c->pack_count + 1u, sizeof *c->packs);
    c->files = calloc(c->file_count + 1u, sizeof *c->files);
    return c->states && c->kept && c->gone && c->packs && c->files ? 0 : -ENOMEM;
}

static struct segment_pos run_first(const struct kept_run *r)
{
    return (struct segment_pos){r->epoch, r->first};
}

static struct segment_pos run_last(const struct kept_run *r)
{
    return (struct segment_pos){r->epoch, r->last};
}

static bool kept_runs_have(const struct kept_run *v, size_t count, struct segment_pos at)
{
    size_t low = 0, high = count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (segment_pos_compare(run_last(&v[mid]), at) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low < count && segment_pos_compare(run_first(&v[low]), at) <= 0;
}

static bool runs_are_sound(const struct kept_run *v, size_t count, struct segment_pos begin)
{
    for (size_t i = 0; i < count; i++) {
        const struct kept_run *r = &v[i];

        if (r->epoch == 0 || r->epoch > CATALOGUE_EPOCH || r->first == 0 || r->first > r->last ||
            r->last > CATALOGUE_SERIAL || segment_pos_compare(run_last(r), begin) >= 0)
            return false;
        if (i > 0 && segment_pos_compare(run_last(&v[i - 1]), run_first(r)) >= 0)
            return false;
    }
    return true;
}

static bool states_are_sound(const struct catalogue *c)
{
    for (uint32_t i = 0; i < c->state_count; i++) {
        const struct kept_state *s = &c->states[i],
                                *next = i + 1 < c->state_count ? s + 1 : &c->begin;

        if (!kept_runs_have(c->kept, c->kept_count, s->at) ||
            segment_pos_compare(s->at, next->at) >= 0 || s->seq > next->seq || s->time > next->time)
            return false;
    }
    return true;
}

static bool contents_are_sound(const struct catalogue *c)
{
    for (uint32_t i = 0; i < c->pack_count; i++)
        if (c->packs[i].first == 0 || c->packs[i].first > c->packs[i].last ||
            (i > 0 && c->packs[i - 1].last >= c->packs[i].first))
            return false;
    for (uint32_t i = 0; i < c->file_count; i++)
        if (c->files[i].where == 0 || (i > 0 && c->files[i - 1].where >= c->files[i].where))
            return false;
    return true;
}

/* No segment is both kept and given up. */
static bool runs_are_apart(const struct catalogue *c)
{
    uint32_t i = 0, j = 0;

    while (i < c->kept_count && j < c->gone_count) {
        const struct kept_run *a = &c->kept[i], *b = &c->gone[j];

        if (segment_pos_compare(run_last(a), run_first(b)) < 0)
            i++;
        else if (segment_pos_compare(run_last(b), run_first(a)) < 0)
            j++;
        else
            return false;
    }
    return true;
}

static bool is_sound(const struct catalogue *c)
{
    return c->begin.at.epoch > 0 && c->begin.at.epoch <= CATALOGUE_EPOCH &&
           c->begin.at.serial > 0 && c->begin.at.serial <= CATALOGUE_SERIAL &&
           runs_are_sound(c->kept, c->kept_count, c->begin.at) &&
           runs_are_sound(c->gone, c->gone_count, c->begin.at) && runs_are_apart(c) &&
           states_are_sound(c) && contents_are_sound(c);
}

int catalogue_decode(const void *bytes, size_t len, uint32_t lineage, uint32_t number,
                     struct catalogue *ret)
{
    const uint8_t *p = bytes;
    struct catalogue c = {.lineage = 0};
    int err;

    if (len < HEAD + SUM || len > CATALOGUE_MAX || memcmp(p, MAGIC, 8) != 0 ||
        get_le64(p + len - SUM) != id_checksum(p, len - SUM, lineage))
        return -EUCLEAN;
    if (get_le32(p + 8) != VERSION)
        return get_le32(p + 8) > VERSION ? -EPROTO : -EUCLEAN;
    get_head(p, &c);
    if (c.lineage != lineage || c.number != number || lineage == 0 || number == 0 ||
        get_le64(p + 40) != 0 || !counts_fit(&c, len))
        return -EUCLEAN;
    err = make_arrays(&c);
    if (err == 0) {
        get_arrays(p + HEAD, &c);
        err = is_sound(&c) ? 0 : -EUCLEAN;
    }
    if (err < 0)
        catalogue_release(&c);
    else
        *ret = c;
    return err;
}

void catalogue_release(struct catalogue *c)
{
    free(c->states);
    free(c->kept);
    free(c->gone);
    free(c->packs);
    free(c->files);
    *c = (struct catalogue){.lineage = 0};
}

/* ---- asking ---- */

int64_t catalogue_oldest(const struct catalogue *c)
{
    return !c->number ? 0 : c->state_count ? c->states[0].time : c->begin.time;
}

bool catalogue_keeps(const struct catalogue *c, struct segment_pos at)
{
    return segment_pos_compare(at, c->begin.at) >= 0 || kept_runs_have(c->kept, c->kept_count, at);
}

static bool pack_runs_have(const struct pack_run *v, size_t count, uint64_t where)
{
    size_t low = 0, high = count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (v[mid].last < where)
            low = mid + 1;
        else
            high = mid;
    }
    return low < count && v[low].first <= where;
}

static bool files_have(const struct kept_file *v, size_t count, uint64_t where)
{
    size_t low = 0, high = count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (v[mid].where < where)
            low = mid + 1;
        else
            high = mid;
    }
    return low < count && v[low].where == where;
}

bool catalogue_gives_up(const struct catalogue *c, bool in_pack, uint64_t where)
{
    return in_pack ? pack_runs_have(c->packs, c->pack_count, where)
                   : files_have(c->files, c->file_count, where);
}
