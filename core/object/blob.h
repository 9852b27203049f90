// SPDX-License-Identifier: Apache-2.0
/*
 * blob: one file of the store that holds one large content: a slot while it is written, an
 * object's own file once it is sealed. The same bytes, first under "slots/<number>", then linked
 * to "objects/<ab>/<id>.<number>"; each with its sums beside it.
 *
 *     blob_create_slot -> blob_write... -> blob_sync_slot -> commit   (unsealed, recoverable)
 *                      -> blob_hash -> blob_link_object -> commit -> blob_unlink_slot   (sealed)
 *
 * `number` is the number of the slot, never reused, so no two files ever share a name. In a pool,
 * which several stores share, an object's file gets a number of its own, which is never reused
 * either.
 * A slot has "slots/<number>.sums" exactly while nothing was written to it since its last
 * blob_sync_slot: the first write removes it before it changes a byte. So a present sums file that
 * disagrees is damage, an absent one means "written after the last commit".
 *
 * Errors: 0 or -errno; -EUCLEAN checksum mismatch. Threads: reads from any number; writes,
 * truncate, sync one at a time and not beside reads of the same range (the content's lock).
 */
#pragma once

#include "disk.h"
#include "id.h"
#include "sums.h"
#include <sys/types.h>

struct blob;

/* "slots/<16 hex>"; "objects/<ab>/<id>.<16 hex>" */
void blob_slot_name(uint64_t number, char out[DISK_NAME_MAX + 1]);
void blob_object_name(const struct id *id, uint64_t number, char out[DISK_NAME_MAX + 1]);
/* The reverse of blob_slot_name's last part; -EINVAL for any other file name (or a .sums). */
int blob_parse_slot(const char *file_name, uint64_t *ret_number);
/* The reverse of blob_object_name's last part: "<32 hex>.<16 hex>". -EINVAL as above. */
int blob_parse_object(const char *file_name, struct id *ret_id, uint64_t *ret_number);
/* `file_name` is that of a file of sums: `out` gets the name of the file that they are of. False:
 * it is another file's name, and `out` gets a copy of it. */
bool blob_strip_sums(const char *file_name, char out[DISK_NAME_MAX + 1]);

/* Make the directories a store needs ("slots", "objects", "objects/00"–"ff"), durably. */
int blob_init(struct disk *disk);

int blob_create_slot(struct disk *disk, uint64_t number, struct blob **ret_blob);
/* Called before the first write: the id is then made from the bytes while they are written, as long
 * as each write begins where the last one ended, so that blob_hash need not read them again.
 * Without memory for that blob_hash reads them. */
void blob_follow_id(struct blob *b, const struct id_key *key);
/* After a crash or restart: open a slot the commit names, cut it to `length` (bytes past it were
 * never committed), load its sums where present and matching in length; else all are stale. */
int blob_open_slot(struct disk *disk, uint64_t number, uint64_t length, struct blob **ret_blob);
/* An object's file, for reading. Its size must be `length`, else -EUCLEAN. */
int blob_open_object(struct disk *disk, const struct id *id, uint64_t number, uint64_t length,
                     struct blob **ret_blob);
/* The bytes of an object's file of sums, for a copy of it: the caller frees them. */
int blob_encode_sums(const struct blob *b, uint8_t **ret_bytes, size_t *ret_len); /* -ENOMEM */
struct blob *blob_ref(struct blob *b);
void blob_unref(struct blob *b); /* the last one closes the file; NULL is fine */

uint64_t blob_length(const struct blob *b);
/* The descriptor of its file, -1 where there is none; borrowed, good as long as the blob. */
int blob_fd(const struct blob *b);
int blob_write(struct blob *b, const void *data, size_t len, uint64_t off);
int blob_truncate(struct blob *b, uint64_t length);
/* Bytes read (short at the end), every block they touch verified against a sum that is not stale;
 * -EUCLEAN. */
ssize_t blob_read(struct blob *b, void *buf, size_t len, uint64_t off);

/* Make the sums of blocks that were written, sync the bytes, write and sync the file of sums. The
 * caller syncs the directory "slots" afterwards, once for many slots. */
int blob_sync_slot(struct blob *b);
/* Begin to write these bytes back, so that a later sync has less to do. A hint. It may run at the
 * same time as any other call. */
void blob_flush_hint(struct blob *b, uint64_t off, uint64_t len);
/* Sync the bytes alone, so that blob_sync_slot has less to do. It may run at the same time as
 * writes and reads, but not as another sync. */
int blob_sync_bytes(struct blob *b);
/* True if a sync of the blob failed: what is on disk is unknown, and every later sync fails,
 * too. */
bool blob_is_suspect(const struct blob *b);
/* What a long work does after each piece, with its bytes and without a lock. An error of `fn`,
 * which is -ECANCELED or -ESHUTDOWN, ends the work and is returned. */
struct blob_pace {
    int (*fn)(uint64_t bytes, void *ctx);
    void *ctx;
};
/* Computes the id of the bytes, and the sums with it. A block whose part of either is not known yet
 * is read, once. No thread may write meanwhile. `pace` may be NULL. */
int blob_hash(struct blob *b, const struct id_key *key, const struct blob_pace *pace,
              struct id *ret_id);
/* Are the bytes of two blobs the same? 1, 0 or -errno. Blocks are verified as they are read;
 * *ret_bad is set to the one of a/b whose block failed when -EUCLEAN comes back. */
int blob_compare(struct blob *a, struct blob *b, struct blob **ret_bad);
/* Links the file of the slot to the name of the object, which has `number` in it, with a file of
 * sums beside it. Both files and their directories are synced. From then on the blob reads as that
 * object. */
int blob_link_object(struct blob *b, const struct id *id, uint64_t number);
/* The caller has removed the object's name again: the blob is a slot as before. */
void blob_unseal(struct blob *b);

int blob_unlink_slot(struct disk *disk, uint64_t number); /* ENOENT is fine */
/* Unlink the slot's file of sums alone, before something else than blob_write changes its bytes.
 * The caller syncs "slots" afterwards. */
int blob_unlink_slot_sums(struct disk *disk, uint64_t number); /* ENOENT is fine */
int blob_unlink_object(struct disk *disk, const struct id *id,
                       uint64_t number); /* ENOENT is fine */
