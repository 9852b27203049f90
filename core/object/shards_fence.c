// SPDX-License-Identifier: Apache-2.0
/*
 * shards_fence: is a place the shard that it should be, and may this store write there?
 *
 * A store may have been copied with all its tables, and then both copies know the same shards. A
 * fence, which is a chain of random fencing tokens, lets only one of them write, and lets the other
 * one find out. The record of the shard in the store has the token T, and so has the file `owner`
 * on the shard. After each opening, before its first write, a store takes the fence:
 *
 *   a. It reads `owner`. This must be T, or the next token N that it put itself when it took the
 *      fence before and was interrupted, and whose claims/T still exists; else the shard is
 *      foreign.
 *   b. It records N, with a new incarnation, durably.
 *   c. It puts the fence file claims/T = N if that does not exist. If it exists it must be this N,
 *      else the shard is foreign.
 *   d. It reads `owner` again, which must be as in a. Who took the fence from T before c began
 *      shows here.
 *   e. It puts `owner` = N.
 *   f. It records T = N, durably.
 *   g. It deletes claims/T.
 *
 * Of two copies that begin with the same T only one passes c while claims/T exists, and no copy
 * passes d after claims/T was deleted. If taking the fence is interrupted, the same store repeats
 * it with the same N. A copy that is made of a store in that moment knows N, too: the copy that
 * finishes first deletes claims/T, and N without claims/T lets nobody in. An older backup of the
 * store has a T that `owner` does not have any more.
 *
 * An archive has no fence: see shards_archive.c.
 *
 * All of this rests on puts of which one wins. So a place is probed before it becomes a shard
 * (shard_probe).
 *
 * A full shard may have no room for a fence file, and without the fence nothing could be deleted
 * there. So each shard has a spare file, which is deleted to make that room.
 */
#include "shards_impl.h"

#include "io.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define SPARE_SIZE 65536 /* bytes */

static int fill_random(void *out, size_t len)
{
    return getrandom(out, len, 0) == (ssize_t)len ? 0 : -EIO;
}

/* ---- is it the right shard? ---- */

/* Read the identity of a shard. -ENOENT: there is none; -EUCLEAN: it is damaged. */
static int read_identity(struct shard *shard, struct shard_identity *ret)
{
    char text[SHARD_TEXT_MAX];
    ssize_t n = shard_get(shard, SHARD_IDENTITY, text, sizeof text);

    if (n == -EFBIG)
        return -EUCLEAN;
    return n < 0 ? (int)n : shard_identity_decode(text, (size_t)n, ret);
}

/* Read a token from a file. -ENOENT, -EUCLEAN as read_identity. */
static int read_token(struct shard *shard, const char *name, uint8_t ret[SHARD_TOKEN_LEN])
{
    char text[SHARD_TEXT_MAX];
    ssize_t n = shard_get(shard, name, text, sizeof text);

    if (n == -EFBIG)
        return -EUCLEAN;
    return n < 0 ? (int)n : shard_token_decode(text, (size_t)n, ret);
}

/* Puts into words why the identity of a shard could not be read. */
static void say_unreadable(int err, char why[SHARD_WHY])
{
    if (err == -ENOENT)
        snprintf(why, SHARD_WHY, "there is no shard: is it mounted?");
    else if (err == -EUCLEAN)
        snprintf(why, SHARD_WHY, "its identity, '%s', is damaged", SHARD_IDENTITY);
    else if (err == -EPROTO)
        snprintf(why, SHARD_WHY, "it was written by a newer version");
    else
        snprintf(why, SHARD_WHY, "its identity cannot be read: %s", strerror(-err));
}

/* Compares an identity that was read with the record of the shard. */
static enum shards_state compare_identity(struct shards *s, const struct shard_record *r,
                                          uint16_t number, const struct shard_identity *i,
                                          char why[SHARD_WHY])
{
    if (memcmp(i->store, s->store, sizeof i->store) != 0)
        snprintf(why, SHARD_WHY, "another store's shard is there");
    else if (i->number != number)
        snprintf(why, SHARD_WHY, "shard %u of this store is there", i->number);
    else if (memcmp(i->id, r->id, sizeof i->id) != 0)
        snprintf(why, SHARD_WHY, "another shard is there that was added under the same number");
    else
        return SHARDS_OK;
    return SHARDS_WRONG;
}

/* Is an open place the shard, or the archive, that it should be? */
static enum shards_state look_who(struct shards *s, struct shard *shard,
                                  const struct shard_record *r, uint16_t number,
                                  char why[SHARD_WHY])
{
    struct shard_identity identity;
    int err;

    if (r->archive) {
        err = shards_check_archive(shard, r->id, why);
        return err == 0 ? SHARDS_OK : err == -EBUSY ? SHARDS_WRONG : SHARDS_UNREACHABLE;
    }
    err = read_identity(shard, &identity);
    if (err == 0)
        return compare_identity(s, r, number, &identity, why);
    say_unreadable(err, why);
    return SHARDS_UNREACHABLE;
}

enum shards_state shards_recognise(struct shards *s, const struct shard_record *r, uint16_t number,
                                   struct shard **ret_shard, char why[SHARD_WHY])
{
    struct shard *shard;

    if (shard_open(r->url, s->open_flags | (s->readonly ? SHARD_READONLY : 0), &shard, why) < 0)
        return SHARDS_UNREACHABLE;
    enum shards_state state = look_who(s, shard, r, number, why);

    if (state == SHARDS_OK)
        *ret_shard = shard;
    else
        shard_close(shard);
    return state;
}

/* ---- may this store write there? ---- */

static bool is_token(const uint8_t *a, const uint8_t *b)
{
    return memcmp(a, b, SHARD_TOKEN_LEN) == 0;
}

static bool has_identity(struct shard *shard, const uint8_t id[SHARD_ID_LEN])
{
    struct shard_identity i;

    return read_identity(shard, &i) == 0 && memcmp(i.id, id, sizeof i.id) == 0;
}

/* Is the right shard still there, although a name is missing on it? */
static bool is_there(struct shard *shard, const struct shard_record *r)
{
    return has_identity(shard, r->id);
}

/* Called when `owner` has the next token already. 1: this store put it there when it took the fence
 * and was interrupted, and its fence file is there still. -EKEYREVOKED: another copy of the store,
 * which knows the same token, put it there. */
static int check_fence_left(struct shard *shard, const struct shard_record *r, char why[SHARD_WHY])
{
    char name[SHARD_FENCE_NAME];
    uint8_t token[SHARD_TOKEN_LEN];

    shard_fence_name(r->token, name);
    int err = read_token(shard, name, token);

    if (err == 0 && is_token(token, r->next))
        return 1;
    if (err < 0 && err != -ENOENT && err != -EUCLEAN && err != -EPROTO)
        return err;
    if (err < 0 && !is_there(shard, r))
        return -ENOENT;
    snprintf(why, SHARD_WHY, "another copy of this store has used it since");
    return -EKEYREVOKED;
}

/* Who owns the shard? 0: `owner` has our token; 1: it has our next token; -EKEYREVOKED: it is
 * foreign; -ENOENT: nothing of the shard is there; other errors are those of reading. */
static int check_owner(struct shard *shard, const struct shard_record *r, char why[SHARD_WHY])
{
    uint8_t token[SHARD_TOKEN_LEN];
    int err = read_token(shard, SHARD_OWNER, token);

    if ((err == -ENOENT || err == -EUCLEAN || err == -EPROTO) && !is_there(shard, r))
        return -ENOENT;
    if (err == 0 && is_token(token, r->token))
        return 0;
    if (err == 0 && r->has_next && is_token(token, r->next))
        return check_fence_left(shard, r, why);
    if (err == 0)
        snprintf(why, SHARD_WHY, "another copy of this store has used it since");
    else if (err == -ENOENT || err == -EUCLEAN || err == -EPROTO)
        snprintf(why, SHARD_WHY, "whose it is cannot be told: '%s' is %s", SHARD_OWNER,
                 err == -ENOENT ? "missing" : "damaged");
    else
        return err;
    return -EKEYREVOKED;
}

/* Sets the state of a shard after a failure, and returns the error that callers get. */
static int fail(struct shards *s, struct shards_slot *slot, int err, const char *why)
{
    MUTEX_GUARD(&s->lock);
    if (err == -EKEYREVOKED) {
        slot->foreign = true;
        slot->has_fence = false;
        shards_set_state(s, slot, SHARDS_FOREIGN, why);
        return -EROFS;
    }
    if (err == -EROFS || err == -EACCES) {
        slot->no_write = true;
        shards_set_state(s, slot, SHARDS_READONLY, "nothing can be written there");
        return -EROFS;
    }
    if (err == -EHOSTUNREACH || err == -ENOENT) {
        slot->stale = true;
        shards_set_state(s, slot, SHARDS_UNREACHABLE, "it cannot be asked any more");
        return -EHOSTUNREACH;
    }
    return err;
}

/* ---- asking ---- */

/* Makes a handle of an open shard, and takes the shard over, also after a failure (NULL). */
static struct shards_handle *make_handle(struct shard *shard)
{
    struct shards_handle *h = calloc(1, sizeof *h);

    if (h)
        h->shard = shard;
    else
        shard_close(shard);
    return h;
}

/* The state of a shard that was recognised and can be read. */
static enum shards_state readable_state(struct shards *s, struct shards_slot *slot)
{
    if (slot->foreign)
        return SHARDS_FOREIGN;
    return s->readonly || slot->no_write ? SHARDS_READONLY : SHARDS_OK;
}

/* Makes `h` the handle of the shard, unless the old one still works. The handle that is not needed
 * is closed when it is no longer in use. */
static void install(struct shards *s, struct shards_slot *slot, struct shards_handle *h,
                    const struct shard_space *space, const char *why)
{
    MUTEX_GUARD(&s->lock);
    bool keep = slot->handle && !slot->stale;
    struct shards_handle *out = keep ? h : slot->handle;

    if (!keep) {
        slot->handle = h;
        slot->no_write = false; /* the disk was elsewhere meanwhile, so the next write shows
                                 * whether it is writable */
    }
    slot->stale = false;
    if (out) {
        out->next = slot->replaced;
        slot->replaced = out;
    }
    slot->space = *space;
    slot->has_fence = slot->has_fence && !slot->foreign;
    enum shards_state state = readable_state(s, slot);

    if (state == SHARDS_READONLY)
        why = s->readonly ? "the store is open for reading only" : "nothing can be written there";
    shards_set_state(s, slot, state, why);
}

void shards_ask(struct shards *s, struct shards_slot *slot)
{
    char why[SHARD_WHY] = "";
    struct shard_space space = {0};
    struct shard *shard;
    enum shards_state state = shards_recognise(s, &slot->record, slot->number, &shard, why);
    struct shards_handle *h = NULL;
    int err = 0;

    if (state == SHARDS_OK) {
        err = slot->record.archive ? 0 : check_owner(shard, &slot->record, why);
        (void)shard_space(shard, &space);
        h = make_handle(shard);
        if (!h || (err < 0 && err != -EKEYREVOKED)) {
            snprintf(why, SHARD_WHY, "it cannot be read: %s", strerror(h ? -err : ENOMEM));
            state = SHARDS_UNREACHABLE;
        }
    }
    if (state == SHARDS_OK) {
        /* only the thread that made the slot busy changes `foreign` */
        slot->foreign = err == -EKEYREVOKED;
        install(s, slot, h, &space, why);
        return;
    }
    {
        MUTEX_GUARD(&s->lock);
        slot->stale = true;
        shards_set_state(s, slot, state, why);
        if (h) {
            h->next = slot->replaced;
            slot->replaced = h;
        }
    }
}

/* ---- taking the fence ---- */

/* Put a token into a file: `replace` an existing one, or only if there is none (-EEXIST). */
static int put_token(struct shard *shard, const char *name, const uint8_t *token, bool replace)
{
    char text[SHARD_TEXT_MAX];
    size_t len = shard_token_encode(token, text);

    return replace ? shard_put(shard, name, text, len)
                   : shard_put_if_absent(shard, name, text, len);
}

/* Puts a spare file there, whose deletion makes room for a fence file on a full shard. It has no
 * data, so it may come and go at any time. */
static void put_spare(struct shard *shard)
{
    uint8_t *zeros = calloc(1, SPARE_SIZE);

    if (zeros)
        (void)shard_put_if_absent(shard, SHARD_SPARE, zeros, SPARE_SIZE);
    free(zeros);
}

/* Puts a token. On a full shard the spare file is deleted first. */
static int put_token_somehow(struct shard *shard, const char *name, const uint8_t *token,
                             bool replace)
{
    int err = put_token(shard, name, token, replace);

    if (io_is_full(err) && shard_delete(shard, SHARD_SPARE) == 0)
        err = put_token(shard, name, token, replace);
    return err;
}

/* Step c of taking the fence: puts the fence file. -EKEYREVOKED: another copy of this store is
 * taking the fence now. */
static int put_fence(struct shard *shard, const struct shard_record *r, char why[SHARD_WHY])
{
    char name[SHARD_FENCE_NAME];
    uint8_t token[SHARD_TOKEN_LEN];

    shard_fence_name(r->token, name);
    int err = put_token_somehow(shard, name, r->next, false);

    if (err != -EEXIST)
        return err;
    err = read_token(shard, name, token);
    if (err == 0 && is_token(token, r->next))
        return 0;
    if (err < 0 && err != -ENOENT && err != -EUCLEAN && err != -EPROTO)
        return err;
    snprintf(why, SHARD_WHY, "another copy of this store is just taking its fence");
    return -EKEYREVOKED;
}

/* Writes the next token and a new incarnation into the record, before anything changes on the
 * shard. */
static int offer_next(struct shards *s, struct shards_slot *slot)
{
    struct shard_record r = slot->record;

    if (r.incarnation == UINT32_MAX)
        return -EOVERFLOW;
    int err = r.has_next ? 0 : fill_random(r.next, sizeof r.next);

    r.has_next = true;
    r.incarnation++;
    return err < 0 ? err : shards_write_record(s, slot, &r);
}

/* Makes the next token the present one, after the shard has it. */
static int accept_next(struct shards *s, struct shards_slot *slot)
{
    struct shard_record r = slot->record;

    memcpy(r.token, r.next, sizeof r.token);
    r.has_next = false;
    memset(r.next, 0, sizeof r.next);
    return shards_write_record(s, slot, &r);
}

/* Steps c to e of taking the fence. If this fails since the shard is foreign, its own fence file is
 * deleted. `was` is the result of check_owner in step a. */
static int take_fence_there(struct shard *shard, const struct shard_record *r, int was,
                            char why[SHARD_WHY])
{
    char name[SHARD_FENCE_NAME];
    int err = put_fence(shard, r, why);

    if (err < 0)
        return err;
    err = check_owner(shard, r, why);
    if (err >= 0 && err != was) {
        snprintf(why, SHARD_WHY, "another copy of this store has just taken its fence");
        err = -EKEYREVOKED;
    }
    if (err == -EKEYREVOKED) {
        shard_fence_name(r->token, name);
        (void)shard_delete(shard, name);
    }
    return err < 0 ? err : put_token_somehow(shard, SHARD_OWNER, r->next, true);
}

/* Deletion of old fence files. */
struct litter {
    struct shard *shard;
    /* The name of the next fence file after ours, which stays: a copy of this store may be making
     * it. */
    char keep[SHARD_FENCE_NAME];
};

/* Deletes the fence files of who was interrupted. A copy that has just put a fence file with an
 * older token is refused by `owner`. */
static int delete_litter(const char *name, uint64_t size, void *ctx)
{
    const struct litter *l = ctx;

    (void)size;
    if (strcmp(name, l->keep) != 0)
        (void)shard_delete(l->shard, name);
    return 0;
}

int shards_take_fence(struct shards *s, struct shards_slot *slot)
{
    struct shard *shard = slot->handle->shard;
    struct litter litter = {.shard = shard};
    char why[SHARD_WHY] = "", old[SHARD_FENCE_NAME];
    int was = check_owner(shard, &slot->record, why), err;

    if (was < 0)
        return fail(s, slot, was, why);
    err = offer_next(s, slot);
    if (err < 0)
        return err; /* the record could not be written: the error is the store's own */
    err = take_fence_there(shard, &slot->record, was, why);
    if (err < 0)
        return fail(s, slot, err, why);
    shard_fence_name(slot->record.token, old);
    err = accept_next(s, slot);
    if (err < 0)
        return err;
    (void)shard_delete(shard, old);
    shard_fence_name(slot->record.token, litter.keep);
    (void)shard_list(shard, SHARD_FENCES, delete_litter, &litter);
    put_spare(shard);
    MUTEX_GUARD(&s->lock);
    slot->has_fence = true;
    slot->no_write = false;
    slot->checked = clock_ticks(s->clock);
    if (slot->state == SHARDS_READONLY)
        shards_set_state(s, slot, SHARDS_OK, "");
    return 0;
}

int shards_check_owner(struct shards *s, struct shards_slot *slot)
{
    char why[SHARD_WHY] = "";
    int err = check_owner(slot->handle->shard, &slot->record, why);

    if (err < 0)
        return fail(s, slot, err, why);
    MUTEX_GUARD(&s->lock);
    slot->checked = clock_ticks(s->clock);
    return 0;
}

/* ---- adding ---- */

/* Called for each file of a place that is to become a shard. A file that is none of a shard means
 * that the place is in use. */
static int find_other(const char *name, uint64_t size, void *ctx)
{
    (void)size;
    if (strcmp(name, SHARD_IDENTITY) == 0 || strcmp(name, SHARD_OWNER) == 0 ||
        strcmp(name, SHARD_SPARE) == 0 || strncmp(name, SHARD_FENCES "/", sizeof SHARD_FENCES) == 0)
        return 0;
    snprintf(ctx, SHARD_WHY, "it is not empty: there is '%.100s'", name);
    return -ENOTEMPTY;
}

/* Puts a new identity. -EEXIST: there is another one. A driver that lost the answer to its put, and
 * sent it again, says so of this one, too. */
static int put_identity(struct shards *s, struct shard *shard, uint16_t number,
                        struct shard_identity *i)
{
    char text[SHARD_TEXT_MAX];

    *i = (struct shard_identity){.number = number};
    memcpy(i->store, s->store, sizeof i->store);
    int err = fill_random(i->id, sizeof i->id);
    size_t len = shard_identity_encode(i, text);

    if (err == 0)
        err = shard_put_if_absent(shard, SHARD_IDENTITY, text, len);
    return err == -EEXIST && has_identity(shard, i->id) ? 0 : err;
}

/* Check an identity that exists already. It must be that of this store and number, left by an
 * addition that was interrupted. */
static int check_taken(struct shards *s, struct shard *shard, uint16_t number,
                       struct shard_identity *i, char why[SHARD_WHY])
{
    int err = read_identity(shard, i);

    if (err == -EUCLEAN || err == -EPROTO) {
        snprintf(why, SHARD_WHY, "another shard is there, whose identity cannot be read");
        return -EBUSY;
    }
    if (err < 0)
        return err;
    if (memcmp(i->store, s->store, sizeof i->store) == 0 && i->number == number)
        return 0;
    struct shard_record r = {0};

    compare_identity(s, &r, number, i, why);
    return -EBUSY;
}

/* Put a first token, or take the one that an interrupted addition has put. If a copy of this store
 * has put that one, the first to take the fence is the one that may write. */
static int put_owner(struct shard *shard, uint8_t token[SHARD_TOKEN_LEN], char why[SHARD_WHY])
{
    char name[SHARD_FENCE_NAME];
    int err = fill_random(token, SHARD_TOKEN_LEN);

    if (err == 0)
        err = put_token(shard, SHARD_OWNER, token, false);
    if (err != -EEXIST)
        return err;
    err = read_token(shard, SHARD_OWNER, token);
    if (err < 0)
        return err == -EUCLEAN || err == -EPROTO ? -EBUSY : err;
    shard_fence_name(token, name);
    err = shard_stat(shard, name, &(uint64_t){0});
    if (err == 0)
        snprintf(why, SHARD_WHY, "another copy of this store has begun to use it");
    return err == 0 ? -EBUSY : err == -ENOENT ? 0 : err;
}

/* Probes a place before it gets an identity. Where another addition has been quicker meanwhile its
 * store may have deleted the probe, which then says nothing of the place. */
static int probe(struct shard *shard, bool found, char why[SHARD_WHY])
{
    struct shard_identity other;
    int err = shard_probe(shard, why);

    if (err == -EOPNOTSUPP && !found && read_identity(shard, &other) == 0)
        return -EEXIST;
    return err;
}

int shards_take(struct shards *s, struct shard *shard, uint16_t number, struct shard_record *r,
                char why[SHARD_WHY])
{
    struct shard_identity identity;
    int err = check_taken(s, shard, number, &identity, why);
    bool found = err == 0;

    if (err == 0 || err == -ENOENT)
        err = shard_list(shard, "", find_other, why);
    if (err == 0)
        err = probe(shard, found, why);
    if (err == 0 && !found)
        err = put_identity(s, shard, number, &identity);
    if (err == -EEXIST) { /* another addition was quicker */
        snprintf(why, SHARD_WHY, "another store is just adding it");
        err = -EBUSY;
    }
    if (err == 0)
        err = put_owner(shard, r->token, why);
    if (err < 0)
        return err;
    memcpy(r->id, identity.id, sizeof r->id);
    put_spare(shard);
    return 0;
}
