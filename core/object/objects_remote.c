// SPDX-License-Identifier: Apache-2.0
/*
 * objects_remote: see objects.h: bytes on other shards: copying them there and back, asking for
 * them and deleting them. They are read as those at home are (objects.c).
 *
 * A shard is in use (shards_get) only during one call or one copy, so that its disk can be removed.
 *
 * A shard that reports a missing or a wrong file may be another disk by now. So after such an error
 * the shard is asked for its identity again, before the error is believed (shards_said,
 * object_said).
 *
 * A driver that lost the answer to a put, and sent it again, says -EEXIST of its own bytes. All
 * names here are new, so what exists is compared, and is the copy if it is equal.
 */
#include "objects_impl.h"
#include "report.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIECE (1024 * 1024) /* bytes copied or compared at once; whole blocks of sums */

int object_use(struct objects *o, uint16_t shard, enum shards_use how, struct shard **ret_shard,
               struct disk **ret_disk)
{
    int err;

    if (shard == 0) {
        *ret_disk = o->c.disk;
        return 0;
    }
    err = o->c.shards ? shards_get(o->c.shards, shard, how, ret_shard, ret_disk) : -EHOSTUNREACH;
    return err == -ENXIO ? -EHOSTUNREACH : err;
}

int object_said(struct objects *o, uint16_t shard, int err)
{
    if (shard && err == -EUCLEAN)
        err = shards_said(o->c.shards, shard, -ENOENT);
    return err == -ENOENT ? -EUCLEAN : err;
}

int object_put_back(struct objects *o, uint16_t shard, int err)
{
    err = object_said(o, shard, err);
    if (shard)
        shards_put_back(o->c.shards, shard);
    return err;
}

/* ---- names and places ---- */

static int sums_name_of(const struct entry *e, char out[DISK_NAME_MAX + 1])
{
    char name[DISK_NAME_MAX + 1];

    objects_file_name(e, 0, name);
    return sums_name(name, out);
}

struct entry object_copy_of(struct objects *o, uint16_t shard, const struct entry *from)
{
    struct entry to = {.kind = from->kind, .id = from->id, .size = from->size, .day = from->day};

    to.shard = shard;
    if (shard && from->shard)
        to.created = from->created;
    else if (shard && o->c.clock)
        to.created = (uint64_t)(clock_now(o->c.clock) / NSEC_PER_MSEC);
    return to;
}

/* A number for a new file on a shard. */
static int new_number(struct objects *o, uint16_t shard, uint64_t *ret_where)
{
    int err = object_use(o, shard, SHARDS_WRITE, NULL, NULL);

    if (err < 0)
        return err;
    err = shards_new_number(o->c.shards, shard, ret_where);
    shards_put_back(o->c.shards, shard);
    return err;
}

int object_is_lying(uint16_t shard, const char *name)
{
    report(REPORT_WARN, "shard %u: %.120s reads back as other bytes: nothing is moved there", shard,
           name);
    return -EIO;
}

int object_source_said(struct objects *o, const struct entry *from, int err)
{
    struct entry now = *from;

    if ((err == -EUCLEAN || err == -EHOSTUNREACH) && object_has_moved(o, &now))
        return -ESTALE;
    return object_unreadable(from, err);
}

int object_reads_as(struct shard *s, const char *name, const void *data, uint32_t len)
{
    void *buf = NULL;
    ssize_t n = shard_range_alloc(s, name, (size_t)len + 1, 0, &buf);
    int same = n < 0 ? (int)n : n == (ssize_t)len && memcmp(buf, data, len) == 0;

    free(buf);
    return same;
}

/* ---- a large one: a file ---- */

/* The source of a file that is copied. Its own errors, and those of the pace, are kept apart from
 * those of the target. */
struct outgoing {
    struct blob *blob;
    const struct blob_pace *pace;
    struct id_stream *stream; /* of the bytes that were read; NULL: nobody needs it */
    uint64_t hashed;          /* bytes that `stream` has */
    int err;
};

/* Adds a piece to the hash. A put that begins again reads from the front. What comes in another
 * order cannot be hashed: then `hashed` is no size. */
static int hash_outgoing(struct outgoing *out, const void *data, size_t len, uint64_t off)
{
    if (off == 0) {
        id_stream_restart(out->stream);
        out->hashed = 0;
    }
    if (off != out->hashed) {
        out->hashed = UINT64_MAX;
        return 0;
    }
    out->hashed += len;
    return id_stream_add(out->stream, data, len);
}

/* Reads the next piece of the source for shard_put_stream. */
static int read_outgoing(void *ctx, void *buf, size_t len, uint64_t off)
{
    struct outgoing *out = ctx;
    ssize_t n = blob_read(out->blob, buf, len, off);

    if (n < 0 || (size_t)n != len)
        out->err = n < 0 ? (int)n : -EUCLEAN;
    else if (out->pace)
        out->err = out->pace->fn(len, out->pace->ctx);
    if (out->err == 0 && out->stream)
        out->err = hash_outgoing(out, buf, len, off);
    return out->err;
}

/* Puts the file of sums of a copy on its shard. */
static int put_sums(struct objects *o, struct shard *s, const struct entry *to,
                    const struct blob *blob)
{
    char name[DISK_NAME_MAX + 1];
    uint8_t *bytes;
    size_t len;
    int err = sums_name_of(to, name);

    if (err == 0)
        err = blob_encode_sums(blob, &bytes, &len);
    if (err < 0)
        return err;
    err = shard_put_if_absent(s, name, bytes, len);
    if (err == -EEXIST && object_reads_as(s, name, bytes, (uint32_t)len) == 1)
        err = 0;
    free(bytes);
    return shards_said(o->c.shards, to->shard, err);
}

/* Puts a file and its sums on a shard. The sums go first: bytes without sums count as damaged, but
 * sums without bytes are only litter. */
static int put_file(struct objects *o, struct shard *s, const struct entry *to,
                    struct outgoing *out)
{
    const struct shard_source source = {.read = read_outgoing, .ctx = out, .size = to->size};
    char name[DISK_NAME_MAX + 1];
    int err = put_sums(o, s, to, out->blob);

    if (err < 0)
        return err;
    objects_file_name(to, 0, name);
    err = shard_put_stream(s, name, &source);
    return out->err ? out->err : shards_said(o->c.shards, to->shard, err);
}

/* Has the engine compare the bytes of a pack, or those of a file and its sums, with its own
 * checksums. As shard_verify. The size of a file must be right, too: a checksum does not have
 * it. */
static int verify_there(struct shard *s, const struct entry *e)
{
    char name[DISK_NAME_MAX + 1];
    uint64_t size;
    int err;

    objects_file_name(e, 0, name);
    err = shard_verify(s, name);
    if (err < 0 || e->kind != ENTRY_FILE)
        return err;
    err = shard_stat(s, name, &size);
    if (err == 0 && size != e->size)
        err = -EUCLEAN;
    if (err == 0)
        err = sums_name_of(e, name);
    return err < 0 ? err : shard_verify(s, name);
}

/* Was what was read for the copy the content of that id? */
static bool was_right(const struct objects *o, const struct outgoing *out, const struct entry *to)
{
    struct id hash;

    if (out->hashed != to->size)
        return false;
    id_stream_end(out->stream, &hash);
    return id_fits(o->c.key, &to->id, &hash);
}

/* Reads a copy back and checks it against its id. */
static int read_copy(struct objects *o, struct disk *disk, const struct entry *to,
                     const struct blob_pace *pace)
{
    char name[DISK_NAME_MAX + 1];
    struct blob *b;
    struct id hash;
    int err = blob_open_object(disk, &to->id, to->where, to->size, &b);

    if (err == 0) {
        err = blob_hash(b, o->c.key, pace, &hash);
        blob_unref(b);
    }
    if (err == 0 && !id_fits(o->c.key, &to->id, &hash))
        err = -EUCLEAN;
    err = object_said(o, to->shard, err);
    objects_file_name(to, 0, name);
    return err == -EUCLEAN ? object_is_lying(to->shard, name) : err;
}

/* Checks a copy: by the engine, if it can do that, or by reading it back. */
static int check_copy(struct objects *o, struct shard *s, struct disk *disk, const struct entry *to,
                      struct outgoing *out)
{
    if (was_right(o, out, to) && verify_there(s, to) == 0)
        return out->pace ? out->pace->fn(to->size, out->pace->ctx) : 0;
    return read_copy(o, disk, to, out->pace);
}

/* Deletes a file and its sums; the bytes go first. -ENOENT: the shard is the right one, and had
 * neither. */
static int delete_file(struct shard *s, const struct entry *e)
{
    char name[DISK_NAME_MAX + 1], sums[DISK_NAME_MAX + 1];
    int bytes, err = sums_name_of(e, sums);

    if (err < 0)
        return err;
    objects_file_name(e, 0, name);
    bytes = shard_delete(s, name);
    if (bytes < 0 && bytes != -ENOENT)
        return bytes;
    err = shard_delete(s, sums);
    return err == -ENOENT ? bytes : err;
}

/* Puts a file on a shard and checks it. After a failure the copy is deleted, but not in an
 * archive. */
static int copy_file(struct objects *o, struct shard *s, struct disk *disk, const struct entry *to,
                     struct outgoing *out)
{
    int err = put_file(o, s, to, out);
    bool existed = err == -EEXIST;

    if (err == 0)
        err = check_copy(o, s, disk, to, out);
    else if (existed)
        err = read_copy(o, disk, to, out->pace);
    if (err < 0 && existed) /* the name that exists is another file */
        return err == -EIO ? -EEXIST : err;
    if (err < 0 && !shards_is_archive(o->c.shards, to->shard))
        (void)delete_file(s, to); /* if this fails an orphan stays */
    return err;
}

/* The same, under a new name. */
static int file_out(struct objects *o, struct outgoing *out, struct entry *to)
{
    struct shard *s;
    struct disk *disk;
    int err = new_number(o, to->shard, &to->where);

    if (err == 0)
        err = object_use(o, to->shard, SHARDS_WRITE, &s, &disk);
    if (err < 0)
        return err;
    err = id_stream_create(o->c.key, &out->stream);
    if (err == 0)
        err = copy_file(o, s, disk, to, out);
    id_stream_destroy(out->stream);
    shards_put_back(o->c.shards, to->shard);
    return err;
}

/* ---- home ---- */

/* What the entry of a content that is stored as it is says of compression. */
static uint32_t note_of(enum compress_how how, uint64_t size)
{
    return how == COMPRESS_NOT ? 0 : how == COMPRESS_LATER ? ENTRY_AT_REST : (uint32_t)size;
}

/* Compresses a content, if it should be: *r and *payload are as it is to be stored. Without memory
 * it is stored as it is, and may be compressed later. */
static enum compress_how shorten(enum compress_how how, struct pack_record *r, const void **payload)
{
    const void *bytes;
    uint32_t len;

    if (how != COMPRESS_WRITE && how != COMPRESS_REST)
        return how;
    if (compress_bytes(*payload, r->size, how, &bytes, &len) < 0)
        return COMPRESS_LATER;
    if (len == 0)
        return how;
    r->stored = len;
    r->method = PACK_ZSTD;
    *payload = bytes;
    return how;
}

/* Appends a record, whose entry *ret_to then is. `note` is what that says of a plain one. */
static int append(struct objects *o, const struct entry *from, const struct pack_record *r,
                  const void *payload, uint32_t note, struct entry *ret_to)
{
    struct pack_place at;
    int err = packs_append(o->c.packs, r, payload, &at);

    if (err < 0)
        return err;
    *ret_to = (struct entry){.kind = ENTRY_PACK,
                             .id = from->id,
                             .size = from->size,
                             .day = from->day,
                             .where = at.pack,
                             .offset = at.offset,
                             .stored = at.stored ? at.stored : note};
    if (ret_to->stored == 0)
        atomic_fetch_add(&o->untold, 1);
    else if (ret_to->stored == ENTRY_AT_REST)
        atomic_fetch_add(&o->at_rest, 1);
    return 0;
}

uint64_t objects_plain(struct objects *o, bool all)
{
    return 1 + atomic_load(&o->at_rest) + (all ? atomic_load(&o->untold) : 0);
}

static struct pack_record plain_record(const struct entry *e)
{
    return (struct pack_record){
        .id = e->id, .stored = (uint32_t)e->size, .size = (uint32_t)e->size};
}

int objects_append(struct objects *o, const struct entry *from, const void *data,
                   enum compress_how how, struct entry *ret_to)
{
    struct pack_record r = plain_record(from);

    how = shorten(how, &r, &data);
    return append(o, from, &r, data, note_of(how, from->size), ret_to);
}

int objects_compress(struct objects *o, const struct entry *from, const void *data,
                     struct entry *ret_to)
{
    struct pack_record r = plain_record(from);
    enum compress_how how = shorten(COMPRESS_REST, &r, &data);
    int err;

    if (r.method == PACK_PLAIN) {
        *ret_to = *from;
        ret_to->stored = note_of(how, from->size);
        return how == COMPRESS_REST ? 0 : -ENOMEM;
    }
    err = append(o, from, &r, data, 0, ret_to);
    return err < 0 ? err : 1;
}

/* Copies the source to a slot, and adds its bytes to an id. An error of the source is in
 * in->err. */
static int fill_slot(struct blob *slot, struct outgoing *in, struct id_stream *s)
{
    uint8_t *buf = malloc(PIECE);
    uint64_t size = blob_length(in->blob);
    int err = buf ? 0 : -ENOMEM;

    for (uint64_t off = 0; err == 0 && off < size; off += PIECE) {
        size_t n = size - off < PIECE ? (size_t)(size - off) : PIECE;
        err = read_outgoing(in, buf, n, off);
        if (err == 0)
            err = id_stream_add(s, buf, n);
        if (err == 0)
            err = blob_write(slot, buf, n, off);
    }
    free(buf);
    return err;
}

/* Copies the source to a slot, and checks it against the id. */
static int fill_and_check(struct objects *o, struct blob *slot, struct outgoing *in,
                          const struct id *id)
{
    struct id_stream *s;
    struct id hash;
    int err = id_stream_create(o->c.key, &s);

    if (err < 0)
        return err;
    err = fill_slot(slot, in, s);
    if (err == 0) {
        id_stream_end(s, &hash);
        if (!id_fits(o->c.key, id, &hash))
            err = in->err = -EUCLEAN;
    }
    id_stream_destroy(s);
    return err;
}

/* Copies a file home. It has the name of a slot first, so that it is complete before it gets the
 * name of an object. */
static int file_home(struct objects *o, uint64_t number, struct outgoing *in, struct entry *to)
{
    struct blob *slot;
    int err = blob_create_slot(o->c.disk, number, &slot);

    if (err < 0)
        return err;
    err = fill_and_check(o, slot, in, &to->id);
    if (err == 0)
        err = object_file_number(o, number, &to->where);
    if (err == 0) {
        err = blob_link_object(slot, &to->id, to->where);
        if (err < 0)
            (void)blob_unlink_object(o->c.disk, &to->id, to->where);
    }
    blob_unref(slot);
    (void)blob_unlink_slot(o->c.disk, number);
    return err;
}

int objects_copy_file(struct objects *o, uint16_t shard, uint64_t number, const struct entry *from,
                      const struct blob_pace *pace, struct entry *ret_to)
{
    struct entry to = object_copy_of(o, shard, from);
    struct outgoing out = {.pace = pace};
    int end, err;

    if (from->kind != ENTRY_FILE || !(shard || entry_is_ghost(from)))
        return -EINVAL;
    err = object_open_file(o, from, true, &out.blob);
    if (err < 0)
        return object_source_said(o, from, err);
    err = shard ? file_out(o, &out, &to) : file_home(o, number, &out, &to);
    end = object_close_file(o, from, out.blob, out.err);
    if (end < 0)
        return object_source_said(o, from, end);
    if (err == 0)
        *ret_to = to;
    return err;
}

/* ---- asking, deleting ---- */

bool objects_pack_has(uint64_t size, const struct entry *ghost)
{
    return size >= ghost->offset + pack_record_size((uint32_t)entry_payload(ghost));
}

/* Does the shard have a file of the right size for this ghost? A file must have exactly that size,
 * and sums beside it; a pack, whose size *ret_pack gets, must reach to the end of the record. 1,
 * -ENOENT, or -errno. */
static int has_size(struct shard *s, const struct entry *e, uint64_t *ret_pack)
{
    char name[DISK_NAME_MAX + 1], sums[DISK_NAME_MAX + 1];
    uint64_t size, none;
    int err = sums_name_of(e, sums);

    objects_file_name(e, 0, name);
    if (err == 0)
        err = shard_stat(s, name, &size);
    if (err == 0 && e->kind == ENTRY_FILE)
        err = shard_stat(s, sums, &none);
    if (err < 0)
        return err;
    if (e->kind == ENTRY_FILE)
        return size == e->size ? 1 : -ENOENT;
    *ret_pack = size;
    return objects_pack_has(size, e) ? 1 : -ENOENT;
}

int objects_ask(struct objects *o, const struct entry *ghost, uint64_t *ret_size)
{
    struct shard *s;
    int err;

    *ret_size = 0;
    if (!entry_is_ghost(ghost))
        return -EINVAL;
    err = object_use(o, ghost->shard, SHARDS_READ, &s, NULL);
    if (err < 0)
        return err;
    err = has_size(s, ghost, ret_size);
    if (err == -EUCLEAN) /* the head of what is left of a pack is damaged */
        err = -ENOENT;
    err = shards_said(o->c.shards, ghost->shard, err);
    shards_put_back(o->c.shards, ghost->shard);
    return err == -ENOENT ? 0 : err;
}

/* As has_size. */
static int has_record(struct shard *s, const struct entry *e)
{
    uint8_t head[PACK_RECORD_HEAD];
    char name[DISK_NAME_MAX + 1];
    struct pack_record r;
    ssize_t n;

    objects_file_name(e, 0, name);
    n = shard_range(s, name, head, sizeof head, e->offset);
    if (n < 0)
        return n == -EUCLEAN ? -ENOENT : (int)n;
    return n == sizeof head && pack_record_decode(head, &r) == 0 && r.size == e->size ? 1 : -ENOENT;
}

int objects_ask_closely(struct objects *o, const struct entry *ghost)
{
    uint64_t size;
    struct shard *s;
    int err = objects_ask(o, ghost, &size);

    if (err != 1 || ghost->kind != ENTRY_PACK || !shards_is_archive(o->c.shards, ghost->shard))
        return err;
    err = object_use(o, ghost->shard, SHARDS_READ, &s, NULL);
    if (err < 0)
        return err;
    err = shards_said(o->c.shards, ghost->shard, has_record(s, ghost));
    shards_put_back(o->c.shards, ghost->shard);
    return err == -ENOENT ? 0 : err;
}

bool objects_sound_there(struct objects *o, const struct entry *ghost)
{
    struct shard *s;
    int err;

    if (!entry_is_ghost(ghost) || object_use(o, ghost->shard, SHARDS_READ, &s, NULL) < 0)
        return false;
    err = verify_there(s, ghost);
    shards_put_back(o->c.shards, ghost->shard);
    return err == 0;
}

int objects_delete_remote(struct objects *o, const struct entry *ghost)
{
    char name[DISK_NAME_MAX + 1];
    struct shard *s;
    int err;

    if (!entry_is_ghost(ghost))
        return -EINVAL;
    if (o->c.shards && shards_is_archive(o->c.shards, ghost->shard))
        return -EPERM;
    err = object_use(o, ghost->shard, SHARDS_WRITE, &s, NULL);
    if (err < 0)
        return err;
    if (ghost->kind == ENTRY_FILE) {
        object_forget_file(o, ghost->shard, ghost->where);
        err = delete_file(s, ghost);
    } else {
        objects_file_name(ghost, 0, name);
        err = shard_delete(s, name);
    }
    err = shards_said(o->c.shards, ghost->shard, err);
    shards_put_back(o->c.shards, ghost->shard);
    return err == -ENOENT ? 0 : err;
}
