// SPDX-License-Identifier: Apache-2.0
/*
 * sweep_ask: asks the shards for a batch of ghosts, in the order of shards and packs. Of a pack it
 * asks for the last record alone. A pack that has it has all records before it; if it is missing,
 * the size of the pack says which of the others are there.
 *
 * Up to `shard_parallel` questions are under way, each asked by a thread of a crew. What follows
 * from an answer is done by the sweep's own thread.
 *
 * No hold is taken. Bytes are deleted only after the entry was removed, or names another place, and
 * that is committed. So after a denial the entry is read again, and the denial counts only if the
 * entry has not changed.
 */
#include "sweep_impl.h"
#include <errno.h>
#include <stdlib.h>

#define MOVES_MAX 8 /* moves of one ghost while it is asked for */

/* By shard, then kind, pack and offset: so the records of a pack are neighbours, the last one at
 * the end. */
static int by_place(const void *a, const void *b)
{
    const struct entry *x = &((const struct sweep_ghost *)a)->e;
    const struct entry *y = &((const struct sweep_ghost *)b)->e;

    if (x->shard != y->shard)
        return x->shard < y->shard ? -1 : 1;
    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    if (x->where != y->where)
        return x->where < y->where ? -1 : 1;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* In a thread of the crew, which changes nothing but the question. */
static void ask(struct crew_piece *piece)
{
    struct sweep_question *q = (struct sweep_question *)piece;

    q->answer = objects_ask(q->p->objects, &q->e, &q->size);
}

int sweep_ask_begin(struct sweep *s)
{
    for (size_t i = 0; i < CREW_MAX; i++) {
        s->question[i].next = s->free;
        s->free = &s->question[i];
    }
    return crew_open(ask, &s->crew);
}

void sweep_ask_end(struct sweep *s)
{
    crew_close(s->crew);
}

bool sweep_is_there(struct sweep *s, struct sweep_ghost *g)
{
    struct entry e;
    int err = refs_entry(s->p->refs, g->number, false, NULL, &e);

    if (err < 0 || !entry_is_ghost(&e)) {
        g->reason = SWEEP_CHANGED;
        return false;
    }
    g->e.count = e.count;
    if (e.count == 0) {
        g->reason = SWEEP_ZERO;
        return false;
    }
    if (entry_same_place(&e, &g->e))
        return true;
    g->e = e;
    g->reason = SWEEP_MOVED;
    return false;
}

/* A ghost whose age is negative, because the clock was set back, counts as young. */
static bool is_young(struct sweep *s, const struct entry *e)
{
    int64_t age = sweep_now_ms(s) - (int64_t)e->created;

    return age < settings_get(&s->p->settings, SET_GRACE_PERIOD) / NSEC_PER_MSEC;
}

/* The shard has denied the ghost: reads its entry again, and asks at its new place if it has moved,
 * MOVES_MAX times at most. */
static int look_again(struct sweep *s, struct sweep_ghost *g)
{
    uint64_t size;
    int answer;

    for (unsigned moves = 0; !sweep_is_there(s, g); moves++) {
        if (g->reason != SWEEP_MOVED || moves == MOVES_MAX)
            return 0;
        answer = objects_ask(s->p->objects, &g->e, &size);
        if (answer != 0) {
            g->reason = answer > 0 ? SWEEP_HERE : SWEEP_UNREACHABLE;
            return answer == -ENOMEM ? answer : 0;
        }
    }
    g->reason = is_young(s, &g->e) ? SWEEP_YOUNG : SWEEP_DENIED_YET;
    return 0;
}

/* ---- a pack, or a file ---- */

/* Gives `count` ghosts the answer of the shard: 1: kept, 0: denied, < 0: it cannot be asked. */
static int settle(struct sweep *s, struct sweep_ghost *v, size_t count, int answer)
{
    int err = 0;

    for (size_t i = 0; i < count && err == 0; i++) {
        v[i].reason = answer > 0 ? SWEEP_HERE : SWEEP_UNREACHABLE;
        if (answer == 0)
            err = look_again(s, &v[i]);
    }
    return err;
}

/* Takes the answer for the ghosts of one pack, or of one file. An error of this process, and not of
 * the shard, is returned and ends the sweep. */
static int take_answer(struct sweep *s, const struct sweep_question *q)
{
    int err = 0;

    if (q->answer == -ENOMEM)
        return -ENOMEM;
    if (q->answer != 0)
        return settle(s, q->v, q->count, q->answer);
    for (size_t i = 0; i < q->count && err == 0; i++)
        err = settle(s, q->v + i, 1, objects_pack_has(q->size, &q->v[i].e));
    return err;
}

static bool same_file(const struct entry *a, const struct entry *b)
{
    return a->kind == b->kind && a->where == b->where &&
           (a->kind == ENTRY_PACK || id_equal(&a->id, &b->id));
}

/* ---- a shard ---- */

/* Waits for an answer and takes it. *silent becomes the answer of a shard that cannot be asked. */
static int take_one(struct sweep *s, int *silent)
{
    struct sweep_question *q = (struct sweep_question *)crew_take(s->crew, true);
    int err = take_answer(s, q);

    if (q->answer == -EHOSTUNREACH || q->answer == -ENXIO)
        *silent = q->answer;
    q->next = s->free;
    s->free = q;
    return err;
}

/* Waits until fewer than `most` questions are under way. After an error the answers are not
 * needed. */
static int take_down_to(struct sweep *s, unsigned most, int *silent)
{
    int end, err = 0;

    while (crew_under_way(s->crew) >= most) {
        end = take_one(s, silent);
        err = err < 0 ? err : end;
    }
    return err;
}

/* Asks for the ghosts of one pack, or of one file, as soon as there may be one more question. Once
 * the shard cannot be asked it is not asked. */
static int ask_for(struct sweep *s, struct sweep_ghost *v, size_t count, int *silent)
{
    unsigned most = (unsigned)settings_get(&s->p->settings, SET_SHARD_PARALLEL);
    int err = take_down_to(s, most, silent);
    struct sweep_question *q = s->free;

    if (err < 0 || *silent)
        return err < 0 ? err : settle(s, v, count, *silent);
    s->free = q->next;
    *q = (struct sweep_question){.p = s->p, .v = v, .count = count, .e = v[count - 1].e};
    crew_give(s->crew, &q->piece, most);
    return most == 1 ? take_one(s, silent) : 0;
}

/* Asks for all ghosts of one shard. Once the shard cannot be asked, the rest of this batch is not
 * asked for. */
static int ask_shard(struct sweep *s, struct sweep_ghost *v, size_t count)
{
    int end, silent = 0, err = 0;

    for (size_t i = 0, n; i < count && err == 0; i += n) {
        for (n = 1; i + n < count && same_file(&v[i].e, &v[i + n].e);)
            n++;
        err = ask_for(s, v + i, n, &silent);
        if (err == 0)
            err = sweep_spend(s, n);
    }
    end = take_down_to(s, 1, &silent);
    return err < 0 ? err : end;
}

int sweep_ask(struct sweep *s)
{
    size_t zeros = 0;
    int err = 0;

    for (size_t i = 0; i < s->count; i++) /* those with count 0 go to the front */
        if (s->v[i].e.count == 0) {
            struct sweep_ghost g = s->v[i];
            s->v[i] = s->v[zeros];
            g.reason = SWEEP_ZERO;
            s->v[zeros++] = g;
        }
    qsort(s->v + zeros, s->count - zeros, sizeof *s->v, by_place);
    if (zeros)
        err = sweep_spend(s, zeros);
    for (size_t i = zeros, n; i < s->count && err == 0; i += n) {
        for (n = 1; i + n < s->count && s->v[i].e.shard == s->v[i + n].e.shard;)
            n++;
        err = ask_shard(s, s->v + i, n);
    }
    return err;
}
