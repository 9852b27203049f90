// SPDX-License-Identifier: Apache-2.0
/*
 * pool_lease: see the header. A beat replaces the file of its term. The node that took the next
 * term may have removed that file, so a late beat may create it again. This does no harm: the old
 * term is below the newest one, and nobody reads it.
 */
#include "pool_lease.h"

#include "pool_file.h"
#include <errno.h>

#define DIR_NAME "lease"

/* Read one term. A damaged file gives a term of an unknown node (node 0) that does not beat. */
static int read_term(struct disk *disk, uint64_t term, struct pool_term *ret)
{
    char name[DISK_NAME_MAX + 1], text[POOL_TEXT_MAX];
    size_t len;

    pool_file_numbered(DIR_NAME, term, name);
    int err = pool_file_get(disk, name, text, sizeof text, &len);

    if (err == 0)
        err = pool_term_decode(text, len, term, ret);
    if (err == -EUCLEAN || err == -EPROTO) {
        *ret = (struct pool_term){.term = term};
        err = 0;
    }
    return err;
}

/* The newest term from `from` on; term 0: there is none. */
static int read_newest(struct disk *disk, uint64_t from, struct pool_term *ret)
{
    uint64_t term;
    int err = pool_file_newest(disk, DIR_NAME, from, &term);

    if (err == 0 && term > 0)
        err = read_term(disk, term, ret);
    else if (err == 0)
        *ret = (struct pool_term){0};
    if (err == -ENOENT) /* removed since it was listed: another node took a newer one */
        *ret = (struct pool_term){.term = term};
    return err == -ENOENT ? 0 : err;
}

static int write_term(struct disk *disk, const struct pool_term *t, enum pool_put how)
{
    char name[DISK_NAME_MAX + 1], text[POOL_TEXT_MAX];

    pool_file_numbered(DIR_NAME, t->term, name);
    return pool_file_put(disk, t->node, name, text, pool_term_encode(t, text), how);
}

/* May the next term be taken without waiting? Yes if nobody has the lease, or if an incarnation of
 * this very node has it that is dead by now. */
static bool is_free(const struct pool_term *t, unsigned node, uint32_t incarnation)
{
    return t->term == 0 || t->released || (t->node == node && t->incarnation <= incarnation);
}

/* Has the beat of term t stood still for LEASE_PATIENCE, by the clock of this process? Notes in *l
 * what was seen and when. */
static bool is_dead(struct lease *l, const struct pool_term *t, int64_t now)
{
    bool same = l->seen.term == t->term && l->seen.beat == t->beat && l->seen.node == t->node;

    if (!same)
        l->seen_at = now;
    l->seen = *t;
    return now - l->seen_at >= LEASE_PATIENCE;
}

/* Take that term by creating its file, which only one node can do. Then remove the older terms. */
static int take_next(struct disk *disk, uint64_t term, unsigned node, uint32_t incarnation,
                     struct lease *l)
{
    struct pool_term t = {.term = term, .node = node, .incarnation = incarnation, .beat = 1};
    int err = term ? write_term(disk, &t, POOL_PUT) : -EOVERFLOW; /* no member counts that far */

    if (err < 0)
        return err == -EEXIST ? -EBUSY : err;
    l->own = t;
    pool_file_prune(disk, DIR_NAME, term);
    return 0;
}

int lease_take(struct disk *disk, const struct clock *clock, unsigned node, uint32_t incarnation,
               struct lease *l)
{
    struct pool_term t;
    int err = read_newest(disk, l->own.term > l->seen.term ? l->own.term : l->seen.term, &t);

    if (err < 0)
        return err;
    if (l->own.term && l->own.term == t.term)
        return 0;
    l->own = (struct pool_term){0};
    bool dead = is_dead(l, &t, clock_ticks(clock));

    if (!dead && !is_free(&t, node, incarnation))
        return -EBUSY;
    return take_next(disk, t.term + 1, node, incarnation, l);
}

static void lose(struct lease *l)
{
    l->own = (struct pool_term){0};
}

int lease_beat(struct disk *disk, struct lease *l)
{
    uint64_t newest;

    if (l->own.term == 0)
        return -ESTALE;
    int err = pool_file_newest(disk, DIR_NAME, l->own.term, &newest);

    if (err < 0)
        return err;
    if (newest != l->own.term) {
        lose(l);
        return -ESTALE;
    }
    l->own.beat++;
    return write_term(disk, &l->own, POOL_REPLACE);
}

int lease_release(struct disk *disk, struct lease *l)
{
    struct pool_term t = l->own;

    if (t.term == 0)
        return 0;
    lose(l);
    t.released = true;
    return write_term(disk, &t, POOL_REPLACE);
}
