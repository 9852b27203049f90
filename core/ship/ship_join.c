// SPDX-License-Identifier: Apache-2.0
/*
 * ship_join: the begin of shipping, once a mount: the epoch is claimed, which ends all earlier
 * ones; and then what the archive has is compared with the points here.
 *
 * The archive has, of each namespace, an instant: the number of its last change, and the time of
 * the point. A point here with both is that instant, since a point is durable before it is shipped,
 * and no two histories of one store have the same ones. It may be noted, or it may be a point whose
 * segment was put just before a death: then it is noted now. If an instant of the archive is not
 * here, this is not the store that shipped it, but an older copy, or one that went on by itself:
 * nothing is shipped.
 */
#include "ship_impl.h"

#include "archive_read.h"
#include "archive_text.h"
#include "flush.h"
#include "io.h"
#include "shards.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* ---- who claims ---- */

int ship_fill_who(struct state *p, struct archive_claim *ret)
{
    char host[256] = "";
    CLEANUP_FREE char *boot = NULL;
    size_t len = 0;

    *ret = (struct archive_claim){.time = now(p)};
    if (getrandom(ret->token, sizeof ret->token, 0) != (ssize_t)sizeof ret->token)
        return -EIO;
    if (gethostname(host, sizeof host - 1) == 0)
        snprintf(ret->host, sizeof ret->host, "%.60s", host);
    if (io_read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 64, &boot, &len) == 0)
        snprintf(ret->boot, sizeof ret->boot, "%.*s", (int)strcspn(boot, "\n"), boot);
    return 0;
}

/* ---- points ---- */

static int add_point(struct stream *s, struct ns *point, const struct ns_point *note, bool anew)
{
    struct shipped *e;
    int err = ship_add_entry(s, point->hidden.of.ns, &e);

    if (err < 0)
        return err;
    e->generation = point->hidden.of.generation;
    e->was = point;
    e->note = *note;
    e->unlooked = note->lost > 0 && !anew;
    e->again = e->whole = anew;
    e->section.is = (struct segment_instant){point->hidden.of.ns, point->hidden.of.generation,
                                             point->hidden.of.seq, point->hidden.since};
    READ_GUARD(&s->p->names.lock);
    memcpy(e->section.name, point->name, strlen(point->name) + 1);
    return 0;
}

static int drop_point(struct stream *s, struct ns *point)
{
    TXN(t);
    int err = txn_begin_alone(s->p, 0, &t);

    return err < 0 ? err : ns_point_drop(&t, point);
}

static int note_point(struct stream *s, struct ns *point, const struct ns_point *note)
{
    TXN(t);
    int err = txn_begin_alone(s->p, 0, &t);

    return err < 0 ? err : ns_point_note(&t, point, note);
}

/* The instant of a name, with its time and its sum: from the section that shipped it. */
static int read_section(struct stream *s, struct shard *shard, const struct segment_name *name,
                        struct segment_section *ret)
{
    struct archive_segment g;
    int err = archive_read(shard, s->lineage, name->at, &g);

    if (err < 0)
        return err;
    err = -EUCLEAN;
    for (uint32_t i = 0; i < g.front.head.sections; i++)
        if (g.front.sections[i].is.ns == name->ns && g.front.sections[i].kind == SECTION_CHANGE) {
            *ret = g.front.sections[i];
            err = 0;
        }
    archive_segment_release(&g);
    return err;
}

/* Is the point the instant that the archive has under that name? If it is not noted yet, *note gets
 * what is to be noted. 1, 0 or -errno. */
static int is_instant(struct stream *s, struct shard *shard, const struct ns *point,
                      const struct segment_name *name, struct ns_point *note)
{
    struct segment_section section;
    int err;

    if (point->hidden.of.ns != name->ns || point->hidden.of.generation != name->generation ||
        point->hidden.of.seq != name->seq)
        return 0;
    if (note->serial)
        return note->epoch == name->at.epoch && note->serial == name->at.serial;
    err = read_section(s, shard, name, &section);
    if (err < 0)
        return err;
    if (section.is.since != point->hidden.since)
        return 0;
    note->epoch = name->at.epoch;
    note->serial = name->at.serial;
    note->frozen = section.frozen;
    note->lost = section.lost;
    note->made_up = section.lost > 0; /* it is not known whether it is so */
    memcpy(note->state, section.state, sizeof note->state);
    return 1;
}

/* The name of the namespace that a point is of; NULL: the archive does not have it. Names ascend by
 * number. */
static const struct segment_name *name_of(const struct archive_names *names, const struct ns *point)
{
    const uint32_t ns = point->hidden.of.ns;
    size_t low = 0, high = names->count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (names->v[mid].ns < ns)
            low = mid + 1;
        else
            high = mid;
    }
    return low < names->count && names->v[low].ns == ns &&
                   names->v[low].generation == point->hidden.of.generation
               ? &names->v[low]
               : NULL;
}

/* Keeps a point that the archive has. One that it does not have was cut before a death, or was
 * followed by another one: it goes. */
static int sort_point(struct stream *s, struct shard *shard, const struct archive_names *names,
                      struct ns *point, struct ns_point note, bool anew)
{
    const struct segment_name *name = name_of(names, point);
    const bool noted = note.serial;
    int is = name ? is_instant(s, shard, point, name, &note) : 0;
    int err = is < 0 ? is : 0;

    if (is == 1 && !noted)
        err = note_point(s, point, &note);
    if (is == 1 && err == 0)
        return add_point(s, point, &note, anew);
    if (is == 0 && err == 0)
        err = drop_point(s, point);
    ns_put(s->p, point);
    return err;
}

/* `anew`: all namespaces are shipped as a whole. */
static int sort_points(struct stream *s, struct shard *shard, const struct archive_names *names,
                       bool anew)
{
    struct ns_point note;
    struct ns *point;
    uint32_t at = 0;
    int err = 0;

    while (err == 0 && ns_point_next(s->p, at, &point, &note) == 0) {
        at = point->number;
        if (note.archive == s->archive)
            err = sort_point(s, shard, names, point, note, anew);
        else
            ns_put(s->p, point);
    }
    flush_kick_drops(s->p);
    return err;
}

/* Marks the names whose instant is a point here. */
static int find_here(struct stream *s, struct shard *shard, const struct archive_names *names,
                     bool *here)
{
    struct ns_point note;
    struct ns *point;
    uint32_t at = 0;
    int is = 0;

    while (is >= 0 && ns_point_next(s->p, at, &point, &note) == 0) {
        const struct segment_name *name = note.archive == s->archive ? name_of(names, point) : NULL;

        at = point->number;
        if (name && !here[name - names->v]) {
            is = is_instant(s, shard, point, name, &note);
            here[name - names->v] = is == 1;
        }
        ns_put(s->p, point);
    }
    return is < 0 ? is : 0;
}

/* Is each instant of the archive here? It is looked at before anything is changed. */
static int check_names(struct stream *s, struct shard *shard, const struct archive_names *names)
{
    CLEANUP_FREE bool *here = calloc(names->count + 1, sizeof *here);
    int err = here ? find_here(s, shard, names, here) : -ENOMEM;

    for (size_t i = 0; i < names->count && err == 0 && !s->gap; i++)
        if (!here[i])
            err = ship_refuse(s,
                              "it has the history of another store, or of a later state of "
                              "this one: its %.80s is of change %llu, which is not here",
                              names->v[i].name, (unsigned long long)names->v[i].seq);
    return err;
}

/* ---- joining ---- */

void ship_note_seen(struct stream *s)
{
    bool any = false;

    for (size_t i = 0; i < s->count && s->unseen && !any; i++)
        any = s->v[i].was && s->v[i].again;
    if (s->unseen && !any && shards_note_seen(s->p->shards, s->archive, s->unseen) == 0)
        s->unseen = 0;
}

/* What this mount itself is deleting its prune has forgotten already. */
static int look_at_catalogues(struct stream *s, struct shard *shard, struct honour *h)
{
    struct shards_info info;
    int drops, err = shards_info_get(s->p->shards, s->archive, &info);

    if (err < 0)
        return err;
    drops = ship_honour_look(s->p, s->archive, s->lineage, info.seen, shard, h);
    if (drops == 1 && h->last.number == info.seen && s->begun == info.seen)
        drops = 0;
    h->from = drops ? h->from : 0;
    return drops;
}

/* Drops the rows of what others have given up, also of contents that a thin pack still has: which
 * these are is not known here. They are sent again, and get new places. A follower notes only one
 * place of an object (restore_items.c), so no older section may name it differently: all namespaces
 * are shipped as a whole, and the catalogue counts as seen when that is done. */
static int honour(struct stream *s, struct shard *shard, const struct archive_names *names)
{
    struct honour h;
    int64_t oldest = 0;
    int err, drops = look_at_catalogues(s, shard, &h);

    if (drops < 0)
        return drops;
    if (drops) {
        s->unseen = h.last.number;
        s->looked = 0;
    }
    err = sort_points(s, shard, names, drops);
    if (err < 0) {
        ship_honour_release(&h);
        return err;
    }
    err = ship_honour(s->p, s->archive, &h, shard, &oldest);
    if (err < 0)
        return err;
    ship_note_seen(s);
    MUTEX_GUARD(&s->stats_lock);
    s->stats.oldest = oldest;
    return 0;
}

/* May this store go on from the segment s->at? It reads only. *names gets what the archive has. */
static int check(struct stream *s, struct shard *shard, struct archive_names *names)
{
    struct archive_segment g;
    int err = 0;

    archive_names_release(names);
    if (s->at.epoch) {
        err = archive_read(shard, s->lineage, s->at, &g);
        if (err < 0)
            return err;
        memcpy(s->at_sum, g.sum, sizeof s->at_sum);
        s->at_time = g.front.head.time;
        if (g.front.head.seq > atomic_load(&s->p->seq))
            err = ship_refuse(s, "it has changes up to %llu, and this store up to %llu",
                              (unsigned long long)g.front.head.seq,
                              (unsigned long long)atomic_load(&s->p->seq));
        archive_segment_release(&g);
    }
    if (err == 0)
        err = archive_names(shard, s->lineage, s->at, names);
    return err < 0 ? err : check_names(s, shard, names);
}

static int claim(struct stream *s, struct segment_pos *ret_end)
{
    char why[SHARD_WHY] = "";
    int err = chain_claim(&s->chain, ret_end, why);

    if (err < 0)
        return *why ? ship_fail(s, err, "no epoch can be claimed there: %s", why) : err;
    return archive_prefix(s->lineage, s->chain.epoch)
               ? 0
               : ship_refuse(s, "all numbers of its epochs are given");
}

/* Has a follower taken over? Then the lineage has ended, also for a writer that was fenced and is
 * mounted again. */
static int check_successor(struct stream *s, struct shard *shard)
{
    uint32_t successor;
    int err = archive_successor(shard, s->lineage, NULL, UINT32_MAX, &successor);

    return err < 0 || !successor
               ? err
               : ship_refuse(s, "a follower has taken over, and ships as lineage %u", successor);
}

/* It checks before it claims: a claim by a store that may not write would fence the one that may.
 * Between the check and the claim another one may have gone on, so what the claim found is checked,
 * too. */
static int check_and_claim(struct stream *s, struct shard *shard, struct archive_names *names)
{
    struct segment_pos end = {0};
    int err = chain_last(shard, s->lineage, s->at, &s->at);

    if (err == 0)
        err = check_successor(s, shard);
    if (err == 0)
        err = check(s, shard, names);
    if (err == 0)
        err = claim(s, &end);
    if (err == 0) /* of a take-over at the same time one of both sees the other (ship_succeed.c) */
        err = check_successor(s, shard);
    if (err == 0 && segment_pos_compare(end, s->at) != 0) {
        s->at = end;
        err = check(s, shard, names);
    }
    return err;
}

static int join(struct stream *s, struct shard *shard)
{
    struct archive_names names = ARCHIVE_NAMES_INIT;
    int err;

    s->chain.shard = shard;
    err = check_and_claim(s, shard, &names);
    if (err == 0)
        err = honour(s, shard, &names);
    archive_names_release(&names);
    if (err == 0)
        err = shards_allow(s->p->shards, s->archive, archive_prefix(s->lineage, s->chain.epoch));
    if (err < 0)
        ship_forget(s);
    return err;
}

int ship_join(struct stream *s)
{
    struct archive_claim who;
    struct shards_info info;
    struct shard *shard;
    int err = ship_fill_who(s->p, &who);

    if (err == 0 && shards_info_get(s->p->shards, s->archive, &info) == 0)
        s->gap |= info.gap; /* points may have given way since the last look */
    if (err == 0)
        err = ship_begin_asking(s, &shard);
    if (err < 0)
        return ship_fail(s, err, "it cannot be asked");
    if (!s->chain.epoch) /* a claim that failed goes on with its own number */
        chain_init(&s->chain, shard, s->lineage, &who, 0);
    err = ship_end_asking(s, join(s, shard));
    if (err < 0)
        return err == -EKEYREVOKED ? err : ship_fail(s, err, "what it has cannot be read");
    s->joined = true;
    s->names_changed = true;
    ship_count_lost(s);
    MUTEX_GUARD(&s->stats_lock);
    s->stats.epoch = s->chain.epoch;
    s->stats.at = s->at;
    return 0;
}

/* ---- the next epoch ---- */

int ship_is_claimed(struct stream *s, struct shard *shard)
{
    char name[ARCHIVE_NAME_MAX + 1];
    uint64_t size;
    int err;

    archive_epoch_name(s->lineage, s->chain.epoch + 1, name);
    err = shard_stat(shard, name, &size);
    return err == 0 ? 1 : err == -ENOENT ? 0 : err;
}

/* For its own catalogues this mount has dropped the rows before it put them (prune.c). -ESTALE: a
 * writer that is fenced has put one since: the stream joins again, and drops rows then. */
static int look_for_catalogue(struct stream *s, struct shard *shard)
{
    struct honour h;
    bool is_new;
    int err = look_at_catalogues(s, shard, &h);

    if (err < 0)
        return err;
    is_new = h.last.number > h.seen && h.last.number > s->unseen;
    ship_honour_release(&h);
    return is_new ? -ESTALE : 0;
}

/* Whoever has claimed since our claim is the writer: nothing is claimed here then, which would end
 * its epoch. */
static int claim_next(struct stream *s, struct shard *shard)
{
    struct segment_pos end = {0};
    struct archive_claim who;
    char why[SHARD_WHY] = "";
    struct chain next;
    int err = ship_is_claimed(s, shard);

    if (err == 1)
        return ship_refuse(s, "another store, or another mount of this one, ships there now");
    if (err == 0)
        err = ship_fill_who(s->p, &who);
    if (err < 0)
        return err;
    chain_init(&next, shard, s->lineage, &who, s->chain.epoch);
    err = chain_claim(&next, &end, why);
    if (err == 0 && segment_pos_compare(end, s->at) != 0)
        err = -ESTALE;
    if (err == 0 && !archive_prefix(s->lineage, next.epoch))
        err = -EOVERFLOW;
    if (err == 0)
        err = check_successor(s, shard);
    if (err == 0)
        err = look_for_catalogue(s, shard);
    if (err == 0)
        s->chain = next;
    return err;
}

void ship_next_epoch(struct stream *s)
{
    struct shard *shard;
    int err = ship_begin_asking(s, &shard);

    if (err < 0) /* the round says why */
        return;
    err = claim_next(s, shard);
    if (err == 0)
        err = shards_allow(s->p->shards, s->archive, archive_prefix(s->lineage, s->chain.epoch));
    if (err != -ESTALE && err != -EOVERFLOW)
        err = ship_end_asking(s, err);
    else
        shards_put_back(s->p->shards, s->archive);
    if (err < 0) {
        ship_forget(s);
        s->joined = false;
        s->chain = (struct chain){.epoch = 0};
        return;
    }
    MUTEX_GUARD(&s->stats_lock);
    s->stats.epoch = s->chain.epoch;
}
