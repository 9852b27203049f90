// SPDX-License-Identifier: Apache-2.0
/*
 * shards: the set of them, who uses which, and their states.
 *
 * Whoever asks a shard something about itself, or changes its record, first makes its slot busy; then
 * he gives the lock up, and nobody else does the same meanwhile. Readers of a shard that is known to
 * be there never wait for that.
 */
#include "shards_impl.h"

#include "bytes.h"
#include "report.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ASK_AGAIN NSEC_PER_SEC      /* of one that is not there; for whom it belongs to */
#define WAIT_STEP (100 * NSEC_PER_MSEC)
#define FLOOR_KEY 0 /* in place of a number: the highest life of those that were removed */

/* ---- the table ---- */

static void key_of(uint16_t number, uint8_t key[2])
{
    key[0] = (uint8_t)(number >> 8);
    key[1] = (uint8_t)number;
}

static int put_record(struct shards *s, uint16_t number, const struct shard_record *r)
{
    uint8_t key[2], value[SHARD_RECORD_MAX];
    size_t len = shard_record_encode(r, number, value);
    struct kv_txn *t;
    int err = kv_txn_begin(s->kv, &t);

    if (err < 0)
        return err;
    key_of(number, key);
    err = kv_put(t, s->table, key, sizeof key, value, len);
    if (err < 0) {
        kv_abort(t);
        return err;
    }
    return kv_commit(t);
}

/* The record goes, its life stays. */
static int drop_record(struct shards *s, uint16_t number, uint32_t floor)
{
    uint8_t key[2], zero[2], value[SHARD_FLOOR_LEN];
    struct kv_txn *t;
    int err = kv_txn_begin(s->kv, &t);

    if (err < 0)
        return err;
    key_of(number, key);
    key_of(FLOOR_KEY, zero);
    shard_floor_encode(floor, value);
    err = kv_del(t, s->table, key, sizeof key);
    if (err == 0)
        err = kv_put(t, s->table, zero, sizeof zero, value, sizeof value);
    if (err < 0) {
        kv_abort(t);
        return err;
    }
    return kv_commit(t);
}

int shards_write_record(struct shards *s, struct shards_slot *slot, const struct shard_record *r)
{
    int err = put_record(s, slot->number, r);

    if (err < 0)
        return err;
    MUTEX_GUARD(&s->lock);
    slot->record = *r;
    return 0;
}

/* ---- slots ---- */

static struct shards_slot *find(struct shards *s, unsigned number)
{
    mutex_held(&s->lock);
    for (size_t i = 0; i < s->count; i++)
        if (s->slot[i]->number == number)
            return s->slot[i];
    return NULL;
}

static struct shards_slot *make_slot(struct shards *s, uint16_t number)
{
    struct shards_slot *slot = calloc(1, sizeof *slot);

    if (slot) {
        slot->number = number;
        slot->since = clock_now(s->clock);
    }
    return slot;
}

/* Needs the lock, and room. */
static void insert(struct shards *s, struct shards_slot *slot)
{
    size_t at = s->count;

    for (; at > 0 && s->slot[at - 1]->number > slot->number; at--)
        s->slot[at] = s->slot[at - 1];
    s->slot[at] = slot;
    s->count++;
}

static void take_out(struct shards *s, const struct shards_slot *slot)
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
        disk_close(h->disk);
        shard_close(h->shard);
        free(h);
    }
}

static void destroy_slot(struct shards_slot *slot)
{
    close_handles(slot->replaced);
    close_handles(slot->handle);
    free(slot);
}

/* Needs the lock; what it returns is closed without it. */
static struct shards_handle *unused_handles(struct shards_slot *slot)
{
    struct shards_handle *h = slot->users ? NULL : slot->replaced;

    if (h)
        slot->replaced = NULL;
    return h;
}

/* Needs the lock, which it gives up while it waits. NULL: there is none of that number. */
static struct shards_slot *make_busy(struct shards *s, unsigned number)
{
    struct shards_slot *slot;

    while ((slot = find(s, number)) && slot->busy)
        cond_wait(&s->changed, &s->lock);
    if (slot)
        slot->busy = true;
    return slot;
}

static void end_busy(struct shards *s, struct shards_slot *slot)
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

static struct shards_slot *begin_busy(struct shards *s, unsigned number)
{
    MUTEX_GUARD(&s->lock);
    return make_busy(s, number);
}

/* ---- states ---- */

const char *shards_state_name(enum shards_state state)
{
    static const char *const names[] = {"new",      "ok",    "unreachable",
                                        "readonly", "wrong", "foreign"};

    return (size_t)state < sizeof names / sizeof names[0] ? names[state] : "?";
}

void shards_set_state(struct shards *s, struct shards_slot *slot, enum shards_state state,
                      const char *why)
{
    mutex_held(&s->lock);
    bool same = slot->state == state && strcmp(slot->why, why) == 0;

    if (slot->state != state)
        slot->since = clock_now(s->clock);
    bool expected = state == SHARDS_OK ? slot->state == SHARDS_NEW
                                       : state == SHARDS_READONLY && s->readonly;

    if (!same && !expected)
        report(state == SHARDS_OK ? REPORT_NOTE : REPORT_WARN, "shard %u is %s%s%.120s",
               slot->number, shards_state_name(state), *why ? ": " : "", why);
    slot->state = state;
    snprintf(slot->why, sizeof slot->why, "%s", why);
    cond_broadcast(&s->changed);
}

static enum shards_state state_of(struct shards *s, const struct shards_slot *slot)
{
    MUTEX_GUARD(&s->lock);
    return slot->state;
}

static void ask_busy(struct shards *s, struct shards_slot *slot)
{
    {
        MUTEX_GUARD(&s->lock);
        slot->asked = clock_ticks(s->clock);
    }
    if (!slot->damaged)
        shards_ask(s, slot);
}

/* ---- opening ---- */

static void read_floor(struct shards *s, const void *value, size_t len)
{
    if (shard_floor_decode(value, len, &s->floor) == 0)
        return;
    s->floor_damaged = true;
    report(REPORT_ALARM, "table shards: the record of removed shards is damaged: none can be added");
}

static int read_one(struct shards *s, uint16_t number, const void *value, size_t len)
{
    struct shards_slot *slot;

    if (number == FLOOR_KEY) {
        read_floor(s, value, len);
        return 0;
    }
    if (s->count == SHARDS_MAX)
        return -EUCLEAN;
    slot = make_slot(s, number);
    if (!slot)
        return -ENOMEM;
    int err = shard_record_decode(value, len, number, &slot->record);

    MUTEX_GUARD(&s->lock);
    insert(s, slot);
    if (err == 0)
        return 0;
    slot->damaged = true;
    slot->state = SHARDS_UNREACHABLE;
    snprintf(slot->why, sizeof slot->why, "its record is %s",
             err == -EPROTO ? "of a newer version" : "damaged");
    report(REPORT_ALARM, "table shards: the record of shard %u is %s", number,
           err == -EPROTO ? "of a newer version" : "damaged");
    return 0;
}

static int read_all(struct shards *s)
{
    uint8_t key[2] = {0};
    size_t klen = 0, len;
    const void *found, *value;
    struct kv_snap *snap;
    int err = kv_snap_begin(s->kv, &snap);

    while (err == 0) {
        err = kv_snap_seek(snap, s->table, key, klen, klen > 0, &found, &klen, &value, &len);
        if (err == 0 && klen != sizeof key)
            err = -EUCLEAN;
        if (err < 0)
            break;
        memcpy(key, found, sizeof key);
        err = read_one(s, (uint16_t)(key[0] << 8 | key[1]), value, len);
    }
    kv_snap_end(snap);
    return err == -ENOENT ? 0 : err;
}

int shards_open(const struct shards_config *config, struct shards **ret_shards)
{
    struct shards *s = calloc(1, sizeof *s);

    if (!s)
        return -ENOMEM;
    s->kv = config->kv;
    s->table = config->table;
    s->clock = config->clock;
    s->readonly = config->readonly;
    memcpy(s->store, config->store, sizeof s->store);
    mutex_init(&s->lock, "shards");
    cond_init(&s->changed);
    int err = read_all(s);

    if (err < 0) {
        shards_close(s);
        return err;
    }
    *ret_shards = s;
    return 0;
}

void shards_close(struct shards *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->count; i++)
        destroy_slot(s->slot[i]);
    cond_destroy(&s->changed);
    mutex_destroy(&s->lock);
    free(s);
}

/* ---- which there are ---- */

/* May it be added? If so the number is taken, by a busy slot. */
static int reserve(struct shards *s, uint16_t number, const char *url, struct shards_slot **ret_slot,
                   char why[SHARD_WHY])
{
    struct shards_slot *slot = make_slot(s, number);
    int err = slot ? 0 : -ENOMEM;

    MUTEX_GUARD(&s->lock);
    for (size_t i = 0; err == 0 && i < s->count; i++)
        if (s->slot[i]->number == number) {
            snprintf(why, SHARD_WHY, "there is a shard %u already", number);
            err = -EEXIST;
        } else if (strcmp(s->slot[i]->record.url, url) == 0) {
            snprintf(why, SHARD_WHY, "that is shard %u", s->slot[i]->number);
            err = -EBUSY;
        }
    if (err == 0 && s->floor_damaged) {
        snprintf(why, SHARD_WHY, "the record of removed shards is damaged");
        err = -EUCLEAN;
    }
    if (err == 0 && s->count == SHARDS_MAX) {
        snprintf(why, SHARD_WHY, "there are %d already", SHARDS_MAX);
        err = -ENOSPC;
    }
    if (err < 0) {
        free(slot);
        return err;
    }
    slot->busy = true;
    snprintf(slot->why, sizeof slot->why, "it is just being added");
    slot->record.life = s->floor;
    snprintf(slot->record.url, sizeof slot->record.url, "%s", url);
    insert(s, slot);
    *ret_slot = slot;
    return 0;
}

static int add(struct shards *s, struct shards_slot *slot, char why[SHARD_WHY])
{
    struct shard_record r = slot->record;
    struct shard *shard;
    int err = shard_open(r.url, 0, &shard, why);

    if (err < 0)
        return err;
    err = shards_take(s, shard, slot->number, &r, why);
    shard_close(shard);
    if (err == 0)
        err = shards_write_record(s, slot, &r);
    if (err < 0 && !*why)
        snprintf(why, SHARD_WHY, "%s", strerror(-err));
    return err;
}

int shards_add(struct shards *s, uint16_t number, const char *url, char why[SHARD_WHY])
{
    char normal[SHARD_URL_MAX + 1];
    struct shards_slot *slot;

    *why = '\0';
    if (number == 0) {
        snprintf(why, SHARD_WHY, "shard 0 is the store itself: others are 1 to 65535");
        return -EINVAL;
    }
    if (s->readonly) {
        snprintf(why, SHARD_WHY, "the store is open for reading only");
        return -EROFS;
    }
    int err = shard_normal_url(url, normal, why);

    if (err == 0)
        err = reserve(s, number, normal, &slot, why);
    if (err < 0)
        return err;
    err = add(s, slot, why);
    if (err == 0) {
        ask_busy(s, slot);
        end_busy(s, slot);
        return 0;
    }
    {
        MUTEX_GUARD(&s->lock);
        take_out(s, slot);
        cond_broadcast(&s->changed);
    }
    destroy_slot(slot);
    return err;
}

static int delete_claim(const char *name, uint64_t size, void *ctx)
{
    (void)size;
    return shard_delete(ctx, name);
}

/* What made it a shard. Whatever fails stays behind, which an addition takes over. */
static void unmake(struct shard *shard)
{
    (void)shard_list(shard, SHARD_CLAIMS, delete_claim, shard);
    (void)shard_delete(shard, SHARD_SPARE);
    (void)shard_delete(shard, SHARD_OWNER);
    (void)shard_delete(shard, SHARD_IDENTITY);
}

/* May it be removed? If so it is busy, and nobody gets it any more. */
static int begin_removal(struct shards *s, uint16_t number, struct shards_slot **ret_slot,
                         char why[SHARD_WHY])
{
    MUTEX_GUARD(&s->lock);
    struct shards_slot *slot = find(s, number);
    int err = !slot                        ? -ENXIO
              : s->readonly                ? -EROFS
              : slot->busy || slot->users ? -EBUSY
                                           : 0;

    snprintf(why, SHARD_WHY, "%s",
             err == -ENXIO   ? "there is no shard of that number"
             : err == -EROFS ? "the store is open for reading only"
             : err == -EBUSY ? "it is just being used"
                             : "");
    if (err < 0)
        return err;
    slot->busy = slot->leaving = true;
    *ret_slot = slot;
    return 0;
}

/* Above every life that it had: if its record does not tell, the time is, in seconds. */
static uint32_t new_floor(const struct shards *s, const struct shards_slot *slot)
{
    uint32_t life =
        slot->damaged ? (uint32_t)(clock_now(s->clock) / NSEC_PER_SEC) : slot->record.life;

    return life > s->floor ? life : s->floor;
}

int shards_remove(struct shards *s, uint16_t number, char why[SHARD_WHY])
{
    struct shards_slot *slot;
    int err = begin_removal(s, number, &slot, why);

    if (err < 0)
        return err;
    ask_busy(s, slot);
    bool ours = state_of(s, slot) == SHARDS_OK && (slot->claimed || shards_claim(s, slot) == 0);
    uint32_t floor = new_floor(s, slot);

    err = drop_record(s, number, floor);
    if (err < 0) {
        snprintf(why, SHARD_WHY, "%s", strerror(-err));
        slot->leaving = false;
        end_busy(s, slot);
        return err;
    }
    if (ours)
        unmake(slot->handle->shard);
    {
        MUTEX_GUARD(&s->lock);
        s->floor = floor;
        take_out(s, slot);
        cond_broadcast(&s->changed);
    }
    destroy_slot(slot);
    return 0;
}

int shards_set_draining(struct shards *s, uint16_t number, bool draining)
{
    struct shards_slot *slot = begin_busy(s, number);

    if (!slot)
        return -ENXIO;
    struct shard_record r = slot->record;
    int err = s->readonly ? -EROFS : slot->damaged ? -EUCLEAN : 0;

    r.draining = draining;
    if (err == 0)
        err = shards_write_record(s, slot, &r);
    end_busy(s, slot);
    return err;
}

static void tell(const struct shards_slot *slot, struct shards_info *ret)
{
    memset(ret, 0, sizeof *ret);
    ret->number = slot->number;
    ret->state = slot->state;
    ret->draining = slot->record.draining;
    memcpy(ret->id, slot->record.id, sizeof ret->id);
    ret->since = slot->since;
    memcpy(ret->url, slot->record.url, sizeof ret->url);
    memcpy(ret->why, slot->why, sizeof ret->why);
    ret->space = slot->space;
}

int shards_next(struct shards *s, unsigned after, struct shards_info *ret)
{
    MUTEX_GUARD(&s->lock);
    for (size_t i = 0; i < s->count; i++)
        if (s->slot[i]->number > after) {
            tell(s->slot[i], ret);
            return 0;
        }
    return -ENOENT;
}

int shards_info_get(struct shards *s, uint16_t number, struct shards_info *ret)
{
    MUTEX_GUARD(&s->lock);
    const struct shards_slot *slot = find(s, number);

    if (!slot)
        return -ENXIO;
    tell(slot, ret);
    return 0;
}

/* ---- using one ---- */

/* Needs the lock: what has to be asked before it can be used that way? */
static bool is_ask_due(const struct shards *s, const struct shards_slot *slot)
{
    if (slot->damaged || shards_is_readable(slot->state))
        return false;
    return slot->state == SHARDS_NEW || clock_ticks(s->clock) - slot->asked >= ASK_AGAIN;
}

static bool is_owner_due(const struct shards *s, const struct shards_slot *slot)
{
    return clock_ticks(s->clock) - slot->checked >= ASK_AGAIN;
}

/* Needs the lock, which it gives up. Nobody else is busy. 0: look again. */
static int prepare(struct shards *s, struct shards_slot *slot, enum shards_use use, bool *again)
{
    int err = 0;
    bool ask = is_ask_due(s, slot);
    bool claim = !ask && use == SHARDS_WRITE && slot->state == SHARDS_OK && !slot->claimed;
    bool check = !ask && use == SHARDS_WRITE && slot->state == SHARDS_OK && slot->claimed &&
                 is_owner_due(s, slot);

    *again = ask || claim || check;
    if (!*again)
        return 0;
    slot->busy = true;
    mutex_unlock(&s->lock);
    if (ask)
        ask_busy(s, slot);
    else
        err = claim ? shards_claim(s, slot) : shards_check_owner(s, slot);
    end_busy(s, slot);
    mutex_lock(&s->lock);
    return err;
}

static int hand_out(struct shards_slot *slot, enum shards_use use, struct shard **ret_shard,
                    struct disk **ret_disk)
{
    if (!shards_is_readable(slot->state))
        return -EHOSTUNREACH;
    if (use == SHARDS_WRITE && slot->state != SHARDS_OK)
        return -EROFS;
    slot->users++;
    if (ret_shard)
        *ret_shard = slot->handle->shard;
    if (ret_disk)
        *ret_disk = slot->handle->disk;
    return 0;
}

int shards_get(struct shards *s, uint16_t number, enum shards_use use, struct shard **ret_shard,
               struct disk **ret_disk)
{
    MUTEX_GUARD(&s->lock);
    for (;;) {
        struct shards_slot *slot = find(s, number);
        bool again;

        if (!slot || slot->leaving)
            return -ENXIO;
        if (use == SHARDS_READ && shards_is_readable(slot->state))
            return hand_out(slot, use, ret_shard, ret_disk);
        if (slot->busy && (slot->state == SHARDS_NEW || shards_is_readable(slot->state))) {
            cond_wait(&s->changed, &s->lock);
            continue;
        }
        if (slot->busy) /* it was not there, and is being looked for */
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
        struct shards_slot *slot = find(s, number);

        slot->users--;
        unused = slot->busy ? NULL : unused_handles(slot);
    }
    close_handles(unused);
}

static void lost_contact(struct shards *s, uint16_t number, enum shards_state state,
                         const char *why)
{
    MUTEX_GUARD(&s->lock);
    struct shards_slot *slot = find(s, number);

    if (!slot || slot->damaged)
        return;
    slot->stale = true;
    slot->asked = clock_ticks(s->clock);
    shards_set_state(s, slot, state, why);
}

/* 0: it is there, and the right one. */
static int confirm(struct shards *s, uint16_t number)
{
    struct shard_record r;
    struct shard *shard;
    char why[SHARD_WHY] = "";

    {
        MUTEX_GUARD(&s->lock);
        const struct shards_slot *slot = find(s, number);

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

static void write_refused(struct shards *s, uint16_t number)
{
    MUTEX_GUARD(&s->lock);
    struct shards_slot *slot = find(s, number);

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
    case -EACCES: write_refused(s, number); return -EROFS;
    case -ENOENT:
    case -EIO: return confirm(s, number) < 0 ? -EHOSTUNREACH : err;
    default: return err;
    }
}

int shards_new_number(struct shards *s, uint16_t number, uint64_t *ret_where)
{
    MUTEX_GUARD(&s->lock);
    struct shards_slot *slot = find(s, number);

    if (!slot)
        return -ENXIO;
    if (!slot->claimed)
        return -EROFS;
    if (slot->sequence == UINT32_MAX)
        return -EOVERFLOW;
    *ret_where = (uint64_t)slot->record.life << 32 | ++slot->sequence;
    return 0;
}

uint64_t shards_first_number(struct shards *s, uint16_t number)
{
    MUTEX_GUARD(&s->lock);
    const struct shards_slot *slot = find(s, number);

    return slot && slot->claimed ? (uint64_t)slot->record.life << 32 | 1 : 0;
}

/* ---- looking for those that are away ---- */

static void look_at_busy(struct shards *s, struct shards_slot *slot)
{
    struct shard_space space = {0};

    if (state_of(s, slot) == SHARDS_READONLY && !s->readonly)
        (void)shards_claim(s, slot); /* perhaps it can be written to again */
    if (state_of(s, slot) != SHARDS_OK) {
        ask_busy(s, slot);
        return;
    }
    int err = shard_space(slot->handle->shard, &space);

    if (err == -EHOSTUNREACH || err == -EIO)
        ask_busy(s, slot);
    MUTEX_GUARD(&s->lock);
    if (err == 0)
        slot->space = space;
}

static bool look_at(struct shards *s, unsigned number)
{
    struct shards_slot *slot = begin_busy(s, number);

    if (!slot)
        return false;
    bool was_ok = state_of(s, slot) == SHARDS_OK;

    look_at_busy(s, slot);
    bool is_ok = state_of(s, slot) == SHARDS_OK;

    end_busy(s, slot);
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

int shards_wait(struct shards *s, uint16_t number, int64_t ns, const _Atomic bool *stop)
{
    int64_t begin = clock_ticks(s->clock);

    for (;;) {
        int err = shards_get(s, number, SHARDS_READ, NULL, NULL);
        int64_t left = ns - (clock_ticks(s->clock) - begin);

        if (err == 0)
            shards_put_back(s, number);
        if (err != -EHOSTUNREACH || left <= 0 || (stop && *stop))
            return err;
        MUTEX_GUARD(&s->lock);
        (void)cond_wait_for(&s->changed, &s->lock, left < WAIT_STEP ? left : WAIT_STEP);
    }
}
