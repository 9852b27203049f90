// SPDX-License-Identifier: Apache-2.0
/* chain_model_check: what must hold in each world of chain_model, and which were seen. */
#include "chain_model.h"
#include "id.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EPOCHS_MAX 16

/* What stands in an epoch. */
struct epoch {
    bool claimed;
    uint64_t segments, ends, last; /* `last`: the highest serial */
};

static void summarise(const struct world *w, struct epoch v[EPOCHS_MAX])
{
    memset(v, 0, EPOCHS_MAX * sizeof *v);
    for (unsigned i = 0; i < w->things; i++) {
        struct sort s = sort_of(w->thing[i]);

        if (s.pos.epoch >= EPOCHS_MAX)
            fail("there are too many epochs");
        struct epoch *e = &v[s.pos.epoch];

        e->claimed |= s.is == IS_CLAIM;
        e->segments += s.is == IS_SEGMENT;
        e->ends += s.is == IS_END;
        e->last = s.pos.serial > e->last ? s.pos.serial : e->last;
    }
}

void check_put(const struct world *w, struct thing t)
{
    struct epoch v[EPOCHS_MAX];
    struct sort s = sort_of(t);
    const struct epoch *e = &v[s.pos.epoch];

    summarise(w, v);
    if (s.is == IS_CLAIM && s.pos.epoch > 1 && !v[s.pos.epoch - 1].claimed)
        fail("a claim leaves a gap");
    if (s.is == IS_CLAIM)
        return;
    if (!e->claimed)
        fail("something is put into an epoch that nobody claims");
    if (e->ends > 0)
        fail("something is put behind a terminator");
    if (s.pos.serial != e->last + 1)
        fail("a serial leaves a gap");
    for (uint64_t before = 1; s.is == IS_SEGMENT && before < s.pos.epoch; before++)
        if (v[before].ends == 0)
            fail("a segment is put while an earlier epoch is open");
}

/* At a claim, and as long as it is remembered: what is before it cannot change any more. */
void check_claim(uint64_t epoch, struct segment_pos end)
{
    struct epoch v[EPOCHS_MAX];
    struct segment_pos last = {0};

    summarise(run.world, v);
    for (uint64_t before = 1; before < epoch; before++) {
        if (v[before].ends == 0 && !rule_off) /* the harm comes later */
            fail("a claim is done while an earlier epoch is open");
        if (v[before].segments > 0)
            last = (struct segment_pos){before, v[before].segments};
    }
    if (!rule_off && (last.epoch != end.epoch || last.serial != end.serial))
        fail("a claim is told another end than that of the history");
}

/* ---- reading ---- */

static bool is_acknowledged(const struct actor *a, struct segment_pos pos, const char *bytes,
                            size_t len)
{
    struct world probe = {0};

    run.world = &probe;
    acknowledge(0, pos, bytes, len);
    for (unsigned i = 0; i < a->acks; i++)
        if (memcmp(&a->ack[i], &probe.actor[0].ack[0], sizeof(struct thing)) == 0)
            return true;
    return false;
}

void check_world(struct world *w, unsigned actors)
{
    struct segment_pos pos = {0}, end = {0}, last;
    unsigned acks = 0, found = 0, segments = 0;
    void *bytes;
    ssize_t n;

    run = (struct run){.world = w, .looks = true};
    while ((n = chain_next(NULL, LINEAGE, &pos, &bytes)) > 0) {
        for (unsigned i = 0; i < actors; i++)
            found += is_acknowledged(&w->actor[i], pos, bytes, (size_t)n);
        run.world = w;
        free(bytes);
        end = pos;
        segments++;
    }
    if (n != -ENOENT)
        fail("the history cannot be read");
    for (unsigned i = 0; i < actors; i++)
        acks += w->actor[i].acks;
    if (found != acks)
        fail("a segment whose put was told 0 is not in the history");
    if (chain_last(NULL, LINEAGE, (struct segment_pos){0}, &last) < 0 || last.epoch != end.epoch ||
        last.serial != end.serial)
        fail("chain_last finds another segment than the last one");
    for (unsigned i = 0; i < w->things; i++)
        segments -= sort_of(w->thing[i]).is == IS_SEGMENT;
    if (segments != 0)
        fail("there is a segment that nobody reads");
}

/* ---- states that were seen ---- */

struct state {
    uint64_t hash[2]; /* both 0: none */
    double schedules;
};

static struct {
    struct state *v;
    uint64_t count, room;
} seen;

uint64_t seen_count(void)
{
    return seen.count;
}

void seen_clear(void)
{
    seen_free();
    seen.room = 1 << 12;
    seen.v = calloc(seen.room, sizeof *seen.v);
    if (!seen.v)
        abort();
}

void seen_free(void)
{
    free(seen.v);
    memset(&seen, 0, sizeof seen);
}

static struct state *place_of(const uint64_t hash[2])
{
    uint64_t i = hash[0] & (seen.room - 1);

    while ((seen.v[i].hash[0] || seen.v[i].hash[1]) &&
           memcmp(seen.v[i].hash, hash, sizeof seen.v[i].hash) != 0)
        i = (i + 1) & (seen.room - 1);
    return &seen.v[i];
}

static void grow(void)
{
    struct state *old = seen.v;
    uint64_t room = seen.room;

    seen.room *= 2;
    seen.v = calloc(seen.room, sizeof *seen.v);
    if (!seen.v)
        abort();
    for (uint64_t i = 0; i < room; i++)
        if (old[i].hash[0] || old[i].hash[1])
            *place_of(old[i].hash) = old[i];
    free(old);
}

static void add(uint8_t *bytes, size_t *len, const void *more, size_t n)
{
    memcpy(bytes + *len, more, n);
    *len += n;
}

/* The bytes of which a state consists; puts that are under way in order of their names. */
static size_t bytes_of(const struct world *w, unsigned actors, bool whole, uint8_t bytes[sizeof *w])
{
    struct thing late[LATES_MAX] = {0};
    size_t len = 0;

    memcpy(late, w->late, w->lates * sizeof *late);
    if (w->lates == 2 && memcmp(&late[0], &late[1], sizeof *late) > 0) {
        late[0] = w->late[1];
        late[1] = w->late[0];
    }
    add(bytes, &len, &w->things, 1);
    add(bytes, &len, &w->lates, 1);
    add(bytes, &len, &w->faults, 1);
    add(bytes, &len, w->thing, w->things * sizeof *w->thing);
    add(bytes, &len, late, w->lates * sizeof *late);
    for (unsigned i = 0; i < actors; i++) {
        const struct actor *a = &w->actor[i];
        struct known known = a->known; /* bytes alone, without padding */
        unsigned from = whole ? 0 : known.answers, since = a->answers - from;

        known.answers = (uint8_t)since;
        add(bytes, &len, &known, sizeof known);
        add(bytes, &len, &a->answer[from], since * sizeof *a->answer);
    }
    return len;
}

double *seen_find(const struct world *w, unsigned actors, bool whole)
{
    uint8_t bytes[sizeof *w];
    size_t len = bytes_of(w, actors, whole, bytes);
    uint64_t hash[2] = {id_checksum(bytes, len, 1), id_checksum(bytes, len, 2)};
    struct state *s;

    if (seen.count * 2 >= seen.room)
        grow();
    s = place_of(hash);
    if (!s->hash[0] && !s->hash[1]) {
        memcpy(s->hash, hash, sizeof s->hash);
        seen.count++;
    }
    return &s->schedules;
}
