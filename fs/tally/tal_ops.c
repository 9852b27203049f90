// SPDX-License-Identifier: Apache-2.0
/*
 * tal_ops: requests on nodes of `.tally`. The kernel keeps nothing of this tree that can change.
 * Texts are read with direct_io, so their size need not be known. What never changes is kept: the
 * bytes of an object, and the directories of objects. An object's name leads to its number as long
 * as that number exists. So the kernel may keep the name for a moment (OBJECT_NAME), but not the
 * attributes: when the object is gone, a request for them returns ESTALE, and the kernel looks the
 * name up again. So no client ever sees an old state. A snapshot is no node of this tree, only its
 * name is in it.
 *
 * Views seal files first, which waits: such an operation begins anew in a thread that may wait
 * (fs_must_wait). Control commands wait for jobs: they are deferred calls.
 */
#include "tal_ops.h"

#include "control.h"
#include "defer.h"
#include "export.h"
#include "handle.h"
#include "import.h"
#include "io.h"
#include "nowait.h"
#include "reply.h"
#include "taldir.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* ---- names and attributes ---- */

#define OBJECT_NAME 1.0 /* for how many seconds the kernel may keep the name of an object */

/* Sets how long the kernel may keep name and attributes; the default is 0. */
static void set_validity(struct fuse_entry_param *e)
{
    if (taldir_is_constant(e->ino))
        e->entry_timeout = e->attr_timeout = FS_FOREVER;
    else if (taldir_kind(e->ino) == TALDIR_OBJECT)
        e->entry_timeout = OBJECT_NAME;
}

/* Answers with the top directory of a snapshot. From there on it is a tree of the vfs. The kernel
 * keeps the name as it keeps those in the mount root, and hears of a drop as there (notify.h). */
static void lookup_snapshot(fuse_req_t req, uint32_t of, const char *name)
{
    struct vfs_attr a;
    int err = vfs_lookup_snapshot(fs_of(req)->p, of, name, &a);
    if (err < 0)
        fs_reply_err(req, err);
    else
        fs_reply_entry(req, &a);
}

/* Is it the directory of snapshots in a namespace that does not show them any more? Who has entered
 * it meanwhile finds nothing there. */
static bool is_closed_snapdir(fuse_req_t req, uint64_t ino)
{
    uint32_t of;
    return taldir_has_snapshots(ino, &of) && !taldir_has_bases(ino) &&
           !vfs_has_snapdir(fs_of(req)->p, of);
}

void tal_op_lookup(fuse_req_t req, uint64_t parent, const char *name)
{
    uint32_t of;
    if (is_closed_snapdir(req, parent)) {
        fs_reply_err(req, -ENOENT);
        return;
    }
    if (taldir_has_snapshots(parent, &of)) {
        if (!taldir_has_bases(parent) && name[strspn(name, "0123456789")] == '\0')
            fs_reply_err(req, -ENOENT);
        else
            lookup_snapshot(req, of, name);
        return;
    }
    struct fs *fs = fs_of(req);
    struct fuse_entry_param e = {.generation = fs->tal_generation};
    if (taldir_lookup_waits(parent) && fs_must_wait(req))
        return;
    int err = taldir_lookup(fs->tal, parent, name, &e.attr);
    e.ino = e.attr.st_ino;
    set_validity(&e);
    if (err < 0)
        fs_reply_err(req, err);
    else
        fuse_reply_entry(req, &e);
}

void tal_op_getattr(fuse_req_t req, uint64_t ino)
{
    struct stat st;
    if (taldir_kind(ino) == TALDIR_OBJECT && fs_must_wait(req))
        return;
    int err = taldir_getattr(fs_of(req)->tal, ino, &st);
    if (err < 0)
        fs_reply_err(req, err);
    else
        fuse_reply_attr(req, &st, taldir_is_constant(ino) ? FS_FOREVER : 0);
}

/* Only `echo … > control` is allowed, which truncates: there is nothing to do. Owners and modes
 * come from the mount's options. */
void tal_op_setattr(fuse_req_t req, uint64_t ino, int to_set)
{
    const int refused = FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID;
    const enum taldir_kind kind = taldir_kind(ino);
    const bool takes =
        kind == TALDIR_CONTROL || kind == TALDIR_IMPORT || kind == TALDIR_EXPORT;
    if (!takes || (to_set & refused) != 0)
        fuse_reply_err(req, EPERM);
    else
        tal_op_getattr(req, ino);
}

/* ---- opening ---- */

/* Answers an open: with the handle, or with the error, and then the handle is freed. */
static void reply_open(fuse_req_t req, struct fuse_file_info *fi, struct handle *h, int err)
{
    struct fs *fs = fs_of(req);
    if (err < 0) {
        if (h)
            handle_drop(fs, h);
        fs_reply_err(req, err);
        return;
    }
    fi->fh = (uintptr_t)h;
    if (fuse_reply_open(req, fi) != 0)
        handle_free(fs, h);
}

static void open_control(fuse_req_t req, struct fuse_file_info *fi)
{
    struct fs *fs = fs_of(req);
    struct handle *h = handle_new(fs, HANDLE_CONTROL);
    fi->direct_io = 1;
    reply_open(req, fi, h, !h ? -ENOMEM : control_open(fs->p, &h->control));
}

static void open_import(fuse_req_t req, struct fuse_file_info *fi)
{
    struct fs *fs = fs_of(req);
    const struct vfs_cred cred = fs_cred(req);
    struct handle *h = handle_new(fs, HANDLE_IMPORT);
    fi->direct_io = 1;
    reply_open(req, fi, h,
               !h ? -ENOMEM
                  : import_open(fs->p, &cred, fs_may_know(fs, cred.uid), &h->import));
}

/* Whoever may read all of the store may have it sent. */
static void open_export(fuse_req_t req, struct fuse_file_info *fi)
{
    struct fs *fs = fs_of(req);
    struct handle *h = handle_new(fs, HANDLE_EXPORT);
    bool may = fs_may_know(fs, fuse_req_ctx(req)->uid);
    fi->direct_io = 1;
    reply_open(req, fi, h, !h ? -ENOMEM : !may ? -EACCES : export_open(fs->p, &h->export));
}

/* Opens the object. -ESTALE: it is gone, and the kernel shall look its name up again. */
static int object_open(struct fs *fs, uint64_t ino, struct handle *h)
{
    struct id id;
    int err = !h ? -ENOMEM : taldir_object(fs->tal, ino, &id);
    if (err == 0)
        err = vfs_open_object(fs->p, &id, &h->file);
    return err == -ENOENT ? -ESTALE : err;
}

static void open_object(fuse_req_t req, uint64_t ino, struct fuse_file_info *fi)
{
    struct fs *fs = fs_of(req);
    struct handle *h = handle_new(fs, HANDLE_FILE);
    fi->keep_cache = 1;
    reply_open(req, fi, h, object_open(fs, ino, h));
}

/* Renders the text, which the handle keeps until its release. So a reader sees the state of one
 * moment. */
static int text_open(struct fs *fs, uint64_t ino, struct handle *h)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    int err = !h ? -ENOMEM : taldir_text(fs->tal, ino, &text);
    if (err < 0)
        return err;
    h->text.s = strbuf_detach(&text, &h->text.len);
    return !h->text.s ? -ENOMEM : 0;
}

/* Opens a text or a spool. */
static void open_view(fuse_req_t req, uint64_t ino, struct fuse_file_info *fi)
{
    struct fs *fs = fs_of(req);
    const bool spool = taldir_kind(ino) == TALDIR_SPOOL;
    if (fs_must_wait(req))
        return;
    struct handle *h = handle_new(fs, spool ? HANDLE_SPOOL : HANDLE_TEXT);
    int err = !spool ? text_open(fs, ino, h) : !h ? -ENOMEM : taldir_spool(fs->tal, ino, &h->fd);
    fi->direct_io = 1;
    reply_open(req, fi, h, err);
}

void tal_op_open(fuse_req_t req, uint64_t ino, const struct fuse_file_info *fi)
{
    struct fuse_file_info own = *fi;
    const enum taldir_kind kind = taldir_kind(ino);
    if (kind == TALDIR_CONTROL) {
        open_control(req, &own);
    } else if (kind == TALDIR_IMPORT) {
        open_import(req, &own);
    } else if (kind == TALDIR_EXPORT) {
        open_export(req, &own);
    } else if ((fi->flags & O_ACCMODE) != O_RDONLY || (fi->flags & O_TRUNC) != 0) {
        fuse_reply_err(req, EPERM);
    } else if (kind == TALDIR_OBJECT) {
        open_object(req, ino, &own);
    } else {
        open_view(req, ino, &own);
    }
}

/* ---- reading and writing ---- */

/* Answers a read of a text that was rendered at its open. */
static void read_text(fuse_req_t req, const struct handle *h, size_t size, off_t off)
{
    const size_t len = h->text.len;
    const size_t from = (uint64_t)off < len ? (size_t)off : len;
    const size_t n = len - from < size ? len - from : size;
    /* It is copied: once the kernel has the answer, another thread may release the handle. */
    char *buf = fs_buffer(size);
    if (!buf) {
        fuse_reply_err(req, ENOMEM);
        return;
    }
    memcpy(buf, h->text.s + from, n);
    fuse_reply_buf(req, buf, n);
}

/* Answers a read of the control file, of an import or of a spool. No read waits for a command. */
static void read_file(fuse_req_t req, const struct handle *h, size_t size, off_t off)
{
    char *buf = fs_buffer(size);
    ssize_t n = !buf                        ? -ENOMEM
                : h->kind == HANDLE_CONTROL ? control_read_at(h->control, buf, size, off)
                : h->kind == HANDLE_IMPORT  ? import_read(h->import, buf, size)
                                            : io_pread(h->fd, buf, size, (uint64_t)off);
    if (n < 0)
        fs_reply_err(req, n);
    else
        fuse_reply_buf(req, buf, (size_t)n);
}

static void do_read_export(struct call *c)
{
    ssize_t n = -EINTR; /* interrupted before it began */
    if (!atomic_load(&c->interrupted))
        n = export_read(fs_handle(&c->fi)->export, c->data, c->len, &c->interrupted);
    call_settle(c);
    if (n < 0)
        fs_reply_err(c->req, n);
    else
        fuse_reply_buf(c->req, c->data, (size_t)n);
}

/* Reads of an export make what they give. Their offsets say nothing. */
static void read_export(fuse_req_t req, size_t size, const struct fuse_file_info *fi)
{
    call_defer(req, do_read_export,
               &(struct call_args){.lane = CALL_SLOW, .fi = fi, .len = size, .room = size});
}

void tal_op_read(fuse_req_t req, size_t size, off_t off, const struct fuse_file_info *fi)
{
    const struct handle *h = fs_handle(fi);
    switch (h->kind) {
    case HANDLE_TEXT:
        read_text(req, h, size, off);
        break;
    case HANDLE_CONTROL:
    case HANDLE_IMPORT:
    case HANDLE_SPOOL:
        read_file(req, h, size, off);
        break;
    case HANDLE_EXPORT:
        read_export(req, size, fi);
        break;
    default:
        fuse_reply_err(req, EBADF);
        break;
    }
}

static void reply_written(fuse_req_t req, ssize_t n)
{
    if (n < 0)
        fs_reply_err(req, n);
    else
        fuse_reply_write(req, (size_t)n);
}

static void do_write_control(struct call *c)
{
    fs_asked_by(c->req);
    const ssize_t n =
        control_write_at(fs_handle(&c->fi)->control, c->data, c->len, c->off, &c->interrupted);
    call_settle(c);
    reply_written(c->req, n);
}

static void do_write_image(struct call *c)
{
    ssize_t n = -EINTR; /* interrupted before it began */
    fs_asked_by(c->req);
    if (!atomic_load(&c->interrupted))
        n = fs_handle(&c->fi)->kind == HANDLE_EXPORT
                ? export_write(fs_handle(&c->fi)->export, c->data, c->len)
                : import_write(fs_handle(&c->fi)->import, c->data, c->len, &c->interrupted);
    call_settle(c);
    reply_written(c->req, n);
}

/* A write to an import waits if much of what was written is not worked off, and the line of an
 * export for an instant of its own. Their offsets say nothing. */
static void write_image(fuse_req_t req, const char *buf, size_t size,
                        const struct fuse_file_info *fi)
{
    static const _Atomic bool never = false;
    const bool import = fs_handle(fi)->kind == HANDLE_IMPORT;
    const ssize_t n =
        import ? import_write(fs_handle(fi)->import, buf, size, &never) : -EWOULDWAIT;

    if (n != -EWOULDWAIT) {
        reply_written(req, n);
        return;
    }
    call_defer(req, do_write_image,
               &(struct call_args){
                   .lane = CALL_SLOW, .fi = fi, .len = size, .data = buf, .room = size});
}

/* Runs a command. One that cannot wait is run at once, any other in a thread of defer.h. With
 * O_APPEND the offset is -1, since the kernel's is made of a size that this file does not have. */
void tal_op_write(fuse_req_t req, const char *buf, size_t size, off_t off,
                  const struct fuse_file_info *fi)
{
    static const _Atomic bool never = false;
    const struct handle *h = fs_handle(fi);
    const int64_t at = (fi->flags & O_APPEND) != 0 ? -1 : off;
    ssize_t n = -EWOULDWAIT;
    if (h->kind == HANDLE_IMPORT || h->kind == HANDLE_EXPORT) {
        write_image(req, buf, size, fi);
        return;
    }
    if (h->kind != HANDLE_CONTROL)
        n = -EBADF;
    else if (size > CONTROL_WRITE_MAX || !control_may_wait(buf, size)) {
        fs_asked_by(req);
        n = control_write_at(h->control, buf, size, at, &never);
    }
    if (n != -EWOULDWAIT)
        reply_written(req, n);
    else
        call_defer(req, do_write_control,
                   &(struct call_args){.lane = CALL_SLOW,
                                       .fi = fi,
                                       .len = size,
                                       .off = at,
                                       .data = buf,
                                       .room = size});
}

/* ---- directories ---- */

/* The fewest bytes that an entry takes in an answer. */
#define ENTRY_LEAST 32

/* Adds one entry to `buf`. With `plus` an object comes with its attributes; any other entry has ino
 * 0, and is looked up when it is used. Returns the bytes that the entry
 * takes; more than `left`: it was not added. 0: there are no more entries. */
static size_t add_entry(fuse_req_t req, const struct taldir_list *l, size_t index, char *buf,
                        size_t left, bool plus)
{
    struct fuse_entry_param e = {.generation = fs_of(req)->tal_generation};
    uint64_t next;
    const char *name = taldir_list_at(fs_of(req)->tal, l, index, &e.attr, &next);
    if (!name)
        return 0;
    if (!plus)
        return fuse_add_direntry(req, buf, left, name, &e.attr, (off_t)next);
    if (taldir_kind(e.attr.st_ino) == TALDIR_OBJECT) {
        e.ino = e.attr.st_ino;
        set_validity(&e);
    }
    return fuse_add_direntry_plus(req, buf, left, name, &e, (off_t)next);
}

/* Fills the answer with as many entries as fit. An empty answer is turned into an end that the
 * kernel does not keep. */
static void reply_list(fuse_req_t req, const struct taldir_list *l, char *buf, size_t size,
                       bool plus)
{
    size_t used = 0, need;
    for (size_t index = 0;; index++) {
        need = add_entry(req, l, index, buf + used, size - used, plus);
        if (need == 0 || need > size - used)
            break;
        used += need;
    }
    if (used == 0)
        used = fs_end_uncached(buf, size);
    fuse_reply_buf(req, buf, used);
}

/* Answers with a piece of the directory: about as many entries are gathered as can fit. */
void tal_op_readdir(fuse_req_t req, uint64_t ino, size_t size, off_t off, bool plus)
{
    struct taldir_list *l = NULL;
    if (is_closed_snapdir(req, ino)) {
        fs_reply_err(req, -ENOENT);
        return;
    }
    if (taldir_list_waits(ino) && fs_must_wait(req))
        return;
    char *buf = fs_buffer(size);
    int err =
        !buf ? -ENOMEM
             : taldir_list_new(fs_of(req)->tal, ino, (uint64_t)off, size / ENTRY_LEAST + 1, &l);
    if (err < 0)
        fs_reply_err(req, err);
    else
        reply_list(req, l, buf, size, plus);
    taldir_list_free(l);
}
