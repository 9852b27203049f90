// SPDX-License-Identifier: Apache-2.0
/*
 * shards: the set of them, who uses which, and their states.
 *
 * A thread that asks a shard about itself, or changes its record, first makes the slot of the shard
 * busy. Then it releases the lock, and no other thread asks or changes that shard meanwhile.
 * Readers of a shard that is known to be there never wait for this.
 */
#include "shards_impl.h"

#include "report.h"
#include "waits.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ns between two questions to an unreachable shard, and between two checks of its owner */
#define ASK_AGAIN NSEC_PER_SEC
#define WAIT_STEP (100 * NSEC_PER_MSEC) /* how often a thread that waits for a shard looks at it */

/* ---- slots ---- */

struct shards_slot *shards_find(struct shards *s, unsigned number)
{
    mutex_held(&s->lock);
    for (size_t i = 0; i < s->count; i++)
        if (s->slot[i]->number == number)
            return s->slot[i];
    return NULL;
}

/* Lends the shard to its disk for one call. */
static int lend(void *ctx, uint16_t number, struct shard **ret_shard)
{
    int err = shards_get(ctx, number, SHARDS_READ, ret_shard, NULL);

    return err == -ENXIO ? -EHOSTUNREACH : err;
}

/* All that the disk does is reading. If that is refused, the shard is recognised anew: that it may
 * not be written is not what was said. */
static int take_back(void *ctx, uint16_t number, int err)
{
    err = shards_said(ctx, number, err == -EACCES ? -EIO : err);
    shards_put_back(ctx, number);
    return err;
}

struct shards_slot *shards_make_slot(struct shards *s, uint16_t number)
{
    const struct shard_lender lender = {
        .lend = lend, .take_back = take_back, .ctx = s, .number = number};
    struct shards_slot *slot = calloc(1, sizeof *slot);

    if (slot && shard_disk_open(&lender, &slot->disk) == 0) {
        slot->number = number;
        slot->since = clock_now(s->clock);
        return slot;
    }
    free(slot);
    return NULL;
}

int shards_make_near(struct shards *s, struct shards_slot *slot, const char *url)
{
    struct shard_lender lender = {
        .lend = lend, .take_back = take_back, .ctx = s, .number = slot->number};

    if (!s->cache || !shard_is_far(url))
        return 0;
    lender.near = slot->cache = cache_near(s->cache);
    return shard_disk_open(&lender, &slot->near);
}

/* Put a slot into the set, by its number. Needs the lock, and room for it in s->slot. */
void shards_insert(struct shards *s, struct shards_slot *slot)
{
    size_t at = s->count;

    for (; at > 0 && s->slot[at - 1]->number > slot->number; at--)
        s->slot[at] = s->slot[at - 1];
    s->slot[at] = slot;
    s->count++;
}

void shards_take_out(struct shards *s, const struct shards_slot *slot)
{
    size_t at = 0;

    while (s->slot[at] != slot)
        at++;
    memmove(&s->slot[at], &s->slot[at + 1], (s->count - at - 1) * sizeof s->slot[0]);
    s->count--;
}

static void close_handles(struct shards_handle *h)
{
    for (struct shards_handle *next; h; h = next) {
        next = h->next;
        shard_close(h->shard);
        free(h);
    }
}

void shards_destroy_slot(struct shards_slot *slot)
{
    if (!slot)
        return;
    close_handles(slot->replaced);
    close_handles(slot->handle);
    disk_close(slot->disk);
    disk_close(slot->near);
    shard_meter_close(slot->meter);
    free(slot);
}

/* Takes out the handles that no caller uses any more. Needs the lock; the caller closes them after
 * it released the lock. */
static struct shards_handle *unused_handles(struct shards_slot *slot)
{
    struct shards_handle *h = slot->users ? NULL : slot->replaced;

    if (h)
        slot->replaced = NULL;
    return h;
}

/* Makes the slot of that number busy, once no other thread has it. Needs the lock, which is
 * released while it waits. NULL: there is no shard of that number. */
static struct shards_slot *make_busy(struct shards *s, unsigned number)
{
    struct shards_slot *slot;

    while ((slot = shards_find(s, number)) && slot->busy)
        cond_wait(&s->changed, &s->lock);
    if (slot)
        slot->busy = true;
    return slot;
}

void shards_end_busy(struct shards *s, struct shards_slot *slot)
{
    struct shards_handle *unused;

    {
        MUTEX_GUARD(&s->lock);
        slot->busy = false;
        unused = unused_handles(slot);
        cond_broadcast(&s->changed);
    }
    close_handles(unused);
}

struct shards_slot *shards_begin_busy(struct shards *s, unsigned number)
{
    MUTEX_GUARD(&s->lock);
    return make_busy(s, number);
}

/* ---- states ---- */

const char *shards_state_name(enum shards_state state)
{
    static const char *const names[] = {"new", "ok", "unreachable", "readonly", "wrong", "foreign"};

    return (size_t)state < sizeof names / sizeof names[0] ? names[state] : "?";
}

void shards_set_state(struct shards *s, struct shards_slot *slot, enum shards_state state,
                      const char *why)
{
    mutex_held(&s->lock);
    if (state == SHARDS_UNREACHABLE && shard_is_silent(slot->record.url, NULL))
        why = SHARD_SILENT;
    bool same = slot->state == state && strcmp(slot->why, why) == 0;

    if (slot->state != state)
        slot->since = clock_now(s->clock);
    bool expected =
        state == SHARDS_OK ? slot->state == SHARDS_NEW : state == SHARDS_READONLY && s->readonly;

    if (!same && !expected)
        report(state == SHARDS_OK ? REPORT_NOTE : REPORT_WARN, "%s %u is %s%s%.120s",
               slot->record.archive ? "archive" : "shard", slot->number, shards_state_name(state),
               *why ? ": " : "", why);
    slot->state = state;
    snprintf(slot->why, sizeof slot->why, "%s", why);
    cond_broadcast(&s->changed);
}

enum shards_state shards_state_of(struct shards *s, const struct shards_slot *slot)
{
    MUTEX_GUARD(&s->lock);
    return slot->state;
}

void shards_ask_busy(struct shards *s, struct shards_slot *slot)
{
    const int64_t begun = clock_ticks(s->clock);

    if (!slot->damaged)
        shards_ask(s, slot);
    MUTEX_GUARD(&s->lock);
    slot->asked = clock_ticks(s->clock);
    slot->took = slot->asked - begun;
}

/* ---- information about shards ---- */

static void get_info(const struct shards_slot *slot, struct shards_info *ret)
{
    memset(ret, 0, sizeof *ret);
    ret->number = slot->number;
    ret->state = slot->state;
    ret->draining = slot->record.draining && !slot->record.archive;
    ret->gap = slot->record.gap;
    ret->seen = slot->record.seen;
    ret->ships = slot->record.archive && !slot->record.draining;
    ret->follows = slot->record.follows;
    ret->archive = slot->record.archive;
    ret->lineage = slot->record.lineage;
    ret->drilled = slot->record.drilled;
    memcpy(ret->id, slot->record.id, sizeof ret->id);
    ret->since = slot->since;
    memcpy(ret->url, slot->record.url, sizeof ret->url);
    memcpy(ret->why, slot->why, sizeof ret->why);
    ret->space = slot->space;
    shard_meter_read(slot->meter, &ret->traffic);
}

int shards_next(struct shards *s, unsigned after, struct shards_info *ret)
{
    MUTEX_GUARD(&s->lock);
    for (size_t i = 0; i < s->count; i++)
        if (s->slot[i]->number > after) {
            get_info(s->slot[i], ret);
            return 0;
        }
    return -ENOENT;
}

int shards_info_get(struct shards *s, uint16_t number, struct shards_info *ret)
{
    MUTEX_GUARD(&s->lock);
    const struct shards_slot *slot = shards_find(s, number);

    if (!slot)
        return -ENXIO;
    get_info(slot, ret);
    return 0;
}

/* ---- using one ---- */

/* Must the shard be asked before it can be used that way? One that took long to say nothing is left
 * alone for as long: else each of many readers would wait for it, one after the other. Needs the
 * lock. */
static bool is_ask_due(const struct shards *s, const struct shards_slot *slot)
{
    int64_t rest = slot->took > ASK_AGAIN ? slot->took : ASK_AGAIN;

    if (slot->damaged || shards_is_readable(slot->state))
        return false;
    return slot->state == SHARDS_NEW || clock_ticks(s->clock) - slot->asked >= rest;
}

/* Is it time to check again that the shard still belongs to this copy of the store? */
static bool is_owner_due(const struct shards *s, const struct shards_slot *slot)
{
    return clock_ticks(s->clock) - slot->checked >= ASK_AGAIN;
}

/* Does the use depend on the fence of the shard? An archive has none. */
static bool needs_fence(const struct shards_slot *slot, enum shards_use use)
{
    return use == SHARDS_WRITE && slot->state == SHARDS_OK && !slot->record.archive;
}

/* May the shard be written? Needs the lock. */
static bool is_writable(const struct shards_slot *slot)
{
    return slot->state == SHARDS_OK && (!slot->record.archive || slot->allowed);
}

/* Asks a shard, takes its fence, or checks it, as its use requires. The slot is not busy. Needs the
 * lock, which is released meanwhile. *again: something was done, so the caller must look at the
 * state again. */
static int prepare(struct shards *s, struct shards_slot *slot, enum shards_use use, bool *again)
{
    int err = 0;
    bool ask = is_ask_due(s, slot);
    bool take = !ask && needs_fence(slot, use) && !slot->has_fence;
    bool check = !ask && needs_fence(slot, use) && slot->has_fence && is_owner_due(s, slot);

    *again = ask || take || check;
    if (!*again)
        return 0;
    slot->busy = true;
    mutex_unlock(&s->lock);
    if (ask)
        shards_ask_busy(s, slot);
    else
        err = take ? shards_take_fence(s, slot) : shards_check_owner(s, slot);
    shards_end_busy(s, slot);
    mutex_lock(&s->lock);
    return err;
}

/* Gives a shard to a user, if its state permits that use. */
static int hand_out(struct shards_slot *slot, enum shards_use use, struct shard **ret_shard,
                    struct disk **ret_disk)
{
    if (!shards_is_readable(slot->state))
        return -EHOSTUNREACH;
    if (use == SHARDS_WRITE && !is_writable(slot))
        return -EROFS;
    slot->users++;
    if (ret_shard)
        *ret_shard = slot->handle->shard;
    if (ret_disk)
        *ret_disk = slot->disk;
    return 0;
}

/* Lends the disk of a shard with its cache. False: there is none. */
static bool lend_near(struct shards *s, uint16_t number, struct disk **ret_disk)
{
    MUTEX_GUARD(&s->lock);
    struct shards_slot *slot = shards_find(s, number);

    if (!slot || slot->leaving || !slot->near)
        return false;
    slot->users++;
    *ret_disk = slot->near;
    return true;
}

bool shards_forget(struct shards *s, uint16_t number, const char *name)
{
    struct shard_near near;

    {
        MUTEX_GUARD(&s->lock);
        const struct shards_slot *slot = shards_find(s, number);

        if (!slot || !slot->near)
            return false;
        near = slot->cache;
    }
    return cache_forget(&near, name);
}

int shards_get(struct shards *s, uint16_t number, enum shards_use use, struct shard **ret_shard,
               struct disk **ret_disk)
{
    if (use == SHARDS_NEAR) {
        if (lend_near(s, number, ret_disk))
            return 0;
        use = SHARDS_READ;
    }
    MUTEX_GUARD(&s->lock);
    for (;;) {
        struct shards_slot *slot = shards_find(s, number);
        bool again;

        if (!slot || slot->leaving)
            return -ENXIO;
        if (use == SHARDS_READ && shards_is_readable(slot->state))
            return hand_out(slot, use, ret_shard, ret_disk);
        if (slot->busy && (slot->state == SHARDS_NEW || shards_is_readable(slot->state))) {
            WAITS_GUARD(WAITS_SHARD, "that is being opened", 0, NULL);
            cond_wait(&s->changed, &s->lock);
            continue;
        }
        if (slot->busy) /* another thread is asking the shard, which was unreachable */
            return -EHOSTUNREACH;
        int err = prepare(s, slot, use, &again);

        if (err < 0)
            return err;
        if (!again)
            return hand_out(slot, use, ret_shard, ret_disk);
    }
}

void shards_put_back(struct shards *s, uint16_t number)
{
    struct shards_handle *unused;

    {
        MUTEX_GUARD(&s->lock);
        struct shards_slot *slot = shards_find(s, number);

        slot->users--;
        unused = slot->busy ? NULL : unused_handles(slot);
    }
    close_handles(unused);
}

/* Note that the shard did not answer as it should: from now on it is in `state`, and its handle is
 * stale. */
static void lost_contact(struct shards *s, uint16_t number, enum shards_state state,
                         const char *why)
{
    MUTEX_GUARD(&s->lock);
    struct shards_slot *slot = shards_find(s, number);

    if (!slot || slot->damaged)
        return;
    slot->stale = true;
    slot->asked = clock_ticks(s->clock);
    shards_set_state(s, slot, state, why);
}

/* Asks the shard afresh for its identity. 0: it is there, and is the right one; -EHOSTUNREACH: it
 * is not, and its state says so. */
static int confirm(struct shards *s, uint16_t number)
{
    struct shard_record r;
    struct shard *shard;
    char why[SHARD_WHY] = "";

    {
        MUTEX_GUARD(&s->lock);
        const struct shards_slot *slot = shards_find(s, number);

        if (!slot || slot->damaged)
            return -EHOSTUNREACH;
        r = slot->record;
    }
    enum shards_state state = shards_recognise(s, &r, number, &shard, why);

    if (state == SHARDS_OK) {
        shard_close(shard);
        return 0;
    }
    lost_contact(s, number, state, why);
    return -EHOSTUNREACH;
}

/* Notes that the shard refused a write. */
static void write_refused(struct shards *s, uint16_t number)
{
    MUTEX_GUARD(&s->lock);
    struct shards_slot *slot = shards_find(s, number);

    if (!slot || slot->state != SHARDS_OK)
        return;
    slot->no_write = true;
    shards_set_state(s, slot, SHARDS_READONLY, "nothing can be written there");
}

int shards_said(struct shards *s, uint16_t number, int err)
{
    switch (err) {
    case -EHOSTUNREACH:
        lost_contact(s, number, SHARDS_UNREACHABLE, "it cannot be asked any more");
        return err;
    case -EROFS:
    case -EACCES:
        write_refused(s, number);
        return -EROFS;
    case -ENOENT:
    case -EIO:
        return confirm(s, number) < 0 ? -EHOSTUNREACH : err;
    default:
        return err;
    }
}

int shards_new_number(struct shards *s, uint16_t number, uint64_t *ret_where)
{
    MUTEX_GUARD(&s->lock);
    struct shards_slot *slot = shards_find(s, number);

    if (!slot)
        return -ENXIO;
    if (slot->record.archive)
        return shards_archive_number(slot, ret_where);
    if (!slot->has_fence)
        return -EROFS;
    if (slot->sequence == UINT32_MAX)
        return -EOVERFLOW;
    *ret_where = (uint64_t)slot->record.incarnation << 32 | ++slot->sequence;
    return 0;
}

uint64_t shards_first_number(struct shards *s, uint16_t number)
{
    MUTEX_GUARD(&s->lock);
    const struct shards_slot *slot = shards_find(s, number);

    if (slot && slot->record.archive)
        return slot->allowed ? slot->prefix | 1 : 0;
    return slot && slot->has_fence ? (uint64_t)slot->record.incarnation << 32 | 1 : 0;
}

/* ---- looking for unreachable shards ---- */

/* Asks one shard, whose slot the caller has made busy: the fence of a read-only one is taken again,
 * one that is not OK is asked for its identity, and one that is OK for its space. */
static void look_at_busy(struct shards *s, struct shards_slot *slot)
{
    struct shard_space space = {0};

    if (shards_state_of(s, slot) == SHARDS_READONLY && !s->readonly && !slot->record.archive)
        (void)shards_take_fence(s, slot); /* it may accept writes again */
    if (shards_state_of(s, slot) != SHARDS_OK) {
        shards_ask_busy(s, slot);
        return;
    }
    int err = shard_space(slot->handle->shard, &space);

    if (err == -EHOSTUNREACH || err == -EIO)
        shards_ask_busy(s, slot);
    MUTEX_GUARD(&s->lock);
    slot->asked = clock_ticks(s->clock);
    if (err == 0)
        slot->space = space;
}

/* Asks one shard. True: it has become OK by that. */
static bool look_at(struct shards *s, unsigned number)
{
    struct shards_slot *slot = shards_begin_busy(s, number);

    if (!slot)
        return false;
    bool was_ok = shards_state_of(s, slot) == SHARDS_OK;

    look_at_busy(s, slot);
    bool is_ok = shards_state_of(s, slot) == SHARDS_OK;

    shards_end_busy(s, slot);
    return is_ok && !was_ok;
}

unsigned shards_look(struct shards *s)
{
    struct shards_info info = {0};
    unsigned count = 0;

    while (shards_next(s, info.number, &info) == 0)
        count += look_at(s, info.number);
    return count;
}

/* The number of the first shard in doubt above `after`; 0: there is none. */
static unsigned next_in_doubt(struct shards *s, unsigned after)
{
    MUTEX_GUARD(&s->lock);
    for (size_t i = 0; i < s->count; i++) {
        const struct shards_slot *slot = s->slot[i];

        if (slot->number <= after || slot->damaged)
            continue;
        if (!shards_is_readable(slot->state) ||
            clock_ticks(s->clock) - slot->asked >= SHARDS_BELIEVED)
            return slot->number;
    }
    return 0;
}

unsigned shards_look_in_doubt(struct shards *s)
{
    unsigned number = 0, count = 0;

    while ((number = next_in_doubt(s, number)))
        count += look_at(s, number);
    return count;
}

bool shards_any_in_doubt(struct shards *s)
{
    return next_in_doubt(s, 0) != 0;
}

int shards_wait(struct shards *s, uint16_t number, const _Atomic int64_t *duration_ns,
                const _Atomic bool *stop)
{
    int64_t begin = clock_ticks(s->clock);
    WAITS_GUARD(WAITS_SHARD, "of what is read", 0, NULL);

    for (;;) {
        int err = shards_get(s, number, SHARDS_READ, NULL, NULL);
        int64_t left;

        if (err == 0)
            shards_put_back(s, number);
        MUTEX_GUARD(&s->lock); /* taken before *duration_ns is read: see shards_wake */
        left = *duration_ns - (clock_ticks(s->clock) - begin);
        if (err != -EHOSTUNREACH || left <= 0 || (stop && *stop))
            return err;
        (void)cond_wait_for(&s->changed, &s->lock, left < WAIT_STEP ? left : WAIT_STEP);
    }
}

void shards_wake(struct shards *s)
{
    MUTEX_GUARD(&s->lock);
    cond_broadcast(&s->changed);
}
