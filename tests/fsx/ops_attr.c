// SPDX-License-Identifier: Apache-2.0
/*
 * ops_attr: attributes and listings.
 */
#include "fsx.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define INO_MASK ((UINT64_C(1) << 42) - 1) /* the inode number within its namespace */

static uint64_t ino_of(uint64_t st_ino)
{
    return run.opt.ext4 ? st_ino : st_ino & INO_MASK;
}

static const uint32_t types[] = {
    [KIND_FILE] = S_IFREG, [KIND_DIR] = S_IFDIR, [KIND_LINK] = S_IFLNK};

static void time_check(struct node *n, int64_t got)
{
    if (!(run.opt.features & F_TIMES))
        return;
    if (n->mtime_known && got != n->mtime)
        fail(n, "mtime is %lld, not %lld", (long long)got, (long long)n->mtime);
    if (got < n->mtime)
        fail(n, "mtime is %lld, before the change at %lld", (long long)got, (long long)n->mtime);
    n->mtime_known = !n->mapped;
    if (n->mtime_known)
        n->mtime = got;
}

void stat_check(struct node *n, const struct stat *st)
{
    uint64_t size = n->kind == KIND_LINK ? strlen(n->target) : n->bytes.size;
    unsigned names = n->kind == KIND_DIR ? 2 + dir_subdirs(n) : n->names;

    if (st->st_mode != (types[n->kind] | n->mode))
        fail(n, "mode is %o, not %o", st->st_mode, types[n->kind] | n->mode);
    if (n->kind != KIND_DIR && (uint64_t)st->st_size != size)
        fail(n, "size is %lld, not %llu", (long long)st->st_size, (unsigned long long)size);
    if (st->st_nlink != names)
        fail(n, "the link count is %llu, not %u", (unsigned long long)st->st_nlink, names);
    if (n->ino && ino_of(st->st_ino) != n->ino)
        fail(n, "the inode number is %llu, was %llu", (unsigned long long)ino_of(st->st_ino),
             (unsigned long long)n->ino);
    n->ino = ino_of(st->st_ino);
    time_check(n, (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec);
}

void op_stat(void)
{
    struct entry e = pick_name(run.in);
    char path[PATH_MAX], target[PATH_MAX];
    struct stat st;
    ssize_t len;
    int r;

    if (pick(4) && !pick_entry(run.in, ~0u, &e))
        return;
    entry_path(run.in, &e, path);
    r = lstat(path, &st);
    expect(e.node ? e.node : e.dir, r < 0 ? errno : 0, e.node ? 0 : ENOENT, "lstat");
    if (!e.node)
        return;
    stat_check(e.node, &st);
    if (e.node->kind != KIND_LINK)
        return;
    len = readlink(path, target, sizeof target);
    if (len < 0 || (size_t)len != strlen(e.node->target) ||
        memcmp(target, e.node->target, (size_t)len) != 0)
        fail(e.node, "readlink: another target");
}

/* ---- changing ---- */

void op_chmod(void)
{
    struct entry e;
    uint32_t mode = (uint32_t)pick(01000);
    char path[PATH_MAX];
    int r;

    if (!pick_entry(run.in, 1u << KIND_FILE | 1u << KIND_DIR, &e))
        return;
    note(e.node, "chmod %o", mode);
    entry_path(run.in, &e, path);
    if (e.node->handles && pick(2))
        r = fchmod(e.node->handle[0].fd, mode);
    else
        r = chmod(path, mode);
    expect(e.node, r < 0 ? errno : 0, 0, "chmod");
    e.node->mode = mode;
}

void op_utimens(void)
{
    struct entry e;
    struct timespec t[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_OMIT}};
    char path[PATH_MAX];
    unsigned how = (unsigned)pick(4);

    if (!pick_entry(run.in, ~0u, &e))
        return;
    node_write_back(e.node); /* or the time of that follows later */
    if (how != 0)
        t[1] = (struct timespec){.tv_sec = (time_t)pick(4000000000u),
                                 .tv_nsec = (long)pick(1000000000u)};
    if (how == 1)
        t[1].tv_nsec = UTIME_NOW;
    if (how != 2)
        t[0] = (struct timespec){.tv_sec = (time_t)pick(4000000000u)};
    note(e.node, "utimens, mtime %lld.%09ld", (long long)t[1].tv_sec, t[1].tv_nsec);
    entry_path(run.in, &e, path);
    if (how == 1)
        node_touch(e.node);
    expect(e.node, utimensat(AT_FDCWD, path, t, AT_SYMLINK_NOFOLLOW) < 0 ? errno : 0, 0, "utimens");
    if (how < 2)
        return;
    e.node->mtime = (int64_t)t[1].tv_sec * 1000000000 + t[1].tv_nsec;
    e.node->mtime_known = true;
}

/* ---- listings ---- */

static unsigned name_find(const char *text)
{
    unsigned i = 0;
    while (i < NAMES && strcmp(name_text(i), text) != 0)
        i++;
    return i;
}

static void entry_check(struct node *dir, const struct dirent *d, bool seen[NAMES])
{
    static const unsigned char type[] = {
        [KIND_FILE] = DT_REG, [KIND_DIR] = DT_DIR, [KIND_LINK] = DT_LNK};
    unsigned name = name_find(d->d_name);
    struct node *n = name < NAMES ? dir->child[name] : NULL;

    if (!n)
        fail(dir, "the listing has \"%s\", which is not there", d->d_name);
    if (seen[name])
        fail(dir, "the listing has \"%s\" twice", d->d_name);
    if (d->d_type != type[n->kind])
        fail(n, "the listing says type %u", d->d_type);
    if (n->ino && ino_of(d->d_ino) != n->ino)
        fail(n, "the listing says inode %llu, not %llu", (unsigned long long)ino_of(d->d_ino),
             (unsigned long long)n->ino);
    seen[name] = true;
}

void list_check(struct node *dir, const char *path)
{
    bool seen[NAMES] = {false};
    const struct dirent *d;
    DIR *stream = opendir(path);

    if (!stream)
        fail(dir, "opendir: %s", strerror(errno));
    while ((d = readdir(stream)))
        if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
            entry_check(dir, d, seen);
    closedir(stream);
    for (unsigned i = 0; i < NAMES; i++)
        if (dir->child[i] && !seen[i])
            fail(dir, "the listing has no \"%s\"", name_text(i));
}

void op_list(void)
{
    struct entry e;
    struct node *dir = pick_entry(run.in, 1u << KIND_DIR, &e) && pick(4) ? e.node : run.in->root;
    char path[PATH_MAX];

    dir_path(run.in, dir, path);
    list_check(dir, path);
}
