// SPDX-License-Identifier: Apache-2.0
/*
 * profile: see the header. A recording is a table with open addressing; rows never go.
 */
#include "profile.h"

#include "latency.h"
#include "lock.h"
#include "sender.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define SLOTS (2 * PROFILE_ROWS) /* a power of two */
#define SENDERS 256

struct recording {
    LIST_ENTRY(recording) next;
    size_t count;
    struct profile_row *slot[SLOTS]; /* NULL: free */
};

struct profile {
    const struct clock *clock;
    struct mutex lock; /* "profile" */
    _Atomic unsigned count;
    LIST_HEAD(, recording) recordings; /* guarded by: lock */
    struct sender senders[SENDERS];    /* guarded by: lock; by tid modulo SENDERS */
};

/* ---- who sends ---- */

static struct sender *place_of(struct profile *p, int32_t tid)
{
    return &p->senders[(uint32_t)tid % SENDERS];
}

/* Returns what is known of the thread, which is asked for first if that is too old. */
static struct sender find_sender(struct profile *p, int32_t tid)
{
    const int64_t now = clock_ticks(p->clock);
    struct sender s;

    {
        MUTEX_GUARD(&p->lock);
        s = *place_of(p, tid);
    }
    if (s.since != 0 && s.tid == tid && now - s.since < PROFILE_FRESH_NS)
        return s;
    s = sender_ask(tid, now);
    MUTEX_GUARD(&p->lock);
    return *place_of(p, tid) = s;
}

/* ---- rows ---- */

/* FNV-1a (Fowler, Noll, Vo) of the three parts of a row's key. */
static uint64_t hash_of(const char *program, uint32_t ns, uint32_t kind)
{
    const uint64_t prime = UINT64_C(0x100000001b3);
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (; *program; program++)
        h = (h ^ (uint8_t)*program) * prime;
    h = (h ^ ns) * prime;
    h = (h ^ kind) * prime;
    return h ^ h >> 32;
}

/* The slot of a row, or the free slot where it would be. There always is one, since at most half of
 * the slots and a row of PROFILE_OTHERS for each kind are in use. */
static struct profile_row **find_slot(struct recording *r, const char *program, uint32_t ns,
                                      uint32_t kind)
{
    size_t i = hash_of(program, ns, kind) % SLOTS;

    for (; r->slot[i]; i = (i + 1) % SLOTS) {
        const struct profile_row *row = r->slot[i];
        if (row->ns == ns && row->kind == kind && strcmp(row->program, program) == 0)
            break;
    }
    return &r->slot[i];
}

/* Finds or makes a row. NULL: there is no memory, or there are too many rows. */
static struct profile_row *get_row(struct recording *r, const char *program, int32_t pid,
                                   uint32_t ns, uint32_t kind)
{
    const bool others = ns == PROFILE_NO_NS; /* a program may have that name, too */
    struct profile_row **slot = find_slot(r, program, ns, kind);

    if (*slot || (r->count >= PROFILE_ROWS && !others))
        return *slot;
    *slot = calloc(1, sizeof **slot);
    if (!*slot)
        return NULL;
    r->count++;
    **slot = (struct profile_row){.pid = pid, .ns = ns, .kind = kind};
    snprintf((*slot)->program, sizeof(*slot)->program, "%s", program);
    return *slot;
}

static void note_in(struct recording *r, const struct sender *s, const struct profile_request *q)
{
    struct profile_row *row = get_row(r, s->program, s->pid, q->ns, q->kind);

    if (!row)
        row = get_row(r, PROFILE_OTHERS, 0, PROFILE_NO_NS, q->kind);
    if (!row)
        return; /* no memory: the request is missing in the recording */
    if (row->pid != s->pid)
        row->pid = 0;
    histogram_note(&row->took, q->took);
    if (q->took > 0 && (uint64_t)q->took > row->max_ns)
        row->max_ns = (uint64_t)q->took;
}

bool profile_records(const struct profile *p)
{
    return atomic_load_explicit(&p->count, memory_order_relaxed) > 0;
}

void profile_note(struct profile *p, const struct profile_request *r)
{
    struct recording *each;

    if (!profile_records(p) || r->kind >= LATENCY_KINDS)
        return;
    const struct sender s = find_sender(p, r->tid);
    MUTEX_GUARD(&p->lock);
    LIST_FOREACH(each, &p->recordings, next)
    note_in(each, &s, r);
}

/* ---- recordings ---- */

int profile_begin(struct profile *p, struct recording **ret)
{
    struct recording *r = calloc(1, sizeof *r);

    if (!r)
        return -ENOMEM;
    MUTEX_GUARD(&p->lock);
    if (atomic_load(&p->count) == PROFILE_RECORDINGS) {
        free(r);
        return -EBUSY;
    }
    LIST_INSERT_HEAD(&p->recordings, r, next);
    atomic_fetch_add(&p->count, 1);
    *ret = r;
    return 0;
}

void profile_end(struct profile *p, struct recording *r)
{
    MUTEX_GUARD(&p->lock);
    LIST_REMOVE(r, next);
    atomic_fetch_sub(&p->count, 1);
}

bool recording_next(const struct recording *r, size_t *at, const struct profile_row **ret)
{
    while (*at < SLOTS && !r->slot[*at])
        (*at)++;
    if (*at == SLOTS)
        return false;
    *ret = r->slot[(*at)++];
    return true;
}

void recording_free(struct recording *r)
{
    for (size_t i = 0; r && i < SLOTS; i++)
        free(r->slot[i]);
    free(r);
}

struct profile *profile_new(const struct clock *clock)
{
    struct profile *p = calloc(1, sizeof *p);

    if (!p)
        return NULL;
    p->clock = clock;
    mutex_init(&p->lock, "profile");
    return p;
}

void profile_free(struct profile *p)
{
    if (p)
        mutex_destroy(&p->lock);
    free(p);
}
