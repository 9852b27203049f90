// SPDX-License-Identifier: Apache-2.0
/*
 * control_durable: the verbs that say, or wait for, how far the archives of the store are: durable,
 * and `drain archive`.
 */
#include "archive_last.h"
#include "control_impl.h"
#include "flush.h"
#include "shards.h"
#include "ship.h"
#include <errno.h>
#include <string.h>

#define U(x) ((unsigned long long)(x))

/* ---- drain archive ---- */

static int not_drained(struct call *call, const struct ship_stats *s, int err)
{
    if (err == -EKEYREVOKED)
        return control_fail_word(call, -EIO,
                                 "the archive %s is refused: `archive status` says why, and "
                                 "`archive fork` and `archive remove` are the ways on",
                                 s->url);
    if (err == -ETIMEDOUT)
        return control_fail_word(call, err,
                                 "the archive %s does not have all changes yet: `archive status` "
                                 "says why",
                                 s->url);
    return err;
}

/* drain archive [DUR]: until every archive has what was changed before. */
int control_drain_archive(struct call *call)
{
    const uint64_t seq = state_seq(call->p);
    const int64_t start = ticks(call->p);
    int64_t most = -1, left;
    struct ship_stats s;
    unsigned count = 0;
    int err = 0;

    if (call->c->nargs > 1 && control_duration(call, control_arg(call, 1), &most) < 0)
        return -EINVAL;
    ship_kick(call->p);
    for (unsigned at = 0; err == 0 && ship_next(call->p, at, &s) == 0; at = s.archive, count++) {
        left = most < 0 ? -1 : most - (ticks(call->p) - start);
        err =
            ship_wait(call->p, s.archive, seq, most >= 0 && left < 0 ? 0 : left, call->interrupted);
        err = err == -ENXIO ? 0 : not_drained(call, &s, err); /* ENXIO: it was removed meanwhile */
    }
    if (err == 0 && count == 0)
        return control_fail(call, -ENOENT, "the store ships to no archive");
    if (err == 0)
        strbuf_addf(&call->head, " archives=%u seq=%llu waited_ms=%llu", count, U(seq),
                    U((ticks(call->p) - start) / NSEC_PER_MSEC));
    return err;
}

/* ---- durable ---- */

static void begin_line(struct call *call, uint16_t number, const char *url)
{
    strbuf_addf(&call->lines, "| archive=%u url=", number);
    command_add_word(&call->lines, url);
}

/* What is known here of an archive: of all, or with `ns` of a namespace. */
static void add_known(struct call *call, const struct ship_stats *s, struct ns *ns)
{
    begin_line(call, s->archive, s->url);
    if (ns) {
        const struct ship_mark m = ship_mark(call->p, s->archive, ns);

        strbuf_addf(&call->lines, " seq=%llu behind=%d%s\n", U(m.seq), !m.off && m.seq < m.last,
                    m.off ? " off=1" : "");
        return;
    }
    strbuf_addf(&call->lines, " seq=%llu behind=%d time=", U(s->seq), s->behind);
    strbuf_add_time(&call->lines, s->time);
    strbuf_adds(&call->lines, "\n");
}

/* Asks an archive itself. One that cannot be asked has a line that says why. */
static void add_asked(struct call *call, const struct shards_info *info, const char *name)
{
    CLEANUP_STRBUF struct strbuf why = STRBUF_INIT;
    struct archive_last last;
    int err = archive_last(call->p, info->number, name, call->interrupted, &last, &why);

    begin_line(call, info->number, info->url);
    strbuf_addf(&call->lines, " lineage=%u seq=%llu", info->lineage, err < 0 ? 0 : U(last.seq));
    if (err < 0) {
        strbuf_adds(&call->lines, " why=");
        command_add_word(&call->lines, why.len ? why.s : strerror(-err));
    } else {
        strbuf_addf(&call->lines, " segment=%llu-%llu time=", U(last.at.epoch), U(last.at.serial));
        strbuf_add_time(&call->lines, last.time);
    }
    strbuf_adds(&call->lines, "\n");
}

static void add_archives(struct call *call, struct ns *ns, const char *name, bool ask)
{
    struct shards_info info;
    struct ship_stats s;

    for (unsigned at = 0; !ask && ship_next(call->p, at, &s) == 0; at = s.archive)
        add_known(call, &s, ns);
    for (unsigned at = 0; ask && shards_next(call->p->shards, at, &info) == 0; at = info.number)
        if (info.archive)
            add_asked(call, &info, name);
}

static uint64_t last_change(struct ns *ns)
{
    READ_GUARD(&ns->lock);

    return ns->seq;
}

/* durable [NS] [archive] */
int control_durable(struct call *call)
{
    const size_t n = call->c->nargs;
    const bool ask = n > 0 && control_is_keyword(call, n - 1, "archive");
    const char *name = n > ask ? control_arg(call, 0) : NULL;
    uint64_t last, durable;
    struct ns *ns = NULL;
    int err = n > 1u + ask ? control_misuse(call, "durable [NS] [archive]") : 0;

    if (err == 0 && ask)
        err = control_archive_rights(call);
    if (err == 0 && name)
        err = control_find_ns(call, name, &ns);
    if (err < 0)
        return err;
    last = ns ? last_change(ns) : state_seq(call->p);
    durable = flush_durable(call->p);
    strbuf_addf(&call->head, " seq=%llu durable=%llu", U(last), U(durable < last ? durable : last));
    add_archives(call, ns, name, ask);
    if (ns)
        ns_put(call->p, ns);
    return 0;
}
