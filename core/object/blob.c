// SPDX-License-Identifier: Apache-2.0
/*
 * blob: a file of large content with its sums.
 *
 * A write does this, in this order: it removes the file of sums, which has sums of the old bytes;
 * marks the blocks stale; changes the bytes; sums the blocks that were written whole. So wherever
 * it fails or is interrupted, a sum that is not stale is the sum of the bytes.
 *
 * If a slot is written from start to end its id is computed during the writes, while the bytes are
 * in the CPU's caches (blob_follow_id). A change of bytes that are hashed already discards that id.
 * Bytes that were not written in order are read again when the id is needed.
 *
 * `lock` guards the sums while reads of other ranges run beside a write. Data is read and written
 * without it. Only a sync sums stale blocks with it held, and no write runs beside a sync.
 */
#include "blob.h"
#include "yield_cpu.h"

#include "io.h"
#include "lock.h"
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define READ_SIZE (1024 * 1024) /* bytes that a sequential pass reads at once; whole blocks */

/* See the header, which also says which calls may run beside others. */
struct blob {
    struct disk *disk;
    struct disk_file *file;
    uint64_t number;
    _Atomic unsigned refs;
    _Atomic uint64_t length; /* bytes; a copy of sums.length that can be read without the lock */
    struct rwlock lock;
    struct sums sums;       /* guarded by lock */
    bool sealed;            /* an object: bytes never change again */
    bool sums_on_disk;      /* a sums file of the slot exists, perhaps an outdated one */
    bool sums_match;        /* the file of sums exists, is synced, and has these sums */
    struct id_stream *id;   /* hashes the first `hashed` bytes as they are written; or NULL */
    uint64_t hashed;        /* with `id`: how many bytes it has */
    _Atomic int sync_error; /* a sync failed: what is on disk is unknown from then on */
};

/* ---- names ---- */

void blob_slot_name(uint64_t number, char out[DISK_NAME_MAX + 1])
{
    snprintf(out, DISK_NAME_MAX + 1, "slots/%016" PRIx64, number);
}

void blob_object_name(const struct id *id, uint64_t number, char out[DISK_NAME_MAX + 1])
{
    char hex[ID_HEX + 1];

    id_to_hex(id, hex);
    snprintf(out, DISK_NAME_MAX + 1, "objects/%.2s/%s.%016" PRIx64, hex, hex, number);
}

int blob_parse_slot(const char *file_name, uint64_t *ret_number)
{
    if (strlen(file_name) != 16 || strspn(file_name, "0123456789abcdef") != 16)
        return -EINVAL;
    *ret_number = strtoull(file_name, NULL, 16);
    return 0;
}

int blob_parse_object(const char *file_name, struct id *ret_id, uint64_t *ret_number)
{
    char hex[ID_HEX + 1];

    if (strspn(file_name, "0123456789abcdef") != ID_HEX || file_name[ID_HEX] != '.' ||
        blob_parse_slot(file_name + ID_HEX + 1, ret_number) < 0)
        return -EINVAL;
    memcpy(hex, file_name, ID_HEX);
    hex[ID_HEX] = '\0';
    return id_from_hex(hex, ret_id);
}

bool blob_strip_sums(const char *file_name, char out[DISK_NAME_MAX + 1])
{
    size_t n = strlen(file_name);
    bool sums = n > 5 && !strcmp(file_name + n - 5, ".sums");

    snprintf(out, DISK_NAME_MAX + 1, "%.*s", (int)(sums ? n - 5 : n), file_name);
    return sums;
}

int blob_init(struct disk *disk)
{
    int err = disk_mkdir(disk, "slots");

    if (err == 0)
        err = disk_mkdir(disk, "objects");
    for (unsigned i = 0; err == 0 && i < 256; i++) {
        char name[DISK_NAME_MAX + 1];

        snprintf(name, sizeof name, "objects/%02x", i);
        err = disk_mkdir(disk, name);
    }
    if (err == 0)
        err = disk_sync_dir(disk, "objects");
    return err ? err : disk_sync_dir(disk, "");
}

static int unlink_if_there(struct disk *disk, const char *name)
{
    int err = disk_unlink(disk, name);

    return err == -ENOENT ? 0 : err;
}

static int unlink_sums(struct disk *disk, const char *name)
{
    char sums[DISK_NAME_MAX + 1];
    int err = sums_name(name, sums);

    return err < 0 ? err : unlink_if_there(disk, sums);
}

/* Unlink a file and its sums. The sums come first: a crash in between leaves a file without sums,
 * which a start finds and removes, while sums without a file would not be found. */
static int unlink_both(struct disk *disk, const char *name)
{
    int err = unlink_sums(disk, name);

    return err ? err : unlink_if_there(disk, name);
}

int blob_unlink_slot(struct disk *disk, uint64_t number)
{
    char name[DISK_NAME_MAX + 1];

    blob_slot_name(number, name);
    return unlink_both(disk, name);
}

int blob_unlink_slot_sums(struct disk *disk, uint64_t number)
{
    char name[DISK_NAME_MAX + 1];

    blob_slot_name(number, name);
    return unlink_sums(disk, name);
}

int blob_unlink_object(struct disk *disk, const struct id *id, uint64_t number)
{
    char name[DISK_NAME_MAX + 1];

    blob_object_name(id, number, name);
    return unlink_both(disk, name);
}

/* ---- opening ---- */

/* Open a file, and make a blob without sums of it. `length`: UINT64_MAX, or of an object's file. */
static int open_file(struct disk *disk, const char *name, unsigned flags, uint64_t number,
                     uint64_t length, struct blob **ret_blob)
{
    struct blob *b = calloc(1, sizeof *b);

    if (!b)
        return -ENOMEM;
    int err = length == UINT64_MAX
                  ? disk_open(disk, name, flags | DISK_HELD, &b->file)
                  : disk_open_sized(disk, name, length, flags | DISK_HELD, &b->file);

    if (err) {
        free(b);
        return err;
    }
    b->disk = disk;
    b->number = number;
    atomic_init(&b->refs, 1);
    rwlock_init(&b->lock, "blob");
    *ret_blob = b;
    return 0;
}

int blob_create_slot(struct disk *disk, uint64_t number, struct blob **ret_blob)
{
    char name[DISK_NAME_MAX + 1];

    blob_slot_name(number, name);
    return open_file(disk, name, DISK_WRITE | DISK_CREATE, number, UINT64_MAX, ret_blob);
}

/* Loads the sums of a slot. A damaged file of sums counts as none: a crash in the middle of
 * blob_sync_slot leaves one. */
static int load_slot_sums(struct blob *b, const char *name, uint64_t length)
{
    int err = sums_load(b->disk, name, &b->sums);

    if (err && err != -ENOENT && err != -EUCLEAN)
        return err;
    b->sums_on_disk = err != -ENOENT;
    b->sums_match = err == 0 && b->sums.length == length;
    if (b->sums_match)
        return 0;
    sums_release(&b->sums);
    return sums_note_truncate(&b->sums, length);
}

/* Cuts a slot to its committed length, and loads its sums. */
static int prepare_slot(struct blob *b, const char *name, uint64_t length)
{
    struct disk_stat st;
    int err = disk_fstat(b->file, &st);

    if (err)
        return err;
    if (st.size < length)
        return -EUCLEAN;
    if (st.size > length) {
        err = disk_truncate(b->file, length);
        if (err)
            return err;
    }
    err = load_slot_sums(b, name, length);
    b->length = length;
    return err;
}

/* Load the sums of an object's file. File and sums must have the length that the entry says:
 * -EUCLEAN. */
static int prepare_object(struct blob *b, const char *name, uint64_t length)
{
    struct disk_stat st;
    int err = disk_fstat(b->file, &st);

    if (err)
        return err;
    if (st.size != length)
        return -EUCLEAN;
    err = sums_load_sealed(b->disk, name, length, &b->sums);
    if (err)
        return err == -ENOENT ? -EUCLEAN : err;
    b->sealed = true;
    b->length = length;
    return 0;
}

int blob_open_slot(struct disk *disk, uint64_t number, uint64_t length, struct blob **ret_blob)
{
    char name[DISK_NAME_MAX + 1];
    struct blob *b;

    blob_slot_name(number, name);
    int err = open_file(disk, name, DISK_WRITE, number, UINT64_MAX, &b);

    if (err)
        return err;
    err = prepare_slot(b, name, length);
    if (err) {
        blob_unref(b);
        return err;
    }
    *ret_blob = b;
    return 0;
}

int blob_open_object(struct disk *disk, const struct id *id, uint64_t number, uint64_t length,
                     struct blob **ret_blob)
{
    char name[DISK_NAME_MAX + 1];
    struct blob *b;

    blob_object_name(id, number, name);
    int err = open_file(disk, name, DISK_READ, number, length, &b);

    if (err)
        return err;
    err = prepare_object(b, name, length);
    if (err) {
        blob_unref(b);
        return err;
    }
    *ret_blob = b;
    return 0;
}

int blob_encode_sums(const struct blob *b, uint8_t **ret_bytes, size_t *ret_len)
{
    *ret_bytes = sums_encode(&b->sums, ret_len);
    return *ret_bytes ? 0 : -ENOMEM;
}

void blob_follow_id(struct blob *b, const struct id_key *key)
{
    if (!b->id && id_stream_create(key, &b->id) < 0)
        b->id = NULL;
}

struct blob *blob_ref(struct blob *b)
{
    atomic_fetch_add(&b->refs, 1);
    return b;
}

void blob_unref(struct blob *b)
{
    if (!b || atomic_fetch_sub(&b->refs, 1) != 1)
        return;
    disk_file_close(b->file);
    sums_release(&b->sums);
    id_stream_destroy(b->id);
    rwlock_destroy(&b->lock);
    free(b);
}

uint64_t blob_length(const struct blob *b)
{
    return b->length;
}

int blob_fd(const struct blob *b)
{
    return disk_fd(b->file);
}

/* ---- writing ---- */

/* Removes the file of sums durably before the first byte changes. Otherwise a power loss could
 * bring it back beside bytes that it does not fit, which would look like damage. */
static int drop_sums_file(struct blob *b)
{
    char name[DISK_NAME_MAX + 1];

    if (b->sealed)
        return -EROFS;
    b->sums_match = false;
    if (!b->sums_on_disk)
        return 0;
    blob_slot_name(b->number, name);
    int err = unlink_sums(b->disk, name);

    if (err)
        return err;
    err = disk_sync_dir(b->disk, "slots");
    if (err)
        return err;
    b->sums_on_disk = false;
    return 0;
}

/* Set the length in the sums, and the copy of it. */
static int set_length(struct blob *b, uint64_t length)
{
    WRITE_GUARD(&b->lock);
    int err = sums_note_truncate(&b->sums, length);

    if (err == 0)
        b->length = b->sums.length;
    return err;
}

/* Forgets the id that was made while bytes were written. */
static void restart_id(struct blob *b)
{
    id_stream_restart(b->id);
    b->hashed = 0;
}

/* Called before the bytes from `off` on change: an id that already has some of them is of no
 * use. */
static void spare_id(struct blob *b, uint64_t off)
{
    if (b->id && off < b->hashed)
        restart_id(b);
}

/* Mark the blocks of [off, end) as stale, before their bytes change. */
static void note_change(struct blob *b, uint64_t off, uint64_t end)
{
    spare_id(b, off);
    WRITE_GUARD(&b->lock);
    sums_note_change(&b->sums, off, end);
}

/* Sum the blocks that this write has written, and add its bytes to the id if they continue it. */
static int note_write(struct blob *b, const void *data, size_t len, uint64_t off)
{
    if (b->id && off == b->hashed && id_stream_add(b->id, data, len) == 0)
        b->hashed += len;
    WRITE_GUARD(&b->lock);
    return sums_note_write(&b->sums, data, len, off);
}

/* The length grows only after the bytes are written. If the write fails the old length stays. */
int blob_write(struct blob *b, const void *data, size_t len, uint64_t off)
{
    uint64_t old = b->length;

    if (len == 0)
        return 0;
    if (off > UINT64_MAX - len)
        return -EFBIG;
    int err = drop_sums_file(b);

    if (err)
        return err;
    uint64_t end = off + len;

    if (end > old) {
        err = set_length(b, end);
        if (err)
            return err;
    }
    note_change(b, off, end);
    err = disk_pwrite(b->file, data, len, off);
    if (err == 0)
        return note_write(b, data, len, off);
    if (end > old) {
        (void)disk_truncate(b->file, old); /* bytes behind the old length must not show when the
                                            * file grows later */
        (void)set_length(b, old);          /* shrinking allocates nothing */
    }
    return err;
}

int blob_truncate(struct blob *b, uint64_t length)
{
    uint64_t old = b->length;
    int err = drop_sums_file(b);

    if (err)
        return err;
    spare_id(b, length);
    err = set_length(b, length);
    if (err)
        return err;
    err = disk_truncate(b->file, length);
    if (err)
        (void)set_length(b, old); /* the memory for the sums is there; the last block stays stale */
    return err;
}

/* ---- reading ---- */

/* Read `len` bytes. -EUCLEAN: the file is shorter, or is gone since it was opened. */
static int read_exactly(struct blob *b, void *buf, size_t len, uint64_t off)
{
    ssize_t n = disk_pread(b->file, buf, len, off);

    if (n < 0)
        return n == -ESTALE ? -EUCLEAN : (int)n;
    return (size_t)n == len ? 0 : -EUCLEAN;
}

/* The length of the block at `start`: the last block may be short. */
static size_t block_len(uint64_t length, uint64_t start)
{
    return length - start < SUMS_BLOCK ? (size_t)(length - start) : SUMS_BLOCK;
}

/* Checks the sums of whole blocks that were read from `start` on. */
static int verify(struct blob *b, const char *data, size_t len, uint64_t start)
{
    READ_GUARD(&b->lock);
    for (size_t pos = 0; pos < len; pos += SUMS_BLOCK) {
        size_t i = (size_t)((start + pos) / SUMS_BLOCK);
        size_t n = len - pos < SUMS_BLOCK ? len - pos : SUMS_BLOCK;

        if (i < b->sums.count && b->sums.stale[i])
            continue;
        int err = sums_verify(&b->sums, i, data + pos, n);

        if (err)
            return err;
    }
    return 0;
}

/* Reads a part of one block. The whole block is read, since its sum covers all of it. */
static int read_part(struct blob *b, uint64_t length, char *buf, size_t len, uint64_t off)
{
    uint64_t start = off - off % SUMS_BLOCK;
    size_t whole = block_len(length, start);
    CLEANUP_FREE char *scratch = malloc(whole);

    if (!scratch)
        return -ENOMEM;
    int err = read_exactly(b, scratch, whole, start);

    if (err == 0)
        err = verify(b, scratch, whole, start);
    if (err == 0)
        memcpy(buf, scratch + (off - start), len);
    return err;
}

/* Read whole blocks directly into the caller's buffer, and check them. */
static int read_whole(struct blob *b, char *buf, size_t len, uint64_t off)
{
    int err = read_exactly(b, buf, len, off);

    return err ? err : verify(b, buf, len, off);
}

/* How many of the bytes from `off` on the next read takes: a part of one block, or as many whole
 * blocks as fit. */
static size_t next_piece(uint64_t length, uint64_t off, size_t len, bool *ret_whole)
{
    size_t within = (size_t)(off % SUMS_BLOCK);
    size_t block = block_len(length, off - within);

    *ret_whole = within == 0 && len >= block;
    if (!*ret_whole)
        return len < block - within ? len : block - within;
    return off + len == length ? len : len - len % SUMS_BLOCK;
}

ssize_t blob_read(struct blob *b, void *buf, size_t len, uint64_t off)
{
    uint64_t length = b->length;

    if (off >= length)
        return 0;
    if (len > length - off)
        len = (size_t)(length - off);
    for (size_t done = 0, n; done < len; done += n) {
        bool whole;

        n = next_piece(length, off + done, len - done, &whole);
        char *to = (char *)buf + done;
        int err =
            whole ? read_whole(b, to, n, off + done) : read_part(b, length, to, n, off + done);

        if (err)
            return err;
    }
    return (ssize_t)len;
}

/* ---- sealing ---- */

/* Syncs the file. A failure is kept, since what the disk has is unknown from then on; a shortage
 * (io_is_short) is not one. */
static int sync_file(struct blob *b)
{
    int err = disk_sync(b->file);

    b->sync_error = io_is_short(err) ? 0 : err;
    return err;
}

/* Makes the stale sums from the bytes, then syncs the bytes. */
static int refresh_and_sync(struct blob *b)
{
    if (b->sync_error)
        return b->sync_error;
    {
        WRITE_GUARD(&b->lock);
        int err = sums_refresh(&b->sums, b->file);

        if (err)
            return err;
    }
    return sync_file(b);
}

void blob_flush_hint(struct blob *b, uint64_t off, uint64_t len)
{
    disk_flush_hint(b->file, off, len);
}

int blob_sync_bytes(struct blob *b)
{
    return b->sync_error == 0 && !b->sealed ? sync_file(b) : b->sync_error;
}

int blob_sync_slot(struct blob *b)
{
    char name[DISK_NAME_MAX + 1];

    if (b->sealed || b->sums_match)
        return 0;
    int err = refresh_and_sync(b);

    if (err)
        return err;
    blob_slot_name(b->number, name);
    b->sums_on_disk = true; /* a store that failed may have left a file, too */
    err = sums_store(&b->sums, b->disk, name);
    b->sums_match = err == 0;
    return err;
}

bool blob_is_suspect(const struct blob *b)
{
    return b->sync_error != 0;
}

/* Takes whole blocks that were read from `start` on: each is checked, or summed if its sum is
 * stale. */
static int take_blocks(struct blob *b, const char *data, size_t len, uint64_t start)
{
    WRITE_GUARD(&b->lock);
    int err = 0;

    for (size_t pos = 0; pos < len && err == 0; pos += SUMS_BLOCK) {
        size_t n = len - pos < SUMS_BLOCK ? len - pos : SUMS_BLOCK;

        err = sums_take(&b->sums, (size_t)((start + pos) / SUMS_BLOCK), data + pos, n);
    }
    return err;
}

/* Reads the bytes from `from` on block by block, and adds them to the id. */
static int hash_rest(struct blob *b, struct id_stream *s, uint64_t from,
                     const struct blob_pace *pace)
{
    CLEANUP_FREE char *buf = NULL;
    int err = 0;

    if (from >= b->length)
        return 0;
    buf = malloc(READ_SIZE);
    if (!buf)
        return -ENOMEM;
    for (uint64_t off = from - from % SUMS_BLOCK; err == 0 && off < b->length; off += READ_SIZE) {
        size_t n = b->length - off < READ_SIZE ? (size_t)(b->length - off) : READ_SIZE;
        size_t known = from > off ? (size_t)(from - off) : 0;

        yield_cpu();
        err = read_exactly(b, buf, n, off);
        if (err == 0)
            err = take_blocks(b, buf, n, off);
        if (err == 0)
            err = id_stream_add(s, buf + known, n - known);
        if (err == 0 && pace)
            err = pace->fn(n, pace->ctx);
    }
    return err;
}

int blob_hash(struct blob *b, const struct id_key *key, const struct blob_pace *pace,
              struct id *ret_id)
{
    struct id_stream *s;
    int err;

    if (b->id) {
        err = hash_rest(b, b->id, b->hashed, pace);
        if (err == 0) {
            b->hashed = b->length;
            id_stream_end(b->id, ret_id);
        } else {
            restart_id(b); /* a part of the rest may have been added */
        }
        return err;
    }
    err = id_stream_create(key, &s);
    if (err)
        return err;
    err = hash_rest(b, s, 0, pace);
    if (err == 0)
        id_stream_end(s, ret_id);
    id_stream_destroy(s);
    return err;
}

/* Reads one block for blob_compare. *ret_bad: the blob whose block is damaged. */
static int read_or_blame(struct blob *b, char *buf, uint64_t off, struct blob **ret_bad)
{
    ssize_t n = blob_read(b, buf, READ_SIZE, off);

    if (n == -EUCLEAN)
        *ret_bad = b;
    return n < 0 ? (int)n : 0;
}

int blob_compare(struct blob *a, struct blob *b, struct blob **ret_bad)
{
    uint64_t length = a->length;
    CLEANUP_FREE char *buf = NULL;

    if (length != b->length)
        return 0;
    buf = malloc((size_t)2 * READ_SIZE);
    if (!buf)
        return -ENOMEM;
    for (uint64_t off = 0; off < length; off += READ_SIZE) {
        size_t n = length - off < READ_SIZE ? (size_t)(length - off) : READ_SIZE;
        int err;

        yield_cpu();
        err = read_or_blame(a, buf, off, ret_bad);

        if (err == 0)
            err = read_or_blame(b, buf + READ_SIZE, off, ret_bad);
        if (err)
            return err;
        if (memcmp(buf, buf + READ_SIZE, n) != 0)
            return 0;
    }
    return 1;
}

/* Links a file to a second name. A name that is there already was linked before a crash and never
 * committed, so it is replaced. */
static int link_anew(struct disk *disk, const char *from, const char *to)
{
    int err = disk_link(disk, from, to);

    if (err != -EEXIST)
        return err;
    err = unlink_both(disk, to);
    return err ? err : disk_link(disk, from, to);
}

int blob_link_object(struct blob *b, const struct id *id, uint64_t number)
{
    char slot[DISK_NAME_MAX + 1], object[DISK_NAME_MAX + 1], dir[sizeof "objects/ab"];

    if (b->sealed)
        return -EINVAL;
    int err = refresh_and_sync(b);

    if (err)
        return err;
    blob_slot_name(b->number, slot);
    blob_object_name(id, number, object);
    err = link_anew(b->disk, slot, object);
    if (err)
        return err;
    err = sums_store(&b->sums, b->disk, object);
    if (err)
        return err;
    snprintf(dir, sizeof dir, "%.10s", object);
    err = disk_sync_dir(b->disk, dir);
    if (err)
        return err;
    b->sealed = true;
    id_stream_destroy(b->id);
    b->id = NULL;
    return 0;
}

void blob_unseal(struct blob *b)
{
    b->sealed = false;
}
