// SPDX-License-Identifier: Apache-2.0
/*
 * reply: turns answers of core into answers to the kernel. All errors of core leave the daemon
 * here. So this is the place where an errno that no filesystem returns becomes one that it may
 * return.
 */
#include "reply.h"

#include "clock.h"
#include "history_by.h"
#include "nowait.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The name of a process, or "" if it is not known: it has ended, or is in another container. */
static void name_of_process(pid_t pid, char out[HISTORY_COMM_MAX + 1])
{
    char path[40];
    ssize_t n = 0;
    snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
    int fd = pid > 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        n = read(fd, out, HISTORY_COMM_MAX);
        close(fd);
    }
    out[n > 0 ? n : 0] = '\0';
    out[strcspn(out, "\n")] = '\0';
}

void fs_asked_by(fuse_req_t req)
{
    const struct fuse_ctx *c = fuse_req_ctx(req);
    struct history_by by = {.known = true, .uid = c->uid};
    name_of_process(c->pid, by.comm);
    (void)history_by_set(&by);
}

int fs_errno(int64_t err)
{
    if (err >= 0)
        return 0;
    if (err == -EUCLEAN || err == -EHOSTUNREACH)
        return EIO;
    if (err == -EPROTO) /* written by a newer version */
        return EOPNOTSUPP;
    return (int)-err;
}

void fs_reply_err(fuse_req_t req, int64_t err)
{
    if (err == -EWOULDWAIT)
        fs_of(req)->hooks->postpone(req);
    else
        fuse_reply_err(req, fs_errno(err));
}

bool fs_must_wait(fuse_req_t req)
{
    if (thread_may_wait())
        return false;
    fs_of(req)->hooks->postpone(req);
    return true;
}

bool fs_must_seal(fuse_req_t req)
{
    return fs_of(req)->o->nlink_refs && fs_must_wait(req);
}

struct timespec fs_time(int64_t time_ns)
{
    struct timespec t = {.tv_sec = time_ns / NSEC_PER_SEC, .tv_nsec = time_ns % NSEC_PER_SEC};
    if (t.tv_nsec < 0) {
        t.tv_sec--;
        t.tv_nsec += NSEC_PER_SEC;
    }
    return t;
}

void fs_stat(const struct vfs_attr *a, struct stat *ret)
{
    *ret = (struct stat){
        .st_ino = a->nodeid,
        .st_mode = a->mode,
        .st_nlink = a->nlink,
        .st_uid = a->uid,
        .st_gid = a->gid,
        .st_rdev = a->rdev,
        .st_size = (off_t)a->size,
        .st_blocks = (blkcnt_t)a->blocks,
        .st_blksize = 4096,
        .st_atim = fs_time(a->atime),
        .st_mtim = fs_time(a->mtime),
        .st_ctim = fs_time(a->ctime),
    };
}

double fs_attr_timeout(const struct fs *fs, const struct vfs_attr *a)
{
    const bool asks = fs->o->nlink_refs || (a->mode & (S_ISUID | S_ISGID)) != 0 || a->nlink == 0;
    return asks && S_ISREG(a->mode) ? 0 : FS_FOREVER;
}

/* The mode that the answer to a change shows if the change itself leaves the mode as it is. An
 * answer to a question (GETATTR, LOOKUP) is dropped by the kernel if the inode has changed since it
 * asked. The answer to a change is applied as it is, however late the client gets to it. So a
 * client could delay such an answer until the file has lost its set-id bits, and the kernel would
 * have the old bits again. Therefore only root is shown these bits here. Since attributes with
 * set-id bits are not kept (fs_attr_timeout), the kernel asks again wherever the bits count. */
static uint32_t mode_unchanged(fuse_req_t req, uint32_t mode)
{
    if (!S_ISREG(mode) || fuse_req_ctx(req)->uid == 0)
        return mode;
    return mode & ~(uint32_t)(S_ISUID | ((mode & S_IXGRP) != 0 ? S_ISGID : 0));
}

void fs_entry(const struct fs *fs, const struct vfs_attr *a, struct fuse_entry_param *ret)
{
    const bool at_root = vfs_node_ino(a->nodeid) == VFS_TOP_INO;
    *ret = (struct fuse_entry_param){
        .ino = a->nodeid,
        .generation = a->generation,
        .attr_timeout = fs_attr_timeout(fs, a),
        .entry_timeout = at_root ? FS_ROOT_NAMES : FS_FOREVER,
    };
    fs_stat(a, &ret->attr);
}

bool fs_may_know(const struct fs *fs, uint32_t uid)
{
    return uid == 0 || uid == fs->owner;
}

void fs_add_refs(struct fs *fs, uint32_t uid, uint64_t nodeid, struct stat *st)
{
    char text[32];
    if (!fs->o->nlink_refs || !S_ISREG(st->st_mode) || !fs_may_know(fs, uid))
        return;
    ssize_t n = vfs_getxattr(fs->p, nodeid, "user.tally.refs", text, sizeof(text) - 1);
    if (n <= 0 || (size_t)n >= sizeof(text))
        return;
    text[n] = '\0';
    unsigned long long refs = strtoull(text, NULL, 10);
    if (refs > 1) /* one of them is that of this inode */
        st->st_nlink += refs - 1;
}

/* Answers with an entry that shows `mode`. If the kernel did not take the answer (the client was
 * killed), the count that core has made for the entry is given back. */
static void reply_entry(fuse_req_t req, const struct vfs_attr *a, uint32_t mode)
{
    struct fs *fs = fs_of(req);
    struct fuse_entry_param e;
    fs_entry(fs, a, &e);
    e.attr.st_mode = mode;
    fs_add_refs(fs, fuse_req_ctx(req)->uid, a->nodeid, &e.attr);
    if (fuse_reply_entry(req, &e) != 0 && a->nodeid != VFS_ROOT)
        vfs_forget(fs->p, a->nodeid, 1);
}

void fs_reply_entry(fuse_req_t req, const struct vfs_attr *a)
{
    reply_entry(req, a, a->mode);
}

void fs_reply_linked(fuse_req_t req, const struct vfs_attr *a)
{
    reply_entry(req, a, mode_unchanged(req, a->mode));
}

/* Answers with attributes that show `mode`. */
static void reply_attr(fuse_req_t req, const struct vfs_attr *a, uint32_t mode)
{
    struct fs *fs = fs_of(req);
    struct stat st;
    fs_stat(a, &st);
    st.st_mode = mode;
    fs_add_refs(fs, fuse_req_ctx(req)->uid, a->nodeid, &st);
    fuse_reply_attr(req, &st, fs_attr_timeout(fs, a));
}

void fs_reply_attr(fuse_req_t req, const struct vfs_attr *a)
{
    reply_attr(req, a, a->mode);
}

void fs_reply_set(fuse_req_t req, const struct vfs_attr *a)
{
    reply_attr(req, a, mode_unchanged(req, a->mode));
}

size_t fs_end_uncached(char *buf, size_t room)
{
    const size_t len = 8; /* shorter than the head of an entry, fuse_dirent */
    if (room < len)
        return 0;
    memset(buf, 0, len);
    return len;
}

/* ---- a buffer of each thread ---- */

static pthread_once_t buffer_once = PTHREAD_ONCE_INIT;
static pthread_key_t buffer_key;
static _Thread_local char *buffer;
static _Thread_local size_t buffer_room;

/* The key frees the buffer of a thread that ends. */
static void buffer_make_key(void)
{
    if (pthread_key_create(&buffer_key, free) != 0)
        abort(); /* only if the process has no key left at its first request */
}

void *fs_buffer(size_t len)
{
    if (len <= buffer_room)
        return buffer;
    size_t room = len < 64 * 1024 ? 64 * 1024 : len;
    pthread_once(&buffer_once, buffer_make_key);
    char *fresh = malloc(room);
    if (!fresh)
        return NULL;
    if (pthread_setspecific(buffer_key, fresh) != 0) {
        free(fresh);
        return NULL;
    }
    free(buffer);
    buffer = fresh;
    buffer_room = room;
    return buffer;
}
