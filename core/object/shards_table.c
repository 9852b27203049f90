// SPDX-License-Identifier: Apache-2.0
/*
 * shards_table: the table of shards: opening the set, adding and removing shards.
 */
#include "shards_impl.h"

#include "report.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The key of the highest incarnation of all shards that were removed; it is no number of a
 * shard. */
#define FLOOR_KEY 0

/* ---- the table ---- */

static void key_of(uint16_t number, uint8_t key[2])
{
    key[0] = (uint8_t)(number >> 8);
    key[1] = (uint8_t)number;
}

/* Writes the record of a shard, in a transaction of its own. */
static int put_record(struct shards *s, uint16_t number, const struct shard_record *r)
{
    uint8_t key[2], value[SHARD_RECORD_MAX];
    size_t len = shard_record_encode(r, number, value);

    key_of(number, key);
    return kv_put_row(s->kv, s->table, key, sizeof key, value, len);
}

/* Deletes the record of a shard, and notes its incarnation as the floor for all later ones. */
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
    return kv_end(t, err);
}

int shards_write_record(struct shards *s, struct shards_slot *slot, const struct shard_record *r)
{
    int err = put_record(s, slot->number, r);

    if (err < 0)
        return err;
    MUTEX_GUARD(&s->lock);
    if (slot->record.incarnation != r->incarnation)
        slot->sequence =
            0; /* in the same step: otherwise numbers of the new incarnation could be given out
                * twice */
    slot->record = *r;
    return 0;
}


/* ---- opening ---- */

/* Read the highest incarnation of removed shards. While it is unknown no shard can be added, since
 * its incarnation could have been used before. */
static void read_floor(struct shards *s, const void *value, size_t len)
{
    if (shard_floor_decode(value, len, &s->floor) == 0)
        return;
    s->floor_damaged = true;
    report(REPORT_ALARM,
           "table shards: the record of removed shards is damaged: none can be added");
}

/* Reads one row of the table. A damaged record is reported, and its shard is UNREACHABLE. */
static int read_one(struct shards *s, uint16_t number, const void *value, size_t len)
{
    struct shards_slot *slot;

    if (number == FLOOR_KEY) {
        read_floor(s, value, len);
        return 0;
    }
    if (s->count == SHARDS_MAX)
        return -EUCLEAN;
    slot = shards_make_slot(s, number);
    if (!slot)
        return -ENOMEM;
    int err = shard_record_decode(value, len, number, &slot->record);

    if (err == 0 && (shard_meter_open(slot->record.url, &slot->meter) < 0 ||
                     shards_make_near(s, slot, slot->record.url) < 0)) {
        shards_destroy_slot(slot);
        return -ENOMEM;
    }
    MUTEX_GUARD(&s->lock);
    shards_insert(s, slot);
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

/* Read all rows of the table. */
static int read_all(struct shards *s)
{
    struct kv_each e = {.table = s->table, .strict = true};
    int err = kv_snap_begin(s->kv, &e.snap);

    if (err < 0)
        return err;
    while (kv_next(&e)) {
        const uint8_t *key = e.key;
        e.err =
            e.klen == 2 ? read_one(s, (uint16_t)(key[0] << 8 | key[1]), e.val, e.len) : -EUCLEAN;
    }
    kv_snap_end(e.snap);
    return e.err;
}

int shards_open(const struct shards_config *config, struct shards **ret_shards)
{
    struct shards *s = calloc(1, sizeof *s);

    if (!s)
        return -ENOMEM;
    s->kv = config->kv;
    s->cache = config->cache;
    s->table = config->table;
    s->clock = config->clock;
    s->readonly = config->readonly;
    s->open_flags = config->foreign ? SHARD_FOREIGN : 0;
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
    for (size_t i = 0; i < s->count; i++) {
        if (shard_is_silent(s->slot[i]->record.url, NULL))
            report(REPORT_WARN, "shard %u did not answer to the end: %.700s", s->slot[i]->number,
                   s->slot[i]->record.url);
        shards_destroy_slot(s->slot[i]);
    }
    cond_destroy(&s->changed);
    mutex_destroy(&s->lock);
    free(s);
}

/* ---- adding and removing ---- */

/* Has the slot that number already, or is it of the same place? */
static int compare_slot(const struct shards_slot *slot, uint16_t number,
                        const struct shard_record *r, char why[SHARD_WHY])
{
    const struct shard_record *its = &slot->record;

    if (slot->number == number) {
        snprintf(why, SHARD_WHY,
                 its->archive ? "the number %u is that of an archive"
                              : "there is a shard %u already",
                 number);
        return -EEXIST;
    }
    if (strcmp(its->url, r->url) != 0 &&
        !(its->archive && r->archive && memcmp(its->id, r->id, sizeof r->id) == 0))
        return 0;
    snprintf(why, SHARD_WHY, "that is the %s with number %u", its->archive ? "archive" : "shard",
             slot->number);
    return -EBUSY;
}

/* May a shard with that record be added? Needs the lock. */
static int may_add(struct shards *s, uint16_t number, const struct shard_record *r,
                   char why[SHARD_WHY])
{
    int err = 0;

    for (size_t i = 0; err == 0 && i < s->count; i++)
        err = compare_slot(s->slot[i], number, r, why);
    if (err == 0 && s->floor_damaged && !r->archive) {
        snprintf(why, SHARD_WHY, "the record of removed shards is damaged");
        err = -EUCLEAN;
    }
    if (err == 0 && s->count == SHARDS_MAX) {
        snprintf(why, SHARD_WHY, "there are %d already", SHARDS_MAX);
        err = -ENOSPC;
    }
    return err;
}

/* Reserves a number for a new shard, as a busy slot, if a shard may be added there. `r` has what is
 * known of its record. */
static int reserve(struct shards *s, uint16_t number, const struct shard_record *r,
                   struct shards_slot **ret_slot, char why[SHARD_WHY])
{
    struct shards_slot *slot = shards_make_slot(s, number);
    int err = slot ? shard_meter_open(r->url, &slot->meter) : -ENOMEM;

    if (err == 0)
        err = shards_make_near(s, slot, r->url);
    MUTEX_GUARD(&s->lock);
    if (err == 0)
        err = may_add(s, number, r, why);
    if (err < 0) {
        shards_destroy_slot(slot);
        return err;
    }
    slot->busy = true;
    snprintf(slot->why, sizeof slot->why, "it is just being added");
    slot->record = *r;
    slot->record.incarnation = r->archive ? 0 : s->floor;
    shards_insert(s, slot);
    *ret_slot = slot;
    return 0;
}

/* Puts the identity of the new shard in its place, then writes its record. Of an archive it only
 * looks whether it is the right one. */
static int add_shard(struct shards *s, struct shards_slot *slot, char why[SHARD_WHY])
{
    struct shard_record r = slot->record;
    struct shard *shard;
    int err = shard_open(r.url, s->open_flags, &shard, why);

    if (err < 0)
        return err;
    err = r.archive ? shards_check_archive(shard, r.id, why)
                    : shards_take(s, shard, slot->number, &r, why);
    shard_close(shard);
    if (err == 0)
        err = shards_write_record(s, slot, &r);
    if (err < 0 && !*why)
        snprintf(why, SHARD_WHY, "%s", strerror(-err));
    return err;
}

/* Adds a shard, or an archive. `r` has what is known of its record but for the URL, which it
 * gets. */
static int add(struct shards *s, uint16_t number, const char *url, struct shard_record *r,
               char why[SHARD_WHY])
{
    struct shards_slot *slot = NULL;

    *why = '\0';
    if (number == 0) {
        snprintf(why, SHARD_WHY, "shard 0 is the store itself: others are 1 to 65535");
        return -EINVAL;
    }
    if (s->readonly) {
        snprintf(why, SHARD_WHY, "the store is open for reading only");
        return -EROFS;
    }
    int err = shard_normal_url(url, r->url, why);

    if (err == 0)
        err = reserve(s, number, r, &slot, why);
    if (err < 0)
        return err;
    err = add_shard(s, slot, why);
    if (err == 0) {
        shards_ask_busy(s, slot);
        shards_end_busy(s, slot);
        return 0;
    }
    {
        MUTEX_GUARD(&s->lock);
        shards_take_out(s, slot);
        cond_broadcast(&s->changed);
    }
    shards_destroy_slot(slot);
    return err;
}

int shards_add(struct shards *s, uint16_t number, const char *url, char why[SHARD_WHY])
{
    struct shard_record r = {.archive = false};

    return add(s, number, url, &r, why);
}

int shards_add_archive(struct shards *s, uint16_t number, const char *url, const uint8_t id[16],
                       uint32_t lineage, bool ships, char why[SHARD_WHY])
{
    struct shard_record r = {.archive = true, .lineage = lineage, .draining = !ships};

    memcpy(r.id, id, sizeof r.id);
    return add(s, number, url, &r, why);
}

static int delete_fence(const char *name, uint64_t size, void *ctx)
{
    (void)size;
    return shard_delete(ctx, name);
}

/* Deletes what makes a place a shard. Files that cannot be deleted stay; a later shards_add takes
 * them over. */
static void unmake(struct shard *shard)
{
    (void)shard_list(shard, SHARD_FENCES, delete_fence, shard);
    (void)shard_delete(shard, SHARD_SPARE);
    (void)shard_delete(shard, SHARD_OWNER);
    (void)shard_delete(shard, SHARD_IDENTITY);
}

/* Makes the slot of a shard busy for its removal, if it may be removed. No caller gets the shard
 * any more. */
static int begin_removal(struct shards *s, uint16_t number, struct shards_slot **ret_slot,
                         char why[SHARD_WHY])
{
    MUTEX_GUARD(&s->lock);
    struct shards_slot *slot = shards_find(s, number);
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

/* The new floor: not below any incarnation of the removed shard. If its record is damaged the time
 * in seconds is taken, which is higher than any incarnation. */
static uint32_t new_floor(const struct shards *s, const struct shards_slot *slot)
{
    uint32_t incarnation =
        slot->damaged ? (uint32_t)(clock_now(s->clock) / NSEC_PER_SEC) : slot->record.incarnation;

    return incarnation > s->floor ? incarnation : s->floor;
}

/* Asks a shard that is being removed: may this store delete what makes the place a shard? An
 * archive stays what it is. */
static bool is_ours(struct shards *s, struct shards_slot *slot)
{
    if (slot->record.archive)
        return false;
    shards_ask_busy(s, slot);
    return shards_state_of(s, slot) == SHARDS_OK &&
           (slot->has_fence || shards_take_fence(s, slot) == 0);
}

int shards_remove(struct shards *s, uint16_t number, char why[SHARD_WHY])
{
    struct shards_slot *slot;
    int err = begin_removal(s, number, &slot, why);

    if (err < 0)
        return err;
    bool ours = is_ours(s, slot);
    uint32_t floor = new_floor(s, slot);

    err = drop_record(s, number, floor);
    if (err < 0) {
        snprintf(why, SHARD_WHY, "%s", strerror(-err));
        {
            MUTEX_GUARD(&s->lock);
            slot->leaving = false;
        }
        shards_end_busy(s, slot);
        return err;
    }
    if (ours)
        unmake(slot->handle->shard);
    {
        MUTEX_GUARD(&s->lock);
        s->floor = floor;
        shards_take_out(s, slot);
        cond_broadcast(&s->changed);
    }
    shards_destroy_slot(slot);
    return 0;
}

int shards_set_draining(struct shards *s, uint16_t number, bool draining)
{
    struct shards_slot *slot = shards_begin_busy(s, number);

    if (!slot)
        return -ENXIO;
    struct shard_record r = slot->record;
    int err = s->readonly ? -EROFS : slot->damaged ? -EUCLEAN : r.archive ? -EINVAL : 0;

    r.draining = draining;
    if (err == 0)
        err = shards_write_record(s, slot, &r);
    shards_end_busy(s, slot);
    return err;
}
