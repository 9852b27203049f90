// SPDX-License-Identifier: Apache-2.0
/* kv_files: see the header. */
#include "kv_files.h"

#include "beneath.h"
#include "kv.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DATA "data.mdb"
#define LOCK "lock.mdb"

static int open_name(int dir, const char *name, bool make)
{
    if (make) {
        int fd = beneath_open(dir, name, O_RDWR | O_CREAT, 0600);

        if (fd < 0)
            return fd;
        close(fd); /* before LMDB has any lock */
    }
    return beneath_open(dir, name, O_PATH, 0);
}

static int open_directory(struct kv_files *f, int dirfd, const char *dir, unsigned flags)
{
    int err = flags & KV_CREATE ? beneath_mkdir(dirfd, dir, 0700) : 0;

    if (err < 0 && err != -EEXIST)
        return err;
    f->dir = beneath_open_dir(dirfd, dir);
    if (f->dir < 0)
        return f->dir;
    return fstat(f->dir, &f->dir_stat) < 0 ? -errno : 0;
}

static int open_files(struct kv_files *f, unsigned flags)
{
    f->data = open_name(f->dir, DATA, flags & KV_CREATE);
    if (f->data < 0)
        return f->data;
    if (fstat(f->data, &f->data_stat) < 0)
        return -errno;
    /* LMDB would quietly start anew where it is empty. */
    if (f->data_stat.st_size == 0 && !(flags & KV_CREATE))
        return -EUCLEAN;
    if (!(flags & KV_READONLY))
        f->lock = open_name(f->dir, LOCK, true);
    return f->lock < 0 && !(flags & KV_READONLY) ? f->lock : 0;
}

static int link_one(const char *made, const char *name, int fd)
{
    char target[64], path[96];

    snprintf(target, sizeof target, "/proc/self/fd/%d", fd);
    snprintf(path, sizeof path, "%s/%s", made, name);
    return symlink(target, path) < 0 ? -errno : 0;
}

/* A directory of our own, from where two links lead to the files that were looked at. It is in
 * TMPDIR, unless that is too long for it. */
static int link_files(struct kv_files *f)
{
    static const char name[] = "/tally-kv-XXXXXX";
    const char *dir = secure_getenv("TMPDIR");

    if (!dir || *dir != '/' || strlen(dir) + sizeof name > sizeof f->made)
        dir = "/tmp";
    snprintf(f->made, sizeof f->made, "%s%s", dir, name);
    if (!mkdtemp(f->made)) {
        f->made[0] = '\0';
        return -errno;
    }
    int err = link_one(f->made, DATA, f->data);

    if (err == 0 && f->lock >= 0)
        err = link_one(f->made, LOCK, f->lock);
    memcpy(f->path, f->made, sizeof f->path);
    return err;
}

int kv_files_open(struct kv_files *f, int dirfd, const char *dir, unsigned flags)
{
    *f = (struct kv_files){.dir = -1, .data = -1, .lock = -1};
    int err = open_directory(f, dirfd, dir, flags);

    if (err == 0)
        err = open_files(f, flags);
    if (err == 0 && flags & KV_FOREIGN)
        err = link_files(f);
    else
        snprintf(f->path, sizeof f->path, "/proc/self/fd/%d", f->dir);
    if (err < 0)
        kv_files_close(f);
    return err;
}

static void remove_made(const char *made)
{
    char path[96];

    snprintf(path, sizeof path, "%s/" DATA, made);
    (void)unlink(path);
    snprintf(path, sizeof path, "%s/" LOCK, made);
    (void)unlink(path);
    (void)rmdir(made);
}

static void close_one(int fd)
{
    if (fd >= 0)
        close(fd);
}

void kv_files_close(struct kv_files *f)
{
    if (f->made[0])
        remove_made(f->made);
    close_one(f->lock);
    close_one(f->data);
    close_one(f->dir);
    *f = (struct kv_files){.dir = -1, .data = -1, .lock = -1};
}
