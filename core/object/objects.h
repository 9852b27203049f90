// SPDX-License-Identifier: Apache-2.0
/*
 * objects: sealed contents: reading them wherever they are, making new ones without storing equal
 * bytes twice, deleting the dead.
 *
 *     objects_seal_buffer / objects_seal_blob   number -> PACK, FILE or ALIAS
 *     objects_sync                              their bytes and names are durable
 *     (commit of the refs table)
 *     objects_delete                            bytes of what a commit forgot
 *
 * Identity is always the bytes (DESIGN 4.1). If an object with the id exists, its bytes are
 * compared. If those are damaged, the new bytes replace them, with an alarm. If they are sound and
 * differ, the next id is derived from this one, up to ID_CHAIN_MAX times. A content for which all
 * of these ids are taken is stored under an id with a salt (id_salt), and its bytes are not shared.
 * So every content finds a place.
 *
 * Errors: 0 or -errno. -EUCLEAN damaged bytes (reported with the id). -EPROTO sound bytes that this
 * version cannot read (likewise), or compare: they count as another content. -EAGAIN from sealing:
 * the same content, or of larger ones one that may be the same, is being sealed and not synced yet:
 * try again after objects_sync; or a draft stored it, and no commit has it yet (refs_is_aside).
 * Threads: any; sealing of different numbers may run in parallel. Who seals holds the freeze lock
 * (read), so that no commit sees half of it; the long part of objects_seal_blob, objects_hash_blob,
 * needs no freeze lock.
 */
#pragma once

#include "blob.h"
#include "compress.h"
#include "packs.h"
#include "refs.h"
#include "shard.h"

struct objects;

/* What people are told of bytes that give -EPROTO, after "it is". */
#define OBJECTS_COMPRESSED "compressed by a newer version of tally"

/* A pool that other stores put bytes into, too. */
struct objects_pool {
    /* Finds the nth place (from 0) at which another store reports `size` bytes of that id. It sets
     * the kind, id, size, where and offset of *ret. The caller holds the freeze lock until it has
     * made the entry that names the place. -ENOENT: there are no more. */
    int (*find)(void *ctx, const struct id *id, uint64_t size, unsigned nth, struct entry *ret);
    void *ctx;
    uint64_t prefix; /* the numbers of files are this and 1, 2, 3 … in the low 32 bits */
};

struct objects_config {
    struct disk *disk;
    struct packs *packs;
    struct shards *shards;     /* NULL: there are none, and no entry is a ghost */
    const struct clock *clock; /* for `day` and `created` */
    struct refs *refs;
    const struct id_key *key;
    const struct objects_pool *pool; /* copied; NULL: the store's files are its own */
};

int objects_open(const struct objects_config *config, struct objects **ret_objects);
void objects_close(struct objects *o); /* NULL is fine */

/* Called at a start, before anything is sealed: deletes the object files that no entry names.
 * Either no commit had them, or a commit removed them and the unlink was lost. A file stays if the
 * entries cannot be read. A file whose number is below `next`, and that no entry names, stays if
 * `keep` returns true. */
int objects_reap(struct objects *o, uint64_t next, bool (*keep)(void *ctx), void *ctx);

/* Up to `len` bytes at `off` of a sealed entry; short at its end. All verified. Where the bytes
 * were moved since the entry was read, they are read where they are now. */
ssize_t objects_read(struct objects *o, const struct entry *e, void *buf, size_t len, uint64_t off);

/* The same, of the bytes that are at this very place, as the shard itself has them. No alarm is
 * raised. */
ssize_t objects_read_there(struct objects *o, const struct entry *e, void *buf, size_t len,
                           uint64_t off);

/* Is reading the entry to ask a shard: is it a ghost, or is the store's home a pool on a shard? Who
 * reads such bytes holds no lock that a change takes. */
bool objects_is_remote(const struct objects *o, const struct entry *e);

/* Keep the file of a FILE entry of the home shard open, until objects_unpin was called as often as
 * this. Meanwhile all reads of the object are through this one open file; only objects_verify and
 * copies open it anew. -EUCLEAN: there is no such file, or it is damaged; no alarm is raised. */
int objects_pin(struct objects *o, const struct entry *e, struct blob **ret_blob);
void objects_unpin(struct objects *o, uint64_t where);

/* The objects on shards that may equal a content, and the results of comparing them. The shards are
 * read before the freeze lock is taken, since no thread that holds the freeze lock asks a shard.
 * More than OBJECTS_SEEN_MAX objects with the same id and size do not happen by chance. */
#define OBJECTS_SEEN_MAX 4
struct objects_seen {
    unsigned count;
    struct {
        struct entry at;
        int same; /* 1, 0, -EUCLEAN its bytes are damaged or lost, -errno */
    } v[OBJECTS_SEEN_MAX];
    /* Of a blob in a pool on a shard that equals nothing: 1: its bytes were put already, as the
     * file of that id with the number ahead_where; -errno: they could not be put; 0: neither. The
     * blob then reads as an object until objects_seal_blob, which must follow. */
    int ahead;
    struct id ahead_id;
    uint64_t ahead_where;
};
/* Fill *ret for the seal that follows. The caller holds no lock. In a store without ghosts, whose
 * home is no pool on a shard, these cost nothing. */
void objects_look_buffer(struct objects *o, const void *data, uint32_t len,
                         struct objects_seen *ret);
void objects_look_blob(struct objects *o, struct blob *b, const struct id *id,
                       struct objects_seen *ret);
/* Seals `len` (1 … PACK_RECORD_MAX) bytes in memory under `number`. *ret_number is the object they
 * are now: `number` itself, or the object they equal. `how` is how they are stored, if they are
 * new. `seen` is the result of objects_look_buffer;
 * -EAGAIN: it is out of date, look again. NULL: nothing was looked up, and every object on another
 * shard counts as another content. */
int objects_seal_buffer(struct objects *o, uint64_t number, const void *data, uint32_t len,
                        enum compress_how how, const struct objects_seen *seen,
                        uint64_t *ret_number);
/* Seal a slot, whose id objects_hash_blob gave. If it became a FILE of its own its slot's name must
 * be removed after the commit (the caller keeps the list); so also if it became an alias. */
int objects_hash_blob(struct objects *o, struct blob *b, struct id *ret_id);
/* Called for a new slot: the bytes that are written to it are hashed on the way
 * (blob_follow_id). */
void objects_follow_blob(struct objects *o, struct blob *b);
int objects_seal_blob(struct objects *o, uint64_t number, struct blob *b, const struct id *id,
                      const struct objects_seen *seen, uint64_t *ret_number);
/* The same for contents of a draft. *ret_number is an object that has the bytes already, which may
 * be one that is not synced or not committed yet, since nobody sees the draft before a commit; or
 * (*ret_new) a new one, which is aside (refs.h). The caller has a hold on it. A blob has a number
 * of refs_new_aside that no item names; if *ret_number is another one the caller drops it
 * (refs_drop_aside). The slot's name has no use afterwards: no commit has it. */
int objects_keep_buffer(struct objects *o, const void *data, uint32_t len, enum compress_how how,
                        const struct objects_seen *seen, uint64_t *ret_number, bool *ret_new);
int objects_keep_blob(struct objects *o, uint64_t number, struct blob *b, const struct id *id,
                      const struct objects_seen *seen, uint64_t *ret_number);
/* Finds an object that has the bytes already, as objects_keep_buffer does, of any length above 0,
 * and stores nothing. The caller has a hold on it. -ENOENT: there is none that is known to be
 * equal. */
int objects_find_buffer(struct objects *o, const void *data, uint32_t len,
                        const struct objects_seen *seen, uint64_t *ret_number);
/* Are the bytes that are stored at exactly this place equal to `data`? It does not matter whether
 * an entry names the place, or where other objects of its id are. 1, 0, -EUCLEAN: damaged or not
 * there, -errno. No alarm is raised. */
int objects_are_at(struct objects *o, const struct entry *place, const void *data, uint32_t len);
/* Everything sealed before the call is durable (and dedup hits on it need not wait). */
int objects_sync(struct objects *o);
/* After objects_sync returned this: is it unknown what is on the disk, so that nothing may be built
 * on it? Not after a shortage, and not if the bytes were to be put on a shard: all of them are
 * still here, and the next objects_sync puts them. */
bool objects_sync_is_lost(const struct objects *o, int err);

/* What a file name, at home or on a shard, stands for. Only names exactly as the store writes them
 * count; a file of sums counts as the file that it belongs to. */
enum objects_name { OBJECTS_NO_NAME, OBJECTS_PACK, OBJECTS_SLOT, OBJECTS_FILE };
enum objects_name objects_parse_name(const char *name, struct id *ret_id, uint64_t *ret_number);
/* The name of the file that has the bytes of the object `number`, at home or on its shard. */
void objects_file_name(const struct entry *e, uint64_t number, char out[DISK_NAME_MAX + 1]);
/* Lists the files of a shard, or of home if `shard` is NULL: those of objects, slots and packs,
 * with the directory in front, at home without sizes. As shard_list. A directory of home that is
 * not there is given to `gone`, whose result other than 0 ends the list; NULL: it is passed
 * over. */
#define OBJECTS_NO_SIZE UINT64_MAX
typedef int objects_gone_fn(const char *dir, void *ctx);
int objects_list(struct disk *home, struct shard *shard, shard_list_fn *fn, objects_gone_fn *gone,
                 void *ctx);
/* Does an entry, with any count, name the object file "<id>.<where>" on that shard (0: at home)? It
 * says yes if the entries cannot be read. */
bool objects_is_named(struct objects *o, uint16_t shard, const struct id *id, uint64_t where);
/* Deletes the bytes of a dead entry; in a pool the store only gives up its claim on them. Bytes
 * that are gone already are no error. */
int objects_delete(struct objects *o, const struct refs_dead *d);
/* Read all bytes of a sealed entry and compare them with sums and id. 0 or -EUCLEAN. */
int objects_verify(struct objects *o, const struct entry *e);
/* The same, of the bytes that are at this very place: an object with this id that is elsewhere is
 * not looked at instead. */
int objects_verify_there(struct objects *o, const struct entry *e);
/* As objects_verify, at that pace. */
int objects_verify_slowly(struct objects *o, const struct entry *e, const struct blob_pace *pace);

/* ---- other shards (objects_remote.c) ----
 *
 * Reading is as of any entry: objects_read, objects_verify. What cannot be asked is -EHOSTUNREACH.
 * To copy bytes elsewhere, `from` being sealed and held by the caller, wherever it is now. -ESTALE:
 * it is not there any more, since it was moved; -EUCLEAN, with an alarm, it is damaged. Many small
 * ones are copied together: objects_batch.h.
 */

/* Append the bytes of `from`, which the caller has verified, to the open pack, stored as `how`
 * says; *ret_to is the entry of the copy. As after sealing it is durable when objects_sync has
 * returned; the freeze lock is held (read) from this call until an entry names it. */
int objects_append(struct objects *o, const struct entry *from, const void *data,
                   enum compress_how how, struct entry *ret_to);
/* The same, if it becomes shorter by that. 1: *ret_to is the entry of the copy; 0: nothing was
 * appended, and *ret_to is that of the bytes where they are, with the note that they stay so. */
int objects_compress(struct objects *o, const struct entry *from, const void *data,
                     struct entry *ret_to);
/* A number that has changed if since then a record was appended that is stored plain and is to be
 * compressed when the store is idle, or with `all` one of which nothing is said. Never 0. */
uint64_t objects_plain(struct objects *o, bool all);
/* Copy a FILE to a shard (not 0), or one that is on a shard home (0), as a file of its own there,
 * durably, and verify the copy. At home `number` is a fresh one (refs_new) for its name, which the
 * caller cancels (refs_cancel) afterwards. `pace` may be NULL. */
int objects_copy_file(struct objects *o, uint16_t shard, uint64_t number, const struct entry *from,
                      const struct blob_pace *pace, struct entry *ret_to);
/* Does the shard have the bytes of this ghost, judged by their size? 1: yes; 0: the shard is the
 * right one and does not; -errno: it cannot be asked. *ret_size is the size of the pack there, for
 * objects_pack_has; 0: there is none, or it is a file. */
int objects_ask(struct objects *o, const struct entry *ghost, uint64_t *ret_size);
/* Likewise. A pack in an archive may have lost what was not needed of it (shard_thin.h): there it
 * looks whether the record is left. */
int objects_ask_closely(struct objects *o, const struct entry *ghost);
/* Does the ghost's shard itself say that all bytes of its pack or file are as they were put, so
 * that none has to be read? False: it does not, or cannot say so, or has other bytes. */
bool objects_sound_there(struct objects *o, const struct entry *ghost);
/* Does a pack of that size reach to the end of the record of this ghost? */
bool objects_pack_has(uint64_t size, const struct entry *ghost);
/* Delete the bytes of a dead ghost, of FILE kind, or of the whole pack that it is in. -EPERM: it is
 * in an archive, where nothing is deleted. */
int objects_delete_remote(struct objects *o, const struct entry *ghost);

/* How many stored objects were healed, and collisions met, since open. */
void objects_get_counts(struct objects *o, uint64_t *ret_healed, uint64_t *ret_collisions);
