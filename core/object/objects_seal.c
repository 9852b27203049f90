// SPDX-License-Identifier: Apache-2.0
/*
 * objects_seal: see objects.h. Sealing is one loop over the chain of ids a content may have:
 *
 *     id is free           -> in a pool another store may have the bytes: name their place  (adopt)
 *                             else store the bytes under it, or at a gap before it      (place_new)
 *     taken, bytes equal   -> the number becomes an alias of that object          (refs_seal_alias)
 *     taken, it is damaged -> store our bytes in its place, alarm, become an alias           (heal)
 *     taken, both sound    -> derive the next id, go on
 *     cannot be compared   -> go on likewise: its bytes cannot be read, its row is lost or
 *                             damaged, or it can have no more references
 *
 * If home is a pool on a shard, its bytes are compared like those of a ghost, before the freeze
 * lock is taken, and a large content that is most likely new is put then, too (put_ahead): the name
 * of its file is used once, so if nothing names it after all a cycle of the pool removes it.
 *
 * ID_CHAIN_MAX collisions do not happen by chance: an attacker made them. A content that finds no
 * place in the chain is stored all the same, under an id with a salt that nothing leads to
 * (seal_apart); then its bytes are not shared.
 */
#include "objects_impl.h"
#include "report.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define KEPT_COUNT_MAX (UINT32_MAX - (1u << 20)) /* references; room for those that are to come */
#define COMPARED_TWICE 4096u /* bytes: up to this size a record that is not synced is compared */

/* A content about to be sealed: bytes in memory or a blob. */
struct source {
    const void *data;
    uint32_t len;
    enum compress_how how;
    struct blob *blob;
    const struct objects_seen *seen; /* NULL: nothing was looked up */
    bool *took; /* set to true if the place where the bytes were put ahead is taken; or NULL */
    /* it is kept aside: it becomes no alias (objects_keep_buffer). A buffer gets its number when it
     * is stored, which is noted here */
    uint64_t *aside;
    bool find; /* nothing is stored: only an object that is equal is wanted */
};

/* The length of the content. */
static uint64_t size_of(const struct source *s)
{
    return s->blob ? blob_length(s->blob) : s->len;
}

/* ---- comparing ---- */

/* If the disk or the shard does not return the stored bytes, they count as different. The new
 * content gets an id of its own: otherwise a bad sector would stop every commit once the same bytes
 * are written again. */
static int verdict(int err)
{
    return err < 0 && err != -EUCLEAN && err != -ENOMEM ? 0 : err;
}

/* Compares bytes in memory with those of a file, a block of sums at a time. 1, 0, -errno. */
static int compare_with_file(struct objects *o, const struct entry *e, const struct source *s)
{
    uint8_t *stored = malloc(SUMS_BLOCK);
    struct blob *b;
    ssize_t n = 1;
    int err = stored ? object_open_file(o, e, entry_is_ghost(e), &b) : -ENOMEM;

    for (uint32_t at = 0, len; err == 0 && n == 1 && at < s->len; at += len) {
        len = s->len - at < SUMS_BLOCK ? s->len - at : SUMS_BLOCK;
        n = blob_read(b, stored, len, at);
        if (n >= 0)
            n = (size_t)n == len && memcmp(stored, (const uint8_t *)s->data + at, len) == 0;
    }
    free(stored);
    return err < 0 ? err : object_close_file(o, e, b, (int)n);
}

/* Are the stored bytes of `e` those of `s`? 1, 0, -EUCLEAN the stored ones are damaged, -errno. */
static int compare_small(struct objects *o, const struct entry *e, const struct source *s)
{
    uint8_t *stored;
    ssize_t n;

    if (e->kind == ENTRY_FILE)
        return verdict(compare_with_file(o, e, s));
    stored = malloc(s->len);
    if (!stored)
        return -ENOMEM;
    n = object_read_quietly(o, e, stored, s->len, 0);
    if (n >= 0)
        n = (size_t)n == s->len && memcmp(stored, s->data, s->len) == 0;
    free(stored);
    return verdict((int)n);
}

/* Compares a slot that was cut to the size of a small object with a record. */
static int compare_with_record(struct objects *o, const struct entry *e, const struct source *s)
{
    uint8_t *ours = malloc(e->size ? e->size : 1);
    ssize_t n;

    if (!ours)
        return -ENOMEM;
    n = blob_read(s->blob, ours, e->size, 0);
    if (n == -EUCLEAN)
        n = -EIO; /* our own bytes: no verdict on the stored ones */
    if (n >= 0)
        n = compare_small(o, e, &(struct source){.data = ours, .len = (uint32_t)n});
    free(ours);
    return (int)n;
}

/* Compares a slot with a stored file. A ghost's file is opened anew, which asks for its name: one
 * that is open still might have lost its name on the shard. Damage in the slot itself is -EIO: it
 * says nothing about the stored bytes. */
static int compare_blob(struct objects *o, const struct entry *e, const struct source *s)
{
    struct blob *stored, *bad = NULL;
    int err;

    if (e->kind != ENTRY_FILE)
        return compare_with_record(o, e, s);
    err = object_open_file(o, e, entry_is_ghost(e), &stored);
    if (err < 0)
        return entry_is_ghost(e) ? verdict(err) : err;
    err = blob_compare(stored, s->blob, &bad);
    if (err == -EUCLEAN && bad == s->blob) { /* our own bytes: no verdict on the stored ones */
        (void)object_close_file(o, e, stored, 0);
        return -EIO;
    }
    err = object_close_file(o, e, stored, err);
    return entry_is_ghost(e) ? verdict(err) : err;
}

/* Are the stored bytes of `e` those of `s`? As compare_small. With different sizes these are two
 * contents, and the stored bytes are not read. */
static int compare_bytes(struct objects *o, const struct entry *e, const struct source *s)
{
    if (e->size != size_of(s))
        return 0;
    return s->blob ? compare_blob(o, e, s) : compare_small(o, e, s);
}

/* Must a shard be asked for the comparison? Only for bytes there of the same size. */
static bool may_be_equal(struct objects *o, const struct entry *e, const struct source *s)
{
    return objects_is_remote(o, e) && e->size == size_of(s);
}

/* As compare, but with the freeze lock held, which must not wait for a shard: for bytes there it
 * uses what the look before has found. -EAGAIN: the caller must look again. A buffer that is sealed
 * while nobody may write was not looked for: it counts as other than a ghost, and waits for the
 * next pass where it may equal bytes of the pool. */
static int compare_held(struct objects *o, const struct entry *e, const struct source *s)
{
    if (!may_be_equal(o, e, s))
        return entry_is_ghost(e) ? 0 : compare_bytes(o, e, s);
    if (!s->seen)
        return entry_is_ghost(e) ? 0 : -EAGAIN;
    for (unsigned i = 0; i < s->seen->count; i++)
        if (entry_same_place(e, &s->seen->v[i].at))
            return s->seen->v[i].same;
    return s->seen->count == OBJECTS_SEEN_MAX ? 0 : -EAGAIN;
}

/* Compares the content with one entry, if a shard has to be asked, and notes the result. Returns
 * the result, or 0. */
static int look_at(struct objects *o, const struct entry *e, const struct source *s,
                   struct objects_seen *ret)
{
    int same;

    if (!may_be_equal(o, e, s))
        return 0;
    same = compare_bytes(o, e, s);
    ret->v[ret->count].at = *e;
    ret->v[ret->count++].same = same;
    return same;
}

/* Compares the content with what the pool has under the id. True: it has the same bytes. A place
 * that cannot be read is passed over, as by adopt. */
static bool look_in_pool(struct objects *o, const struct source *s, const struct id *id,
                         struct objects_seen *ret)
{
    struct entry e;
    int same = 0;

    if (!o->c.pool || !disk_is_whole(o->c.disk))
        return false;
    for (unsigned nth = 0; same != 1 && ret->count < OBJECTS_SEEN_MAX &&
                           o->pool.find(o->pool.ctx, id, size_of(s), nth, &e) == 0;
         nth++)
        same = look_at(o, &e, s, ret);
    return same == 1;
}

/* Compares the content with those entries in its chain that have its size and are on a shard, and
 * then with what the pool has under the first id that is free, up to the first that is equal. It
 * keeps the results in *ret. True: nothing is equal, and *ret_free is that id. */
static bool look_for_equal(struct objects *o, const struct source *s, struct id id,
                           struct objects_seen *ret, struct id *ret_free)
{
    uint64_t target;
    bool pending, free = false;

    for (unsigned i = 0; i < ID_CHAIN_MAX && ret->count < OBJECTS_SEEN_MAX; i++) {
        struct entry e;
        int same = 0, err = refs_find(o->c.refs, &id, &target, &e, &pending);
        if (err < 0 && err != -ENOENT && err != -EAGAIN && err != -EUCLEAN)
            return false;
        if ((err == -ENOENT || err == -EAGAIN) && !free) {
            *ret_free = id;
            free = true;
        }
        if (err == 0) {
            same = pending ? 0 : look_at(o, &e, s, ret);
            refs_unhold(o->c.refs, target);
        }
        if (same != 0 || (err == 0 && pending && disk_is_whole(o->c.disk)))
            return false; /* one that is not synced yet is looked at when it is */
        if (err == -ENOENT)
            break;
        id_derive(o->c.key, &id, &id);
    }
    return free && !look_in_pool(o, s, ret_free, ret);
}

/* ---- sealing ---- */

/* The number in the name of a new file: in a pool one that was never used before, else that of its
 * slot. */
int object_file_number(struct objects *o, uint64_t number, uint64_t *ret_where)
{
    MUTEX_GUARD(&o->lock);

    *ret_where = number;
    if (!o->c.pool)
        return 0;
    if (o->files >= UINT32_MAX)
        return -EOVERFLOW; /* until the store is opened again */
    *ret_where = o->pool.prefix | ++o->files;
    return 0;
}

/* Gives the file of a slot the name of an object; *place is where it is. */
static int link_file(struct objects *o, uint64_t number, const struct source *s,
                     const struct id *id, struct entry *place)
{
    int err = object_file_number(o, number, &place->where);

    if (err < 0)
        return err;
    err = blob_link_object(s->blob, id, place->where);
    if (err < 0) /* the next try may well have other bytes, and so another name */
        (void)blob_unlink_object(o->c.disk, id, place->where);
    return err;
}

/* Stores a slot as a file of its own, or takes the file that was put ahead under that id. */
static int store_file(struct objects *o, uint64_t number, const struct source *s,
                      const struct id *id, struct entry *place)
{
    const struct objects_seen *seen = s->seen;

    place->kind = ENTRY_FILE;
    place->size = blob_length(s->blob);
    if (!seen || !seen->ahead || !id_equal(&seen->ahead_id, id))
        return link_file(o, number, s, id, place);
    if (seen->ahead < 0)
        return seen->ahead;
    place->where = seen->ahead_where;
    *s->took = true;
    return 0;
}

/* Puts the bytes of a slot into a pool on a shard, under an id that is free: the seal that follows
 * most likely takes that file. It takes as long as its bytes take, so no lock is held. */
static void put_ahead(struct objects *o, const struct source *s, const struct id *id,
                      struct objects_seen *ret)
{
    struct entry place = {.kind = ENTRY_FILE};
    int err = link_file(o, 0, s, id, &place);

    ret->ahead = err < 0 ? err : 1;
    ret->ahead_id = *id;
    ret->ahead_where = place.where;
}

/* Stores the bytes of a content, as a record or as a file. Nothing names *ret_place yet. */
static int store(struct objects *o, uint64_t number, const struct source *s, const struct id *id,
                 struct entry *ret_place)
{
    *ret_place = (struct entry){.id = *id, .size = s->len, .day = object_today(o)};
    return s->blob ? store_file(o, number, s, id, ret_place)
                   : objects_append(o, ret_place, s->data, s->how, ret_place);
}

/* Gives up bytes that were stored and that nothing names. The name of a file would be used again by
 * a second try, so it is unlinked at once and not put among the dying. A crash before this leaves
 * an orphan, which costs space and loses nothing. */
static void abandon(struct objects *o, const struct source *s, const struct entry *place)
{
    if (place->kind == ENTRY_FILE) {
        (void)blob_unlink_object(o->c.disk, &place->id, place->where);
        blob_unseal(s->blob);
    } else {
        (void)refs_reclaim_place(o->c.refs, place);
    }
}

/* Stores the bytes of a content, and seals `number` with that place. */
static int place_new(struct objects *o, uint64_t number, const struct source *s,
                     const struct id *id)
{
    struct entry place;
    int err = store(o, number, s, id, &place);

    if (err < 0)
        return err;
    err = refs_seal_new(o->c.refs, number, &place);
    if (err < 0)
        abandon(o, s, &place);
    return err;
}

/* Seals `number` with a place in the pool at which another store has put the same bytes. */
static int name_place(struct objects *o, uint64_t number, const struct entry *place)
{
    const struct pack_place at = pack_place_of(place);
    bool record = place->kind == ENTRY_PACK;
    struct entry today;
    int err = record ? packs_adopt(o->c.packs, &at, (uint32_t)place->size) : 0;

    if (err < 0)
        return err;
    today = *place;
    today.day = object_today(o);
    err = refs_seal_new(o->c.refs, number, &today);
    if (err < 0 && record)
        (void)packs_release(o->c.packs, &at, (uint32_t)place->size);
    return err;
}

/* Looks for the same bytes in the pool, put there by another store. A place that cannot be read,
 * has other bytes, or cannot be counted is passed over: ours can be put beside it. 1: `number` is
 * sealed with such a place; 0: there is none; -errno. */
static int adopt(struct objects *o, uint64_t number, const struct source *s, const struct id *id)
{
    uint64_t size = size_of(s);
    struct entry e;

    if (!o->c.pool)
        return 0;
    for (unsigned nth = 0; o->pool.find(o->pool.ctx, id, size, nth, &e) == 0; nth++) {
        int same = compare_held(o, &e, s);
        if (same == -ENOMEM || same == -EAGAIN)
            return same;
        int err = same == 1 ? name_place(o, number, &e) : -EBUSY;
        if (err != -EBUSY)
            return err < 0 ? err : 1;
        if (e.kind == ENTRY_FILE)
            object_forget_file(o, 0, e.where); /* its owner may want to delete it */
    }
    return 0;
}

/* Seals a content under an id that is free: at a place in the pool, or with new bytes. */
static int seal_free_id(struct objects *o, uint64_t number, const struct source *s,
                        const struct id *id)
{
    int err = adopt(o, number, s, id);

    if (err == 0)
        err = place_new(o, number, s, id);
    return err == -EEXIST ? -EAGAIN : err < 0 ? err : 0;
}

/* Heals `target`, whose stored bytes are damaged, with the sound bytes of `s`; the old place is
 * deleted after the next commit. */
static int heal(struct objects *o, uint64_t target, uint64_t number, const struct source *s,
                const struct id *id)
{
    char hex[ID_HEX + 1];
    struct entry place, old;
    int err = store(o, number, s, id, &place);

    if (err < 0)
        return err;
    err = refs_move(o->c.refs, target, &place, &old);
    if (err < 0) {
        abandon(o, s, &place);
        return err;
    }
    id_to_hex(id, hex);
    report(REPORT_ALARM,
           "object %s was damaged; a file with the same bytes was written, so it is whole again",
           hex);
    if (old.kind == ENTRY_FILE)
        object_forget_file(o, old.shard, old.where);
    {
        MUTEX_GUARD(&o->lock);
        o->healed++;
    }
    return refs_reclaim_place(o->c.refs, &old);
}

/* What an id of the chain is for a content. */
enum trial {
    TRIAL_DONE, /* it is sealed */
    TRIAL_FREE,
    TRIAL_GAP,   /* a chain marker: free, too, and the chain goes on behind it */
    TRIAL_TAKEN, /* by another content */
};

/* May the content be compared now with an object that is not synced yet? Most likely they are
 * equal, and would be compared once more when that object is durable. So only small records are
 * compared at once, and any record if collisions were met before; files never. */
static bool is_comparable(struct objects *o, const struct entry *e, const struct source *s)
{
    if (e->size != size_of(s))
        return true;
    if (s->blob || s->len <= COMPARED_TWICE)
        return !s->blob;
    MUTEX_GUARD(&o->lock);
    return o->collisions > 0;
}

/* A content that is kept aside may name what is not durable or not committed yet: its draft counts
 * after a commit only. Others wait for these. */
static bool must_wait(struct objects *o, const struct source *s, uint64_t target, bool pending)
{
    return !s->aside && (pending || refs_is_aside(o->c.refs, target));
}

/* Tries an id that `target`, which the caller holds, already has. An enum trial, or -errno. */
static int try_taken(struct objects *o, uint64_t number, const struct source *s,
                     const struct id *id, uint64_t target, const struct entry *e, bool pending)
{
    int err = 0, same;

    pending = must_wait(o, s, target, pending);
    if (pending && !is_comparable(o, e, s))
        return -EAGAIN;
    same = entry_is_sealed(e) ? compare_held(o, e, s) : 0;
    if (same == 0)
        return TRIAL_TAKEN;
    if (pending && (same > 0 || same == -EUCLEAN))
        return -EAGAIN; /* when it is durable */
    if (same == -EUCLEAN && s->find)
        return TRIAL_TAKEN; /* who stores the bytes heals it */
    if (same == -EUCLEAN) {
        (void)object_unreadable(e, same);
        err = heal(o, target, number, s, id);
    } else if (same < 0)
        err = same;
    if (s->aside)
        return err < 0 ? err : e->count < KEPT_COUNT_MAX ? TRIAL_DONE : TRIAL_TAKEN;
    if (err == 0)
        err = refs_seal_alias(o->c.refs, number, target);
    if (err == -EOVERFLOW) /* its count is at the limit, so the bytes are stored once more */
        return TRIAL_TAKEN;
    return err < 0 ? err : TRIAL_DONE;
}

/* One id of the chain: enum trial, or -errno. *ret_number if it is done. */
static int try_id(struct objects *o, uint64_t number, const struct source *s, const struct id *id,
                  uint64_t *ret_number)
{
    struct entry e;
    uint64_t target;
    bool pending;
    int trial = refs_find(o->c.refs, id, &target, &e, &pending);

    if (trial == -ENOENT || trial == -EAGAIN)
        return trial == -ENOENT ? TRIAL_FREE : TRIAL_GAP;
    if (trial == -EUCLEAN) /* the entry of that id is lost: the new bytes are stored beside it */
        return TRIAL_TAKEN;
    if (trial < 0)
        return trial;
    trial = try_taken(o, number, s, id, target, &e, pending);
    if (trial == TRIAL_DONE)
        *ret_number = target;
    if (trial != TRIAL_DONE || !s->aside)
        refs_unhold(o->c.refs, target);
    return trial;
}

static void note_collision(struct objects *o)
{
    MUTEX_GUARD(&o->lock);
    o->collisions++;
}

/* Reported once only: an attacker who makes such contents makes many. */
static void note_apart(struct objects *o, const struct id *hash)
{
    char hex[ID_HEX + 1];
    uint64_t before;

    {
        MUTEX_GUARD(&o->lock);
        before = o->apart++;
    }
    id_to_hex(hash, hex);
    if (before == 0)
        report(REPORT_WARN,
               "more than %d contents have the id %s, which is no chance: they are stored, but "
               "copies of them are not shared",
               ID_CHAIN_MAX, hex);
}

/* Seals a content for which all ids of its chain are taken, under an id with a random salt. */
static int seal_apart(struct objects *o, uint64_t number, const struct source *s,
                      const struct id *hash)
{
    struct id id;
    uint64_t salt;
    int err;

    if (getrandom(&salt, sizeof salt, 0) != sizeof salt)
        return -EIO;
    id_salt(o->c.key, hash, salt, &id);
    err = place_new(o, number, s, &id);
    if (err < 0)
        return err == -EEXIST ? -EAGAIN : err;
    note_apart(o, hash);
    return 0;
}

/* Seals a content that equals no object: under the id that is free, or if `id` is NULL apart. A
 * buffer that is kept aside has no number yet, and gets one. */
static int seal_new(struct objects *o, uint64_t number, const struct source *s, const struct id *id,
                    const struct id *hash)
{
    const bool make = number == 0;
    int err = make ? refs_new_aside(o->c.refs, &number) : 0;

    if (err < 0)
        return err;
    err = id ? seal_free_id(o, number, s, id) : seal_apart(o, number, s, hash);
    if (err == 0 && make)
        *s->aside = number;
    if (err < 0 && make)
        refs_drop_aside(o->c.refs, number);
    return err;
}

/* Tries the ids of the chain in order, until the content equals an object or the chain ends; then
 * it takes the first free id that it met. */
static int seal(struct objects *o, uint64_t number, const struct source *s, struct id hash,
                uint64_t *ret_number)
{
    struct id id = hash, place = {{0}};
    int trial = TRIAL_TAKEN;
    bool found = false;

    for (unsigned i = 0; i < ID_CHAIN_MAX && trial != TRIAL_FREE; i++) {
        trial = try_id(o, number, s, &id, ret_number);
        if (trial <= TRIAL_DONE)
            return trial;
        if (trial == TRIAL_TAKEN)
            note_collision(o);
        else if (!found)
            place = id;
        found = found || trial != TRIAL_TAKEN;
        id_derive(o->c.key, &id, &id);
    }
    trial = seal_new(o, number, s, found ? &place : NULL, &hash);
    *ret_number = number ? number : *s->aside;
    return trial;
}

void objects_look_buffer(struct objects *o, const void *data, uint32_t len,
                         struct objects_seen *ret)
{
    struct id id, free;

    *ret = (struct objects_seen){.count = 0};
    if (len == 0 || (refs_ghosts(o->c.refs) == 0 && !disk_is_whole(o->c.disk)))
        return;
    id_of(o->c.key, data, len, &id);
    (void)look_for_equal(o, &(struct source){.data = data, .len = len}, id, ret, &free);
}

void objects_look_blob(struct objects *o, struct blob *b, const struct id *id,
                       struct objects_seen *ret)
{
    const struct source s = {.blob = b};
    bool whole = disk_is_whole(o->c.disk);
    struct id free;

    *ret = (struct objects_seen){.count = 0};
    if ((refs_ghosts(o->c.refs) || whole) && look_for_equal(o, &s, *id, ret, &free) && whole)
        put_ahead(o, &s, &free, ret);
}

int objects_seal_buffer(struct objects *o, uint64_t number, const void *data, uint32_t len,
                        enum compress_how how, const struct objects_seen *seen,
                        uint64_t *ret_number)
{
    struct id id;

    if (len == 0 || len > PACK_RECORD_MAX)
        return -EINVAL;
    id_of(o->c.key, data, len, &id);
    return seal(o, number, &(struct source){.data = data, .len = len, .how = how, .seen = seen}, id,
                ret_number);
}

int objects_keep_buffer(struct objects *o, const void *data, uint32_t len, enum compress_how how,
                        const struct objects_seen *seen, uint64_t *ret_number, bool *ret_new)
{
    uint64_t made = 0;
    struct id id;
    int err;

    if (len == 0 || len > PACK_RECORD_MAX)
        return -EINVAL;
    id_of(o->c.key, data, len, &id);
    const struct source s = {.data = data, .len = len, .how = how, .seen = seen, .aside = &made};
    err = seal(o, 0, &s, id, ret_number);
    *ret_new = made != 0;
    return err;
}

int objects_find_buffer(struct objects *o, const void *data, uint32_t len,
                        const struct objects_seen *seen, uint64_t *ret_number)
{
    uint64_t made = 0;
    const struct source s = {.data = data, .len = len, .seen = seen, .aside = &made, .find = true};
    int trial = TRIAL_TAKEN;
    struct id id;

    id_of(o->c.key, data, len, &id);
    for (unsigned i = 0; i < ID_CHAIN_MAX && trial != TRIAL_FREE; i++) {
        trial = try_id(o, 0, &s, &id, ret_number);
        if (trial <= TRIAL_DONE)
            return trial;
        id_derive(o->c.key, &id, &id);
    }
    return -ENOENT;
}

int objects_hash_blob(struct objects *o, struct blob *b, struct id *ret_id)
{
    return blob_hash(b, o->c.key, NULL, ret_id);
}

void objects_follow_blob(struct objects *o, struct blob *b)
{
    blob_follow_id(b, o->c.key);
}

/* Seals a slot, or keeps it aside. */
static int seal_blob(struct objects *o, uint64_t number, const struct source *blob,
                     const struct id *id, uint64_t *ret_number)
{
    bool took = false, ahead = blob->seen && blob->seen->ahead > 0;
    struct source s = *blob;
    int err;

    s.took = &took;
    err = seal(o, number, &s, *id, ret_number);
    if (ahead && !took)
        blob_unseal(s.blob); /* a cycle of the pool removes what was put ahead */
    return err;
}

int objects_seal_blob(struct objects *o, uint64_t number, struct blob *b, const struct id *id,
                      const struct objects_seen *seen, uint64_t *ret_number)
{
    return seal_blob(o, number, &(struct source){.blob = b, .seen = seen}, id, ret_number);
}

int objects_keep_blob(struct objects *o, uint64_t number, struct blob *b, const struct id *id,
                      const struct objects_seen *seen, uint64_t *ret_number)
{
    return seal_blob(o, number, &(struct source){.blob = b, .seen = seen, .aside = &number}, id,
                     ret_number);
}
