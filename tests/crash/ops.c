// SPDX-License-Identifier: Apache-2.0
/*
 * ops: operations that change the files of the model and of the store alike. An operation touches
 * the model only after the store said that it was done; the states that a flush may make durable
 * are noted before it starts.
 */
#include "model.h"
#include <errno.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- how an operation ends ---- */

bool is_off(void)
{
    w.stopped = w.stopped || fault_is_cut(&w.fault);
    return w.stopped;
}

bool done(int err, bool *again)
{
    uint64_t writes = atomic_load(&w.fault.writes);
    bool hit = w.was_full || (w.fault.fail_at && writes >= w.fault.fail_at);

    *again = false;
    if (err >= 0)
        return true;
    if (!hit) {
        fprintf(stderr, "an operation failed without a fault: %s\n", strerror(-err));
        CHECK(hit);
    }
    if (w.fault.cut || atomic_load(&w.p->readonly))
        w.stopped = true;
    else
        *again = true;
    return false;
}

/* ---- names ---- */

uint64_t space_node(size_t s)
{
    struct vfs_attr attr;

    CHECK(vfs_lookup(w.p, VFS_ROOT, space_names[s], &attr) == 0);
    vfs_forget(w.p, attr.nodeid, 1);
    return attr.nodeid;
}

int find(size_t s, const char *name, struct vfs_attr *ret)
{
    int err = vfs_lookup(w.p, space_node(s), name, ret);

    if (err == 0)
        vfs_forget(w.p, ret->nodeid, 1);
    return err;
}

/* ---- files ---- */

void fill(uint8_t *buf, size_t len, unsigned value)
{
    uint64_t state = value * UINT64_C(0x9E3779B97F4A7C15) + 1;

    for (size_t i = 0; i < len; i += sizeof state) {
        uint64_t word = fault_random(&state);
        if (now_at.compression != COMPRESSION_OFF && value % 2 == 0)
            word &= UINT64_C(0x0f0f0f0f0f0f0f0f);
        memcpy(buf + i, &word, len - i < sizeof word ? len - i : sizeof word);
    }
}

int write_all(struct vfs_file *f, const uint8_t *buf, size_t len, size_t off)
{
    ssize_t n = vfs_write(f, buf, len, off);

    return n < 0 ? (int)n : (size_t)n == len ? 0 : -EIO;
}

static int write_file(size_t s, const char *name, const uint8_t *buf, size_t len, size_t off)
{
    struct vfs_file *f;
    struct vfs_attr attr;
    int err = vfs_create(w.p, space_node(s), name, 0644, &crash_cred, VFS_WRITE, &attr, &f);

    if (err < 0)
        return err;
    vfs_forget(w.p, attr.nodeid, 1);
    err = write_all(f, buf, len, off);
    vfs_release(f);
    return err;
}

/* The bytes after `len` new ones at `off`. */
static struct bytes *patched(const struct bytes *old, const uint8_t *buf, size_t len, size_t off)
{
    size_t size = old && old->len > off + len ? old->len : off + len;
    struct bytes *b = bytes_new(size);

    if (old)
        memcpy(b->data, old->data, old->len);
    memcpy(b->data + off, buf, len);
    return b;
}

/* What a write of more than a block has done half-way: a frame for each. */
static void note_parts(size_t s, const char *name, size_t off, const uint8_t *buf, size_t len)
{
    struct mfile *f = model_find(&w.live, s, name);
    struct bytes *whole = bytes_ref(f->bytes);

    for (size_t n = EXTENT_BLOCK - off % EXTENT_BLOCK; n < len; n += EXTENT_BLOCK) {
        f->bytes = patched(whole, buf, n, off);
        note_attempt();
        bytes_unref(f->bytes);
        f->bytes = whole;
    }
    bytes_unref(whole);
}

static int create_file(size_t s, const char *name)
{
    struct vfs_attr attr;
    int err = vfs_mknod(w.p, space_node(s), name, S_IFREG | 0644, 0, &crash_cred, &attr);

    if (err == 0)
        vfs_forget(w.p, attr.nodeid, 1);
    return err == -EEXIST ? 0 : err;
}

static void do_write(size_t s, const char *name, size_t off, const uint8_t *buf, size_t len)
{
    struct mfile *f = model_find(&w.live, s, name);
    struct bytes *b = patched(f ? f->bytes : NULL, buf, len, off);

    note_version(s, name, b); /* also if it fails: a part of it may be on the disk */
    bytes_unref(b);
    if (!f) {
        DO(create_file(s, name));
        model_set(s, name, bytes_new(0));
        f = model_find(&w.live, s, name);
    }
    note_parts(s, name, off, buf, len);
    DO(write_file(s, name, buf, len, off));
    model_set(s, name, patched(f->bytes, buf, len, off));
}

void op_write(size_t s, const char *name, size_t off, size_t len, unsigned value)
{
    uint8_t *buf = malloc(len);

    CHECK(buf);
    fill(buf, len, value);
    if (!is_off())
        do_write(s, name, off, buf, len);
    free(buf);
}

static int truncate_file(size_t s, const char *name, size_t size)
{
    struct vfs_attr attr, in = {.size = size};

    CHECK(find(s, name, &attr) == 0);
    return vfs_setattr(w.p, attr.nodeid, VFS_SET_SIZE, &in, &attr);
}

void op_truncate(size_t s, const char *name, size_t size)
{
    struct bytes *old, *b;

    DO(truncate_file(s, name, size));
    old = model_get(s, name);
    b = bytes_new(size);
    memcpy(b->data, old->data, old->len < size ? old->len : size);
    model_set(s, name, b);
}

static int punch_file(size_t s, const char *name, size_t off, size_t len)
{
    struct vfs_attr attr;
    struct vfs_file *f;
    int err;

    CHECK(find(s, name, &attr) == 0);
    err = vfs_open(w.p, attr.nodeid, VFS_WRITE, &f);
    if (err < 0)
        return err;
    err = vfs_fallocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off, len);
    vfs_release(f);
    return err;
}

/* Punched in part: of its edges, and of what is between them. */
static void note_punched(size_t s, const char *name, size_t off, size_t len)
{
    struct mfile *f = model_find(&w.live, s, name);
    struct bytes *whole = f->bytes;
    size_t end = off + len < whole->len ? off + len : whole->len;
    size_t first = (off + EXTENT_BLOCK - 1) / EXTENT_BLOCK * EXTENT_BLOCK;
    size_t last = end / EXTENT_BLOCK * EXTENT_BLOCK;

    for (unsigned parts = 1; parts < 8; parts++) {
        f->bytes = bytes_new(whole->len);
        memcpy(f->bytes->data, whole->data, whole->len);
        for (size_t i = off; i < end; i++)
            if (parts & (i < first ? 1 : i < last ? 2 : 4))
                f->bytes->data[i] = 0;
        note_attempt();
        bytes_unref(f->bytes);
    }
    f->bytes = whole;
}

static void do_punch(size_t s, const char *name, size_t off, size_t len, struct bytes *b)
{
    DO(punch_file(s, name, off, len));
    model_set(s, name, bytes_ref(b));
}

void op_punch(size_t s, const char *name, size_t off, size_t len)
{
    struct bytes *old, *b;

    if (is_off())
        return;
    note_punched(s, name, off, len);
    old = model_get(s, name);
    b = bytes_new(old->len);
    memcpy(b->data, old->data, old->len);
    if (off < old->len)
        memset(b->data + off, 0, old->len - off < len ? old->len - off : len);
    note_version(s, name, b); /* also if it fails */
    do_punch(s, name, off, len, b);
    bytes_unref(b);
}

/* ---- attributes ---- */

const char *attr_of(const char *name)
{
    static char buf[2][24];
    static unsigned turn;
    char *text = buf[turn++ % 2];

    snprintf(text, 24, "%.22s@", name);
    return text;
}

bool is_attr(const struct mfile *f)
{
    return f->name[strlen(f->name) - 1] == '@';
}

static int set_attr(size_t s, const char *name, const struct bytes *b)
{
    struct vfs_attr attr;

    CHECK(find(s, name, &attr) == 0);
    return b ? vfs_setxattr(w.p, attr.nodeid, "user.v", b->data, b->len, 0)
             : vfs_removexattr(w.p, attr.nodeid, "user.v");
}

static void do_xattr(size_t s, const char *name, struct bytes *b)
{
    DO(set_attr(s, name, b));
    model_set(s, attr_of(name), bytes_ref(b));
}

void op_xattr(size_t s, const char *name, size_t len, unsigned value)
{
    struct bytes *b = bytes_new(len);

    fill(b->data, len, value);
    do_xattr(s, name, b);
    bytes_unref(b);
}

void op_unxattr(size_t s, const char *name)
{
    DO(set_attr(s, name, NULL));
    model_set(s, attr_of(name), NULL);
}

/* ---- names of files ---- */

void op_unlink(size_t s, const char *name)
{
    DO(vfs_unlink(w.p, space_node(s), name));
    model_set(s, name, NULL);
    model_set(s, attr_of(name), NULL);
}

void op_rename(size_t s, const char *name, const char *newname)
{
    uint64_t node;

    if (is_off())
        return;
    node = space_node(s);
    DO(vfs_rename(w.p, node, name, node, newname, 0, NULL));
    share_versions(s, name, s, newname);
    model_set(s, newname, bytes_ref(model_get(s, name)));
    model_set(s, name, NULL);
    model_set(s, attr_of(newname),
              model_find(&w.live, s, attr_of(name)) ? bytes_ref(model_get(s, attr_of(name)))
                                                    : NULL);
    model_set(s, attr_of(name), NULL);
}

static int link_file(size_t s, const char *name, size_t s2, const char *name2)
{
    struct vfs_attr attr;
    int err;

    CHECK(find(s, name, &attr) == 0);
    err = vfs_link(w.p, attr.nodeid, space_node(s2), name2, &attr);
    if (err == 0)
        vfs_forget(w.p, attr.nodeid, 1);
    return err;
}

void op_link(size_t s, const char *name, size_t s2, const char *name2)
{
    DO(link_file(s, name, s2, name2));
    share_versions(s, name, s2, name2);
    model_set(s2, name2, bytes_ref(model_get(s, name)));
    if (model_find(&w.live, s, attr_of(name)))
        model_set(s2, attr_of(name2), bytes_ref(model_get(s, attr_of(name))));
}

bool id_of_file(size_t s, const char *name, struct id *ret)
{
    char hex[ID_HEX + 1] = "";
    struct vfs_attr attr;

    CHECK(find(s, name, &attr) == 0);
    if (vfs_getxattr(w.p, attr.nodeid, "user.tally.object", hex, ID_HEX) != ID_HEX) {
        CHECK(fault_is_cut(&w.fault));
        w.stopped = true;
        return false;
    }
    CHECK(id_from_hex(hex, ret) == 0);
    return true;
}

static int link_object(size_t s, const char *name, size_t s2, const char *name2)
{
    struct vfs_attr attr;
    struct id id;
    int err;

    if (!id_of_file(s, name, &id))
        return -EIO;
    err = vfs_link_object(w.p, &id, space_node(s2), name2, &crash_cred, &attr);
    if (err == 0)
        vfs_forget(w.p, attr.nodeid, 1);
    return err;
}

void op_link_object(size_t s, const char *name, size_t s2, const char *name2)
{
    DO(link_object(s, name, s2, name2));
    model_set(s2, name2, bytes_ref(model_get(s, name)));
}

static int share_file(size_t s, const char *name, size_t s2, const char *name2)
{
    struct vfs_file *in, *out;
    struct vfs_attr attr;
    ssize_t n;

    CHECK(find(s, name, &attr) == 0 && vfs_open(w.p, attr.nodeid, 0, &in) == 0);
    n = vfs_create(w.p, space_node(s2), name2, 0644, &crash_cred, VFS_WRITE, &attr, &out);
    if (n == 0) {
        vfs_forget(w.p, attr.nodeid, 1);
        n = vfs_share_range(in, 0, out, 0, SIZE_MAX);
        vfs_release(out);
    }
    vfs_release(in);
    return n < 0 ? (int)n : 0;
}

void op_share(size_t s, const char *name, size_t s2, const char *name2)
{
    if (!model_find(&w.live, s2, name2)) {
        DO(create_file(s2, name2));
        model_set(s2, name2, bytes_new(0));
    }
    DO(share_file(s, name, s2, name2));
    share_versions(s, name, s2, name2);
    model_set(s2, name2, bytes_ref(model_get(s, name)));
}
