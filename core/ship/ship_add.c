// SPDX-License-Identifier: Apache-2.0
/*
 * ship_add: an archive gets a store, and a store an archive. The first store that ships to a place
 * makes an archive of it; each gets a lineage of its own there.
 */
#include "ship_impl.h"

#include "archive_pins.h"
#include "archive_read.h"
#include "archive_text.h"
#include "flush.h"
#include "ns_setting.h"
#include "record.h"
#include "refs.h"
#include "report.h"
#include "shards.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* ---- the place ---- */

static int has_something(const char *name, uint64_t size, void *ctx)
{
    (void)name;
    (void)size;
    (void)ctx;
    return -ENOTEMPTY;
}

/* Makes an archive of an empty place that decides between writers. */
static int make_archive(struct shard *shard, struct archive_format *ret, char why[SHARD_WHY])
{
    char text[ARCHIVE_TEXT_MAX];
    int err = shard_list(shard, "", has_something, NULL);

    if (err == -ENOTEMPTY)
        snprintf(why, SHARD_WHY, "it has other things in it, and is no archive");
    if (err == 0)
        err = shard_probe(shard, why);
    if (err == 0 && getrandom(ret->id, sizeof ret->id, 0) != (ssize_t)sizeof ret->id)
        err = -EIO;
    if (err < 0)
        return err;
    err = shard_put_if_absent(shard, ARCHIVE_FORMAT, text, archive_format_encode(ret, text));
    return err == -EEXIST ? archive_read_format(shard, ret) : err;
}

static int open_archive(struct shard *shard, struct archive_format *ret, char why[SHARD_WHY])
{
    int err = archive_read_format(shard, ret);

    if (err == -EUCLEAN)
        snprintf(why, SHARD_WHY, "its file '%s' is damaged", ARCHIVE_FORMAT);
    else if (err == -EPROTO)
        snprintf(why, SHARD_WHY, "it was made by a newer version");
    return err == -ENOENT ? make_archive(shard, ret, why) : err;
}

/* ---- the lineage ---- */

/* Puts a new lineage under the next free number. If an answer was lost a lineage of which nobody
 * knows may stay: it is empty, and does no harm. */
static int put_lineage(struct shard *shard, struct archive_lineage *l)
{
    char name[ARCHIVE_NAME_MAX + 1], text[ARCHIVE_TEXT_MAX];
    int err = -EEXIST;

    for (l->number = 1; err == -EEXIST && archive_prefix(l->number, 1); l->number++) {
        archive_lineage_name(l->number, name);
        err = shard_put_if_absent(shard, name, text, archive_lineage_encode(l, text));
    }
    l->number--;
    return err;
}

int ship_begin_lineage(struct state *p, struct shard *shard, struct archive_lineage *l)
{
    store_id_of(p->id_key.secret, p->created, p->shared ? p->shared->node : 0, l->store);
    l->key = p->id_key;
    l->time = now(p);
    snprintf(l->label, sizeof l->label, "%s", p->label);
    return put_lineage(shard, l);
}

/* ---- adding ---- */

/* Makes the archive and the lineage at that place. */
static int prepare(struct state *p, const char *url, struct archive_format *format,
                   struct archive_lineage *l, char why[SHARD_WHY])
{
    struct shard *shard;
    int err = shard_open(url, 0, &shard, why);

    if (err < 0)
        return err;
    err = open_archive(shard, format, why);
    if (err == 0)
        err = ship_begin_lineage(p, shard, l);
    shard_close(shard);
    if (err < 0 && !*why)
        snprintf(why, SHARD_WHY, "%s", strerror(-err));
    return err;
}

int ship_begin_stream(struct state *p, uint16_t number)
{
    struct shards_info info;
    struct stream *s;
    int err = shards_info_get(p->shards, number, &info);

    if (err == 0)
        err = ship_make_stream(p, &info, &s);
    return err < 0 ? err : ship_run_stream(p, s);
}

/* The number of the place among the shards, if the store only reads there, as after a clone; else
 * 0. -EBUSY: it is in use already. */
static int find_reader(struct state *p, const char *url, uint16_t *ret, char why[SHARD_WHY])
{
    char normal[SHARD_URL_MAX + 1];
    struct shards_info info;
    int err = shard_normal_url(url, normal, why);

    *ret = 0;
    for (unsigned at = 0; err == 0 && shards_next(p->shards, at, &info) == 0; at = info.number) {
        if (strcmp(info.url, normal) != 0)
            continue;
        if (info.archive && !info.ships) {
            *ret = info.number;
            return 0;
        }
        snprintf(why, SHARD_WHY,
                 info.archive ? "the store ships there already" : "that is shard %u", info.number);
        err = -EBUSY;
    }
    return err;
}

/* The store was made of another lineage. */
static int name_parent(struct state *p, uint16_t number, struct archive_lineage *l)
{
    struct shards_info info;
    int err = shards_info_get(p->shards, number, &info);

    l->why = ARCHIVE_CLONE;
    l->parent = err == 0 ? info.lineage : 0;
    return err;
}

/* An archive that had the number may have left rows, as of what came home from it in its last
 * moments. They would say that the new one has contents which it lacks. */
static int forget_rows(struct state *p, uint16_t number)
{
    int err;
    {
        READ_GUARD(&p->freeze_lock);
        err = archived_drop(p->archived, number);
    }
    return err < 0 ? err : flush_now(p);
}

/* The store was made of the parent, and names what that has. If no pin of this store says so, since
 * it had no right to put one, one says now that all of the parent is needed. */
static int pin_parent(struct state *p, uint16_t number, uint32_t parent, char why[SHARD_WHY])
{
    struct archive_pin pin = {.lineage = parent, .time = now(p), .who = "archive add"};
    struct archive_pins pins;
    bool pinned = false;
    struct shard *shard;
    int err = shards_get(p->shards, number, SHARDS_READ, &shard, NULL);

    if (err < 0)
        return err;
    store_id_of(p->id_key.secret, p->created, p->shared ? p->shared->node : 0, pin.store);
    err = archive_pins_read(shard, &pins);
    for (size_t i = 0; err == 0 && i < pins.count; i++)
        pinned |= pins.v[i].lineage == parent &&
                  memcmp(pins.v[i].store, pin.store, sizeof pin.store) == 0;
    if (err == 0)
        free(pins.v);
    if (err == 0 && !pinned)
        err = archive_pin_put(shard, &pin);
    err = shards_said(p->shards, number, err);
    shards_put_back(p->shards, number);
    if (err < 0)
        snprintf(why, SHARD_WHY, "no pin can be put there: %s", strerror(-err));
    return err;
}

/* Ships to the archive from now on. `number`: the store reads there already; 0: it gets a new
 * one. */
static int begin_shipping(struct state *p, const char *url, const struct archive_format *format,
                          const struct archive_lineage *l, uint16_t *number, char why[SHARD_WHY])
{
    int err;

    if (*number) {
        err = shards_set_lineage(p->shards, *number, l->number);
    } else {
        *number = shards_free_number(p->shards);
        err = forget_rows(p, *number);
        if (err == 0)
            err = shards_add_archive(p->shards, *number, url, format->id, l->number, true, why);
    }
    return err < 0 ? err : ship_begin_stream(p, *number);
}

static int register_stream(struct state *p, const char *url, const struct archive_format *format,
                           const struct archive_lineage *l, uint16_t *number, char why[SHARD_WHY])
{
    WRITE_GUARD(&p->ship->lock);

    mutex_held(&p->ship->change);
    if (p->ship->count == SHIP_MAX) {
        snprintf(why, SHARD_WHY, "a store has at most %d archives", SHIP_MAX);
        return -EMFILE;
    }
    return begin_shipping(p, url, format, l, number, why);
}

int ship_honour_parent(struct state *p, uint16_t number, const struct shards_info *info,
                       char why[SHARD_WHY])
{
    struct shard *shard;
    struct honour h;
    int err = shards_get(p->shards, number, SHARDS_READ, &shard, NULL);

    if (err == 0) {
        err = ship_honour_look(p, number, info->lineage, info->seen, shard, &h);
        if (err >= 0)
            err = ship_honour(p, number, &h, shard, NULL);
        err = shards_said(p->shards, number, err);
        shards_put_back(p->shards, number);
    }
    if (err < 0)
        snprintf(why, SHARD_WHY, "what was given up there cannot be read: %s", strerror(-err));
    return err;
}

int ship_add(struct state *p, const char *url, uint16_t *ret_number, char why[SHARD_WHY])
{
    struct archive_lineage l = {.why = ARCHIVE_INIT};
    struct archive_format format;
    struct shards_info info;
    int err = state_writable(p);
    MUTEX_GUARD(&p->ship->change);

    *why = '\0';
    if (err == 0 && atomic_load(&p->follows)) {
        snprintf(why, SHARD_WHY, "a follower ships nothing: `promote` makes it a store as others");
        err = -EROFS;
    }
    if (err == 0)
        err = find_reader(p, url, ret_number, why);
    if (err == 0 && *ret_number)
        err = name_parent(p, *ret_number, &l);
    if (err == 0 && *ret_number)
        err = pin_parent(p, *ret_number, l.parent, why);
    if (err == 0)
        err = prepare(p, url, &format, &l, why);
    if (err == 0 && *ret_number)
        err = shards_info_get(p->shards, *ret_number, &info);
    if (err == 0 && *ret_number)
        err = ship_honour_parent(p, *ret_number, &info, why);
    return err < 0 ? err : register_stream(p, url, &format, &l, ret_number, why);
}

/* ---- removing ---- */

/* Drops the points of an archive. */
static int drop_points(struct state *p, uint16_t number)
{
    struct ns_point note;
    struct ns *point;
    uint32_t at = 0;
    int err = 0;

    while (err == 0 && ns_point_next(p, at, &point, &note) == 0) {
        at = point->number;
        if (note.archive == number) {
            TXN(t);

            err = txn_begin_alone(p, 0, &t);
            if (err == 0)
                err = ns_point_drop(&t, point);
        }
        ns_put(p, point);
    }
    flush_kick_drops(p);
    return err;
}

static int no_archive(uint16_t number, char why[SHARD_WHY])
{
    snprintf(why, SHARD_WHY, "the store has no archive %u", number);
    return -ENXIO;
}

/* Ends the stream to an archive, if there is one: the store only reads there from then on. */
static void end_stream(struct state *p, uint16_t number)
{
    struct stream *s;
    {
        WRITE_GUARD(&p->ship->lock);
        s = ship_take_stream(p, number);
    }
    if (s)
        ship_end_stream(s, false);
}

/* Begins it again, after something failed. */
static int resume(struct state *p, uint16_t number, int err)
{
    WRITE_GUARD(&p->ship->lock);
    int again = ship_stream(p, number) ? 0 : ship_begin_stream(p, number);

    if (again < 0)
        report(REPORT_WARN, "archive %u: nothing is shipped there before the next mount (%s)",
               number, strerror(-again));
    return err;
}

/* Is anything of the store only there? */
static int check_ghosts(struct state *p, uint16_t number, char why[SHARD_WHY])
{
    uint64_t count = 0, bytes = 0;
    int err = refs_ghosts_on(p->refs, number, &count, &bytes);

    if (err < 0 || count == 0)
        return err;
    snprintf(why, SHARD_WHY,
             "%llu objects of restored namespaces are only there: `recall` them, or drop these "
             "namespaces",
             (unsigned long long)count);
    return -EBUSY;
}

/* Does a namespace go there alone? It would go nowhere, and nobody would be told. */
static int check_alone(struct state *p, const char *url, char why[SHARD_WHY])
{
    char only[SHARD_URL_MAX + 1];
    uint32_t at = 0;
    struct ns *ns;
    int err = 0;

    while (err == 0 && ns_next_number(p, at, &ns) == 0) {
        at = ns->number;
        if (!ns_is_hidden(p, ns) && ship_mode_of(p, ns, only) == SHIP_MODE_ASYNC &&
            strcmp(only, url) == 0) {
            READ_GUARD(&p->names.lock);
            snprintf(why, SHARD_WHY,
                     "%.80s goes there alone: `set ns:%.80s.archive` to another value first",
                     ns->name, ns->name);
            err = -EBUSY;
        }
        ns_put(p, ns);
    }
    return err;
}

/* Forgets what the store knows of an archive. If the store ships there after all, it knows that the
 * instants of the archive are not here. */
static int forget(struct state *p, uint16_t number)
{
    int err = shards_note_gap(p->shards, number, true);

    if (err == 0)
        err = drop_points(p, number);
    if (err < 0)
        return err;
    READ_GUARD(&p->freeze_lock);

    return archived_drop(p->archived, number);
}

int ship_remove(struct state *p, uint16_t number, char why[SHARD_WHY])
{
    struct shards_info info;
    int err = state_writable(p);
    MUTEX_GUARD(&p->ship->change);

    *why = '\0';
    if (err == 0 && (shards_info_get(p->shards, number, &info) < 0 || !info.archive))
        return no_archive(number, why);
    if (err == 0 && info.follows) {
        snprintf(why, SHARD_WHY, "the store follows it");
        err = -EBUSY;
    }
    if (err == 0)
        err = check_ghosts(p, number, why);
    if (err == 0)
        err = check_alone(p, info.url, why);
    if (err < 0)
        return err;
    end_stream(p, number);
    err = forget(p, number);
    if (err == 0)
        err = flush_now(p); /* no commit has a row of an archive that is not there */
    if (err == 0)
        err = check_ghosts(p, number, why); /* a restore may have ended meanwhile; one that runs
                                             * keeps the archive in use */
    if (err == 0)
        err = shards_remove(p->shards, number, why);
    return err < 0 && info.ships ? resume(p, number, err) : err;
}

/* ---- another lineage ---- */

/* Puts the new lineage. It needs the archive. */
static int put_fork(struct state *p, uint16_t number, struct archive_lineage *l,
                    char why[SHARD_WHY])
{
    struct shard *shard;
    int err = shards_get(p->shards, number, SHARDS_READ, &shard, NULL);

    if (err < 0)
        snprintf(why, SHARD_WHY, "the archive cannot be reached: %s", strerror(-err));
    if (err < 0)
        return err;
    err = shards_said(p->shards, number, ship_begin_lineage(p, shard, l));
    shards_put_back(p->shards, number);
    if (err < 0)
        snprintf(why, SHARD_WHY, "no lineage can be made there: %s", strerror(-err));
    return err;
}

int ship_fork(struct state *p, uint16_t number, uint32_t *ret_lineage, char why[SHARD_WHY])
{
    struct archive_lineage l = {.why = ARCHIVE_FORK};
    struct shards_info info;
    int err = state_writable(p);
    MUTEX_GUARD(&p->ship->change);

    *why = '\0';
    if (err == 0 && (shards_info_get(p->shards, number, &info) < 0 || !info.ships))
        return no_archive(number, why);
    l.parent = info.lineage;
    if (err == 0)
        err = put_fork(p, number, &l, why);
    if (err < 0)
        return err;
    end_stream(p, number);
    err = ship_honour_parent(p, number, &info, why);
    if (err < 0)
        return resume(p, number, err);
    err = shards_set_lineage(p->shards, number, l.number); /* the first join drops the points: the
                                                            * lineage is empty */
    *ret_lineage = l.number;
    return resume(p, number, err);
}
