// SPDX-License-Identifier: Apache-2.0
/*
 * shards: the other shards of a store: which there are, which of them can be asked now, and whether
 * this store may write to them. Archives are among them.
 *
 *     shards_open(&config, &s)                         the records are read; nothing is asked yet
 *     shards_add(s, 1, "dir:/mnt/hdd", why)            identity put there, then recorded
 *     shards_get(s, 1, SHARDS_READ, &shard)  ...  shards_put_back(s, 1)
 *     shards_look(s)                                   now and then: is one back?
 *
 * States:
 *   NEW          not asked since the opening
 *   OK           it is the one that was added, and this store may write to it
 *   UNREACHABLE  cannot be asked, does not answer (shard_set_patience), or is not there (an empty
 *                mount point): neither read nor written;
 *                looked for again at each shards_look, and by shards_get at most once a second
 *   READONLY     can be read; a write said -EROFS or -EACCES, or the store itself is read-only
 *   WRONG        something else is there, another shard or another store's: neither read nor
 *                written
 *   FOREIGN      it is the right one, but another copy of this store has written to it since: it
 *                is only read
 *
 * Who may write is settled once an opening, at the first use for writing, by a fence: see
 * shards_fence.c and FORMAT.md, "Shards".
 *
 * An *archive* has a number among the shards, and its objects are read as those of any shard. But
 * it belongs to no store: others read it, too, so this store never moves an object there and never
 * deletes one there. It has no fence, and is never FOREIGN. Only the writer that ships there
 * writes, as long as it has said that it may (shards_allow).
 *
 * Errors: 0 or -errno: -ENXIO no shard has that number, -EHOSTUNREACH it is UNREACHABLE or WRONG,
 * -EROFS it may only be read, and what the writes of taking the fence said: -ENOSPC, -EIO. Threads:
 * any; its lock, "shards", is not held while a shard is asked.
 */
#pragma once

#include "cache.h"
#include "clock.h"
#include "kv.h"
#include "shard.h"

struct shards;

enum shards_state {
    SHARDS_NEW,
    SHARDS_OK,
    SHARDS_UNREACHABLE,
    SHARDS_READONLY,
    SHARDS_WRONG,
    SHARDS_FOREIGN
};
enum shards_use {
    SHARDS_READ,
    SHARDS_WRITE,
    /* as SHARDS_READ, but bytes may come from the cache: for users that want the bytes, and not to
     * know whether the shard has them */
    SHARDS_NEAR,
};

/* ns after which an answer of a shard is not believed any more when somebody wants to see its
 * state. Between two of them, programs that look each second cost no more than a person who looks
 * once. */
#define SHARDS_BELIEVED (10 * NSEC_PER_SEC)

#define SHARDS_MAX 256 /* at once; their numbers are 1 … 65535 */

struct shards_config {
    struct kv *kv;       /* borrowed */
    struct cache *cache; /* borrowed, for shards that are far; NULL: none */
    unsigned table;
    const struct clock *clock;
    uint8_t store[16]; /* id of the store: stands in the identity of its shards */
    bool readonly;     /* nothing is written, neither there nor into the table */
    bool foreign;      /* they may be somebody else's: SHARD_FOREIGN */
};

struct shards_info {
    uint16_t number;
    enum shards_state state;
    bool draining; /* nothing is moved there any more */
    bool archive;
    uint32_t lineage; /* of an archive: the history there that concerns the store */
    int64_t drilled;  /* when a drill succeeded last (shards_note_drill); 0: never */
    uint32_t seen;    /* of an archive (shards_note_seen) */
    bool gap;         /* instants that it has are not held here any more (shards_note_gap) */
    bool ships;       /* the store ships to it, and does not only read there */
    bool follows;     /* the store follows the lineage there */
    uint8_t id[16];
    int64_t since; /* realtime ns: in that state */
    char url[SHARD_URL_MAX + 1];
    char why[SHARD_WHY];          /* a sentence, unless OK or NEW */
    struct shard_space space;     /* as of the last look; zeros: unknown */
    struct shard_traffic traffic; /* since the store was opened, or the shard added */
};

/* A record that is damaged is reported; its number is UNREACHABLE, and cannot be changed (-EUCLEAN)
 * but by shards_remove. Errors are those of reading the table. */
int shards_open(const struct shards_config *config, struct shards **ret_shards);
/* NULL is fine; all are put back. Those that do not answer are reported. */
void shards_close(struct shards *s);

/* ---- which there are ---- */

/* -EEXIST the number is taken; -EINVAL number or URL; -EBUSY that place is another store's shard,
 * or another number's; -ENOTEMPTY it has other things in it; -EOPNOTSUPP it does not decide between
 * writers (shard_probe); -EHOSTUNREACH, -EROFS, -ENOSPC. What an interrupted one left is taken
 * over. Nothing is changed on an error, but for half of an identity, and the file of a probe. */
int shards_add(struct shards *s, uint16_t number, const char *url, char why[SHARD_WHY]);
/* Adds an archive, which exists and has that id. The store has the feature FEATURE_ARCHIVE. Nothing
 * is put there. -EEXIST the number is taken; -EINVAL number or URL; -EBUSY another archive is
 * there, or that one, or that place, has a number already; -ENOENT no archive is there; -EUCLEAN
 * its file that says which archive it is is damaged; -EPROTO it was made by a newer version;
 * -EHOSTUNREACH, -EROFS; -ENOSPC there are SHARDS_MAX. Nothing is changed on an error. */
int shards_add_archive(struct shards *s, uint16_t number, const char *url, const uint8_t id[16],
                       uint32_t lineage, bool ships, char why[SHARD_WHY]);
/* The highest number that no shard and no archive has: archives have theirs from above. 0: there
 * are SHARDS_MAX. */
uint16_t shards_free_number(struct shards *s);
/* From now on it is that lineage of the archive, and the store ships there. -EINVAL: it is no
 * archive. */
int shards_set_lineage(struct shards *s, uint16_t number, uint32_t lineage);
/* From now on the store follows that lineage, until shards_set_lineage gives it another one that it
 * ships. -EINVAL: it is no archive. */
int shards_set_follows(struct shards *s, uint16_t number);
/* Notes durably that points of instants that the archive has gave way, or that none is missing any
 * more. -EINVAL: it is no archive. */
int shards_note_gap(struct shards *s, uint16_t number, bool gap);
/* Notes durably that what the archive has was restored and compared at that time. A new lineage has
 * none. -EINVAL: it is no archive. */
int shards_note_drill(struct shards *s, uint16_t number, int64_t time);
/* Notes durably that no row of `archived` names what the catalogues of its lineage up to this
 * number have given up (catalogue.h). A new lineage begins with 0. -EINVAL: it is no archive. */
int shards_note_seen(struct shards *s, uint16_t number, uint32_t catalogue);
/* Is it an archive? False also of a number that nobody has. */
bool shards_is_archive(struct shards *s, uint16_t number);
/* Removes a shard on which, as the caller knows, nothing of the store lives any more. Its identity
 * is deleted too if it can be reached; otherwise only the record is. Of an archive only the record
 * is removed, and it is not asked. -EBUSY: the shard is in use just now. */
int shards_remove(struct shards *s, uint16_t number, char why[SHARD_WHY]);
/* -EINVAL: it is an archive. */
int shards_set_draining(struct shards *s, uint16_t number, bool draining);
/* The first with a number above `after`. -ENOENT: there is none. */
int shards_next(struct shards *s, unsigned after, struct shards_info *ret);
int shards_info_get(struct shards *s, uint16_t number, struct shards_info *ret);
const char *shards_state_name(enum shards_state state); /* "ok", "unreachable", … */

/* ---- using one ---- */

/* Give it back with shards_put_back. For SHARDS_WRITE the fence is taken first. `ret_shard` or
 * `ret_disk` may be NULL. *ret_disk has the files (shard_disk_open). It asks for the shard itself
 * for each call, and its errors are those that shards_said returns. A file that was opened there
 * may stay open afterwards. With SHARDS_NEAR, `ret_shard` is NULL; a shard that has a cache is then
 * lent whatever its state, since the cache may have the bytes, and asks for it if not. */
int shards_get(struct shards *s, uint16_t number, enum shards_use use, struct shard **ret_shard,
               struct disk **ret_disk);
void shards_put_back(struct shards *s, uint16_t number);
/* Forgets what the cache has of a file there, as the bytes were damaged. True: it had some, so
 * another read may get better ones. */
bool shards_forget(struct shards *s, uint16_t number, const char *name);
/* Called with the result of a call to the shard, by the thread that made that call, before
 * shards_put_back: -EHOSTUNREACH, -EROFS and the like change its state. Returns `err`, with these
 * exceptions: -EACCES becomes -EROFS; -ENOENT and -EIO become -EHOSTUNREACH unless the shard, asked
 * afresh, is there and is the right one. */
int shards_said(struct shards *s, uint16_t number, int err);
/* A number that no name on that shard ever had, for a new pack or file. -EROFS: this store
 * does not have its fence, or it is an archive and may not be written; -EOVERFLOW: all numbers of
 * this incarnation, or of this prefix, were given. */
int shards_new_number(struct shards *s, uint16_t number, uint64_t *ret_where);
/* The lowest number that shards_new_number can give in this opening; what has a lower number was
 * put before. 0: this store does not have its fence. Of an archive: the lowest number of the
 * prefix; 0 while it may not be written. */
uint64_t shards_first_number(struct shards *s, uint16_t number);

/* ---- writing to an archive: none of these asks the archive ---- */

#define SHARDS_PREFIX_ROOM 0xffffffu /* numbers of one prefix: 1 to this, in the lowest 24 bits */

/* The archive's writer has claimed, and written there, that names whose numbers have this prefix
 * are its own. From now on the archive can be got for SHARDS_WRITE, and shards_new_number gives
 * `prefix` + 1, 2, 3 … If it was READONLY it is OK again, since the claim was written. With the
 * prefix of the last call the numbers go on; a prefix before that must not come again. -ENXIO;
 * -EINVAL: it is no archive, or the prefix is 0 or not a multiple of 2^24; -EROFS: the store is
 * open for reading only. */
int shards_allow(struct shards *s, uint16_t number, uint64_t prefix);
/* The archive may not be written any more: SHARDS_WRITE is -EROFS, as before shards_allow, and its
 * state stays as it is. Who got it for SHARDS_WRITE before may still write. An archive that is
 * removed, or a number that nobody has, is fine. */
void shards_disallow(struct shards *s, uint16_t number);

/* Asks the shards that are not OK, and returns how many have become OK. The others are asked for
 * their space. */
unsigned shards_look(struct shards *s);
/* A shard is in doubt if it cannot be read, however recently it was asked, if it was not asked yet,
 * or if it was not asked for SHARDS_BELIEVED. shards_look_in_doubt asks those at once, and returns
 * how many have become OK. */
unsigned shards_look_in_doubt(struct shards *s);
bool shards_any_in_doubt(struct shards *s);
/* Waits until the shard can be read, for at most *duration_ns from the call (which may change
 * meanwhile), or until *stop. It asks each second. 0 or -EHOSTUNREACH. */
int shards_wait(struct shards *s, uint16_t number, const _Atomic int64_t *duration_ns,
                const _Atomic bool *stop);
/* wakes the callers of shards_wait, after *duration_ns or *stop was changed */
void shards_wake(struct shards *s);
