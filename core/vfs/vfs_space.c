// SPDX-License-Identifier: Apache-2.0
/*
 * vfs_space: data and holes of a file: fallocate, and seeking data and holes.
 *
 * A hole consists of whole blocks, of ends of blocks, and of whole pages in a map (vfs_holes.c). At
 * the edge of a punched range a block may have other bytes that stay. There zeros are written over
 * the data, and then the whole pages among them are put into the map. A huge range is punched in
 * turns. Each turn holds the locks that one write holds, so readers, flushes and branches can run
 * between two turns, as they can between the pieces of a large write.
 */
#include "flush.h"
#include "io.h"
#include "nowait.h"
#include "vfs.h"
#include "vfs_file_impl.h"
#include "vfs_remote.h"
#include <errno.h>
#include <linux/falloc.h>
#include <stdlib.h>

#define PUNCH_MORE 1 /* a punch is not over */

/* Check the arguments of vfs_fallocate. */
static int check_range(struct vfs_file *f, int mode, uint64_t off, uint64_t len)
{
    const int punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

    if (mode & ~(FALLOC_FL_ZERO_RANGE | punch))
        return -EOPNOTSUPP;
    if (mode & FALLOC_FL_PUNCH_HOLE && mode != punch)
        return -EOPNOTSUPP;
    if (!f->write)
        return -EBADF;
    if (len == 0 || off > FILE_SIZE_MAX)
        return -EINVAL;
    return len > FILE_SIZE_MAX - off ? -EFBIG : 0;
}

/* Do the disk and the limit of the namespace have room for those bytes of the range that are not
 * stored yet? Nothing is reserved. It is an estimate: all stored bytes of the file are taken to lie
 * in the range. */
static int check_room(struct vfs_file *f, const struct inode *in, uint64_t off, uint64_t len)
{
    uint64_t end = off + len, from = off > in->size ? off : in->size;
    uint64_t behind = end > from ? end - from : 0, inside = len - behind;
    uint64_t stored = inode_stored(in), need = behind + (inside > stored ? inside - stored : 0);
    struct disk_space s;
    int err = vfs_statfs_at(f->p, f->v->nodeid, &s);

    if (err < 0)
        return err;
    return need > s.blocks_avail * s.block_size ? s.full : 0;
}

static int load_inode(struct vfs_file *f, struct inode *ret)
{
    struct items it;
    int err = items_lock(f->p, f->v, NULL, &it);

    if (err < 0)
        return err;
    err = inode_load(it.tree, it.ino, ret);
    items_unlock(f->p, &it);
    return err;
}

/* Punch as far as one turn goes, and store the inode with its times, and with `size` if that is
 * larger. The tree is locked. -EAGAIN: there is more. */
static int punch_items(struct items *it, struct punch *u, uint64_t size)
{
    struct inode in;
    int err = inode_load(it->tree, it->ino, &in), more;

    if (err < 0)
        return err;
    more = extents_punch(it, &in, u, PUNCH_AT_ONCE);
    if (more < 0 && more != -EAGAIN)
        return more;
    in.size = size > in.size ? size : in.size;
    in.mtime = in.ctime = now(it->txn->p);
    if (more == 0)
        err = extents_settle(it, &in);
    if (err == 0)
        err = file_cut_content(it, &in);
    if (err == 0)
        err = inode_store(it->tree, it->ino, &in);
    err = change_done(it->txn, it->ns, err);
    return err < 0 ? err : more;
}

/* Write zeros that become a hole. Needs v->io (write). */
static int write_zeros(struct txn *t, struct vnode *v, uint64_t off, uint64_t len)
{
    uint8_t *zeros = calloc(1, len);
    size_t n;
    int err = zeros ? 0 : -ENOMEM;

    for (uint64_t done = 0; done < len && err == 0; done += n)
        err = file_write_hole(t, v, zeros, len - done, off + done, &n);
    free(zeros);
    return err;
}

/* Punch up to the next edge, and write the zeros of this edge. *size becomes 0 when it is stored.
 * `room`: the result of flush_room; zeros are only written if it is 0. PUNCH_MORE: there is more.
 * -EAGAIN: bytes at the edge are on another shard; the next step punches this part once more. Needs
 * v->io (write). */
static int punch_step(struct txn *t, struct vfs_file *f, struct punch *u, uint64_t *size, int room)
{
    const struct punch before = *u;
    struct state *p = f->p;
    struct items it;
    int more, err = items_lock(p, f->v, t, &it);

    if (err < 0)
        return err;
    f->v->version++;
    more = punch_items(&it, u, *size);
    items_unlock(p, &it);
    if (more != -EAGAIN)
        return more;
    *size = 0;
    if (u->zero_len)
        err = room < 0 ? room : write_zeros(t, f->v, u->zero, u->zero_len);
    if (err == -EAGAIN)
        *u = before;
    return err < 0 ? err : PUNCH_MORE;
}

/* One turn, as one change. It covers the whole of a range that is not huge, with both edges, so
 * that a branch has all of the change or nothing. PUNCH_MORE: there is more. -EAGAIN: see
 * punch_step; but for bytes that move during the turn, this one has changed nothing. */
static int punch_turn(struct vfs_file *f, struct punch *u, uint64_t *size, int room,
                      struct remote_bytes *remote)
{
    TXN(t);
    int err = txn_begin(f->p, PUNCH_ROOM, &t);

    if (err < 0)
        return err;
    t.remote = remote;
    WRITE_GUARD(&f->v->io);
    err = vnode_changeable(f->v);
    if (err == 0)
        err = remote_bytes_check(f->p, f->v, u->from, u->end - u->from, false, remote);
    if (err < 0)
        return err;
    err = PUNCH_MORE;
    for (unsigned steps = 0; err == PUNCH_MORE && steps < PUNCH_STEPS; steps++)
        err = punch_step(&t, f, u, size, room);
    return err;
}

/* Punching frees space, so it goes on while a full disk prevents a flush. */
static int unless_full(int err, int mode)
{
    return mode & FALLOC_FL_PUNCH_HOLE && io_is_full(err) ? 0 : err;
}

/* Turns until all is done, or bytes must be gathered (-EAGAIN). `remote` has the bytes on another
 * shard that stay at the two edges. */
static int punch_turns(struct vfs_file *f, int mode, struct punch *u, uint64_t *size,
                       struct remote_bytes *remote)
{
    /* Punching needs room only for the zeros at the edges. */
    int room = u->pos < u->end ? flush_room(f->p) : 0;
    int err = punch_turn(f, u, size, room, remote);

    while (err == PUNCH_MORE) {
        err = unless_full(flush_throttle(f->p), mode);
        if (err == 0)
            err = punch_turn(f, u, size, room, remote);
    }
    return err;
}

static int punch(struct vfs_file *f, int mode, struct punch *u, uint64_t size)
{
    struct remote_bytes remote;
    unsigned turns = 0;
    int err;

    remote_bytes_init(&remote);
    do {
        err = remote_bytes_begin(f->p, f->v, u->from, u->end - u->from, false, &remote);
        if (err == 0)
            err = punch_turns(f, mode, u, &size, &remote);
    } while (remote_bytes_again(&turns, &err));
    remote_bytes_end(&remote);
    return err == -EHOSTUNREACH ? -EIO : err;
}

int vfs_fallocate(struct vfs_file *f, int mode, uint64_t off, uint64_t len)
{
    bool clear = mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE);
    uint64_t size = mode & FALLOC_FL_KEEP_SIZE ? 0 : off + len;
    struct punch u = {.from = off, .pos = off, .end = off + len};
    struct inode in;
    int err = check_range(f, mode, off, len);

    if (err == 0 && !thread_may_wait())
        err = -EWOULDWAIT; /* it makes several changes, and may wait before each */
    if (err == 0)
        err = unless_full(file_writable(f), mode);
    if (err < 0)
        return err;
    err = load_inode(f, &in);
    if (err == 0 && !(mode & FALLOC_FL_PUNCH_HOLE))
        err = check_room(f, &in, off, len);
    if (err < 0)
        return err;
    if (!clear)
        u.end = u.pos; /* only size and times */
    return punch(f, mode, &u, size);
}

/* ---- seeking ---- */

/* As extents_seek, but with the holes within blocks, which extents_seek does not know. -EAGAIN:
 * *pos has moved, and the search is not over. */
static int seek_items(const struct items *it, const struct inode *in, uint64_t *pos, bool data)
{
    uint64_t hole;
    int hole_err = data ? -ENOENT : holes_next(it, in, *pos, &hole);
    int err =
        hole_err < 0 && hole_err != -ENOENT ? hole_err : extents_seek(it, in, *pos, data, pos);

    if (data)
        return err < 0 ? err : holes_pass(it, in, pos);
    if (hole_err < 0 || (err < 0 && err != -EAGAIN) || hole >= *pos)
        return err;
    *pos = hole;
    return 0;
}

/* One step of a search that began at `off` and has come to *pos. Behind all data there is a hole
 * at the end of the file. */
static int seek(struct vfs_file *f, uint64_t off, uint64_t *pos, bool data)
{
    struct items it;
    struct inode in;
    int err = items_lock(f->p, f->v, NULL, &it);

    if (err < 0)
        return err;
    err = inode_load(it.tree, it.ino, &in);
    if (err == 0)
        err = off < in.size ? seek_items(&it, &in, pos, data) : -ENXIO;
    items_unlock(f->p, &it);
    if (err == 0 && *pos >= in.size) {
        *pos = in.size;
        return data ? -ENXIO : 0;
    }
    return err;
}

int64_t vfs_seek(struct vfs_file *f, uint64_t off, bool data)
{
    uint64_t pos = off;
    struct entry e;
    int err;

    if (!f->v) { /* an object has no holes */
        err = refs_entry(f->p->refs, f->object, true, NULL, &e);
        if (err < 0)
            return err;
        return off >= e.size ? -ENXIO : (int64_t)(data ? off : e.size);
    }
    READ_GUARD(&f->v->io);
    do
        err = seek(f, off, &pos, data);
    while (err == -EAGAIN);
    return err < 0 ? err : (int64_t)pos;
}
