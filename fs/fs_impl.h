// SPDX-License-Identifier: Apache-2.0
/*
 * fs_impl: what the files of fs/ share: the mount, open handles, answers.
 *
 * Who answers a request is told by its nodeid: taldir_owns() ones belong to `.tally` (tal_ops.c),
 * all others to vfs. A handle is owned by fi->fh from the reply of open to release; the mount keeps
 * a list of all of them only to release what clients still hold when it ends.
 *
 * No lock of any kind is held across fuse_reply_*: the reply may be the last use of what it names.
 */
#pragma once

#define FUSE_USE_VERSION FUSE_MAKE_VERSION(3, 14)
#include <fuse_lowlevel.h>

#include "fs.h"
#include "lock.h"
#include "requests.h"
#include "vfs.h"
#include <stdatomic.h>
#include <sys/stat.h>

#define FS_FOREVER 1e9           /* seconds; the kernel may keep what only we can change */
#define FS_ROOT_NAMES 1.0        /* seconds; names at the root: notify.h */
#define FS_IO_MAX (1024u * 1024) /* bytes in one read or write request */
#define FS_TALLY_NAME ".tally"

struct control_session;
struct defer;
struct ending;
struct notify;
struct passthrough;
struct remount;
struct ring;
struct sync;
struct taldir;
struct waiting;

struct fs {
    struct project *p;
    const struct fs_options *o;
    struct fuse_session *se;
    struct taldir *tal;
    uint32_t tal_generation; /* of all its nodes: nobody can make up a handle of one */
    struct defer *defer;
    struct notify *notify;
    struct sync *sync;
    struct passthrough *passthrough;
    struct remount *remount;       /* while requests are served; may be NULL */
    _Atomic bool reads_all;        /* see fs_reads_all() */
    struct ending *ending;         /* from the mount to the end */
    _Atomic uint64_t init_unique;  /* the INIT request not answered yet, 0: none */
    _Atomic uint32_t init_offered, init_offered2; /* its flags */
    bool dirs_unopened;            /* the kernel takes it that directories need no opening */
    struct ring *ring;             /* NULL: requests come from the device */
    _Atomic bool ring_agreed;      /* with the kernel */
    struct requests requests;      /* counted where they are read (init.c) */
    struct waiting *waiting;       /* those that are not answered; NULL: not counted */
    struct mutex handles_lock;
    struct handle *handles; /* all open ones; guarded by handles_lock */
};

enum handle_kind {
    HANDLE_FILE,    /* file: of a namespace, or an object */
    HANDLE_CONTROL, /* control */
    HANDLE_TEXT,    /* text: rendered when it was opened */
    HANDLE_SPOOL,   /* fd: an unlinked file */
};

struct handle {
    enum handle_kind kind;
    bool uncached;              /* HANDLE_FILE: what is written goes past the kernel's cache */
    struct handle *prev, *next; /* in fs.handles */
    uint64_t backed; /* the nodeid that it counts for in passthrough.c; 0: none */
    union {
        struct vfs_file *file;
        struct control_session *control;
        struct {
            char *s; /* owned */
            size_t len;
        } text;
        int fd;
    };
};

static inline struct fs *fs_of(fuse_req_t req)
{
    return fuse_req_userdata(req);
}
static inline struct handle *fs_handle(const struct fuse_file_info *fi)
{
    return (struct handle *)(uintptr_t)fi->fh;
}
/* Must each reading be seen, since it moves an access time? Then the kernel keeps no listing and no
 * target of a symlink, and what it has of a file only while that is open. */
static inline bool fs_reads_all(const struct fs *fs)
{
    return atomic_load_explicit(&fs->reads_all, memory_order_relaxed);
}
/* How reading moves access times from now on, bits of enum project_atime. */
static inline void fs_set_atime(struct fs *fs, unsigned how)
{
    atomic_store(&fs->reads_all, (how & PROJECT_STRICTATIME) != 0);
    project_set_atime(fs->p, how);
}
/* Who asks, to own what is made. */
static inline struct vfs_cred fs_cred(fuse_req_t req)
{
    const struct fuse_ctx *c = fuse_req_ctx(req);
    return (struct vfs_cred){.uid = c->uid, .gid = c->gid, .umask = c->umask};
}
/* Is this the mount root's `.tally`? */
bool fs_is_tally(uint64_t parent, const char *name);

/* ---- handles (handle.c) ---- */

/* A handle in the mount's list; its kind and member are the caller's to fill. NULL: no memory. */
struct handle *handle_new(struct fs *fs, enum handle_kind kind);
/* Close what it holds and free it. */
void handle_free(struct fs *fs, struct handle *h);
/* Free without closing anything: the open failed. */
void handle_drop(struct fs *fs, struct handle *h);
void handle_free_all(struct fs *fs);

/* ---- answers (reply.c) ---- */

/* The errno a client sees, positive, for a -errno of core. */
int fs_errno(int64_t r);
void fs_reply_err(fuse_req_t req, int64_t r); /* r: 0 or -errno */
/* Times before 1970 round down, so that tv_nsec is never negative. */
struct timespec fs_time(int64_t ns);
void fs_stat(const struct vfs_attr *a, struct stat *ret);
/* Seconds the kernel may keep the attributes of such a file. Set-id bits give rights: it asks for
 * the mode before each use. */
double fs_attr_timeout(const struct fs *fs, uint32_t mode);
/* The mode that the answer to a change shows, one that leaves it as it is. The kernel drops what an
 * answer to a question says of an inode that has changed since; the answer to a change it takes as
 * it comes, and however late the client gets to it: one who let that wait, and had set-id bits go
 * meanwhile, would have them back. So only root is shown them; that they are not kept (above) has
 * the kernel ask for them where they count. */
uint32_t fs_mode_unchanged(fuse_req_t req, uint32_t mode);
/* An entry of a namespace as the kernel gets it; st_nlink is POSIX (see fs_add_refs). No calls of
 * core: may be used under its locks. */
void fs_entry(const struct fs *fs, const struct vfs_attr *a, struct fuse_entry_param *ret);
/* Answer with an entry that core counted (E in vfs.h); gives it back if nobody took the answer. */
void fs_reply_entry(fuse_req_t req, const struct vfs_attr *a);
/* The same of one that was there before, after a change that leaves its mode alone. */
void fs_reply_linked(fuse_req_t req, const struct vfs_attr *a);
void fs_reply_attr(fuse_req_t req, const struct vfs_attr *a);
void fs_reply_set(fuse_req_t req, const struct vfs_attr *a); /* likewise */
/* With nlink_refs: add the object's other references to st_nlink, for a user who may know of
 * them. */
void fs_add_refs(struct fs *fs, uint32_t uid, uint64_t nodeid, struct stat *st);
/* May that user know who else has the bytes of a file? Its id and its count tell whether there are
 * files with certain bytes, also where nobody else may look: so that is the mount's owner and root,
 * as for `.tally`. */
bool fs_may_know(const struct fs *fs, uint32_t uid);
/* The end of a listing that the kernel must not keep, into `buf`: see ops_dir.c. Its length. */
size_t fs_end_uncached(char *buf, size_t room);
/* This thread's buffer of at least `len` bytes, valid until its next call; NULL: no memory. */
void *fs_buffer(size_t len);

/* ---- operations, one table entry each (ops.c, ops_file.c, ops_dir.c, ops_xattr.c) ---- */

extern const struct fuse_lowlevel_ops fs_ops;

void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
               struct fuse_file_info *fi);
void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
              struct fuse_file_info *fi);
void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);
void op_copy_file_range(fuse_req_t req, fuse_ino_t ino_in, off_t off_in,
                        struct fuse_file_info *fi_in, fuse_ino_t ino_out, off_t off_out,
                        struct fuse_file_info *fi_out, size_t len, int flags);
void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len,
                  struct fuse_file_info *fi);
void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence, struct fuse_file_info *fi);
void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                    struct fuse_file_info *fi);
void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);
/* In `flags` of setxattr, from init.c: an access ACL is set by who may not keep a set-gid bit. */
#define FS_XATTR_KILL_SGID (1 << 30)
void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size,
                 int flags);
void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name);

/* The same for nodes of .tally (tal_ops.c). */
void tal_op_lookup(fuse_req_t req, uint64_t parent, const char *name);
void tal_op_getattr(fuse_req_t req, uint64_t ino);
void tal_op_setattr(fuse_req_t req, uint64_t ino, int to_set);
void tal_op_open(fuse_req_t req, uint64_t ino, const struct fuse_file_info *fi);
void tal_op_read(fuse_req_t req, size_t size, off_t off, const struct fuse_file_info *fi);
void tal_op_write(fuse_req_t req, const char *buf, size_t size, off_t off,
                  const struct fuse_file_info *fi);
void tal_op_readdir(fuse_req_t req, uint64_t ino, size_t size, off_t off, bool plus);

/* ---- negotiation (init.c) ---- */

/* O_TMPFILE: a create of this name, which no file can have. */
#define INIT_TMPFILE_NAME "/"

