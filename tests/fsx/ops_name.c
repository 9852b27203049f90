// SPDX-License-Identifier: Apache-2.0
/*
 * ops_name: making, linking, renaming and removing names; what must fail is tried as well.
 */
#include "fsx.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static size_t count(unsigned want)
{
    struct entry all[ENTRIES_MAX];
    return space_entries(run.in, want, all);
}

static int result(int r)
{
    return r < 0 ? errno : 0;
}

static bool is_there(const struct entry *e, enum kind kind)
{
    return e->node && e->node->kind == kind;
}

/* ---- making ---- */

void op_create(void)
{
    struct entry e = pick_name(run.in);
    int flags = O_CREAT | O_RDWR | O_NOFOLLOW | (pick(2) ? O_EXCL : 0), fd, want = 0;
    uint32_t mode = (uint32_t)pick(0777) | 0600;
    char path[PATH_MAX];

    if (!e.node && count(1u << KIND_FILE) >= run.opt.files) {
        op_unlink();
        return;
    }
    if (e.node)
        want = flags & O_EXCL              ? EEXIST
               : e.node->kind == KIND_DIR  ? EISDIR
               : e.node->kind == KIND_LINK ? ELOOP
                                           : 0;
    else
        node_touch(e.dir);
    entry_path(run.in, &e, path);
    fd = open(path, flags | O_CLOEXEC, mode);
    note(e.dir, "create \"%.60s\" with flags %#x", name_text(e.name), (unsigned)flags);
    expect(e.dir, result(fd), want, "open with O_CREAT");
    if (want)
        return;
    if (!e.node) {
        e.node = node_new(KIND_FILE, mode);
        node_attach(e.dir, e.name, e.node);
        note(e.node, "created");
    }
    if (e.node->handles < HANDLES && pick(2))
        e.node->handle[e.node->handles++] = (struct handle){fd, O_RDWR};
    else
        expect(e.node, result(close(fd)), 0, "close");
}

void op_mkdir(void)
{
    struct entry e = pick_name(run.in);
    uint32_t mode = (uint32_t)pick(0777) | 0700;
    char path[PATH_MAX];

    if (!e.node && count(1u << KIND_DIR) >= DIRS_MAX - 1)
        return;
    entry_path(run.in, &e, path);
    if (!e.node)
        node_touch(e.dir);
    note(e.dir, "mkdir \"%.60s\"", name_text(e.name));
    expect(e.dir, result(mkdir(path, mode)), e.node ? EEXIST : 0, "mkdir");
    if (!e.node) {
        struct node *n = node_new(KIND_DIR, mode);
        node_attach(e.dir, e.name, n);
        note(n, "made");
    }
}

static char *some_target(void)
{
    size_t len = (size_t)(pick(8) ? pick(100) : pick(4000)) + 1;
    char *target = calloc(1, len + 1);

    if (!target)
        fail(NULL, "out of memory");
    for (size_t i = 0; i < len; i++)
        target[i] = "abcdefghijklmnop/../ "[pick(21)];
    return target;
}

void op_symlink(void)
{
    struct entry e = pick_name(run.in);
    char path[PATH_MAX], *target;

    if (!e.node && count(1u << KIND_LINK) >= 5)
        return;
    target = some_target();
    entry_path(run.in, &e, path);
    if (!e.node)
        node_touch(e.dir);
    note(e.dir, "symlink \"%.60s\"", name_text(e.name));
    expect(e.dir, result(symlink(target, path)), e.node ? EEXIST : 0, "symlink");
    if (e.node) {
        free(target);
        return;
    }
    e.node = node_new(KIND_LINK, 0777);
    e.node->target = target;
    node_attach(e.dir, e.name, e.node);
}

/* ---- linking ---- */

void op_link(void)
{
    struct entry from, to = pick_name(run.in);
    char path[PATH_MAX], newpath[PATH_MAX];
    int want;

    if (!pick_entry(run.in, pick(10) ? 1u << KIND_FILE : ~0u, &from))
        return;
    want = to.node ? EEXIST : from.node->kind == KIND_DIR ? EPERM : 0;
    entry_path(run.in, &from, path);
    entry_path(run.in, &to, newpath);
    note(from.node, "link to \"%.60s\"", name_text(to.name));
    if (want == 0)
        node_touch(to.dir);
    expect(from.node, result(link(path, newpath)), want, "link");
    if (want == 0)
        node_attach(to.dir, to.name, from.node);
}

static struct node *copy_across(const struct node *from)
{
    struct node *n = node_new(KIND_FILE, from->mode);

    bytes_clone(&from->bytes, &n->bytes);
    n->mtime = from->mtime;
    n->mtime_known = from->mtime_known;
    if (from->log) {
        note(n, "linked across; what follows is the source's");
        memcpy(n->log, from->log, LOG * sizeof *n->log);
        n->logged = from->logged;
    }
    return n;
}

/* ln to another namespace: a file of its own that shares the content. */
void op_link_across(void)
{
    struct space *here = run.in, *there = &run.space[pick(SPACES)];
    char path[PATH_MAX], newpath[PATH_MAX];
    struct entry from, to;
    int want;

    if (!there->live || there == here || count(1u << KIND_FILE) >= run.opt.files ||
        !pick_entry(there, pick(10) ? 1u << KIND_FILE : ~0u, &from))
        return;
    to = pick_name(here);
    want = to.node                        ? EEXIST
           : from.node->kind == KIND_DIR  ? EPERM
           : from.node->kind == KIND_LINK ? EXDEV
                                          : 0;
    entry_path(there, &from, path);
    entry_path(here, &to, newpath);
    run.in = there;
    if (from.node->kind == KIND_FILE)
        node_write_back(from.node);
    run.in = here;
    note(from.node, "link across to %s as \"%.60s\"", here->name, name_text(to.name));
    if (want == 0)
        node_touch(to.dir);
    expect(from.node, result(link(path, newpath)), want, "link across");
    if (want == 0)
        node_attach(to.dir, to.name, copy_across(from.node));
}

/* ---- renaming ---- */

static int rename_result(const struct entry *a, const struct entry *b, unsigned flags)
{
    bool a_dir = is_there(a, KIND_DIR), b_dir = is_there(b, KIND_DIR);

    if (!a->node)
        return ENOENT;
    if (b->node && flags & RENAME_NOREPLACE)
        return EEXIST;
    if (!b->node && flags & RENAME_EXCHANGE)
        return ENOENT;
    if (a_dir && is_below(b->dir, a->node))
        return EINVAL;
    if (b_dir && is_below(a->dir, b->node))
        return flags & RENAME_EXCHANGE ? EINVAL : ENOTEMPTY;
    if (a->node == b->node || !b->node || flags & RENAME_EXCHANGE)
        return 0;
    if (a_dir != b_dir)
        return a_dir ? ENOTDIR : EISDIR;
    return b_dir && !dir_is_empty(b->node) ? ENOTEMPTY : 0;
}

static void rename_model(const struct entry *a, const struct entry *b, unsigned flags)
{
    if (flags & RENAME_EXCHANGE) {
        a->dir->child[a->name] = b->node;
        b->dir->child[b->name] = a->node;
        if (b->node->kind == KIND_DIR)
            b->node->parent = a->dir;
    } else {
        if (b->node)
            node_detach(run.in, b);
        a->dir->child[a->name] = NULL;
        b->dir->child[b->name] = a->node;
    }
    if (a->node->kind == KIND_DIR)
        a->node->parent = b->dir;
}

void op_rename(void)
{
    static const unsigned kinds[] = {0, 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE};
    unsigned flags = kinds[pick(5)];
    struct entry a, b = pick_name(run.in);
    char path[PATH_MAX], newpath[PATH_MAX];
    int want;

    if (pick(20) == 0)
        a = pick_name(run.in);
    else if (!pick_entry(run.in, ~0u, &a))
        return;
    want = rename_result(&a, &b, flags);
    entry_path(run.in, &a, path);
    entry_path(run.in, &b, newpath);
    note(a.node ? a.node : a.dir, "rename \"%.30s\" to \"%.30s\", flags %u", name_text(a.name),
         name_text(b.name), flags);
    if (b.node && a.node != b.node)
        note(b.node, "\"%.30s\" is renamed over it, flags %u", name_text(a.name), flags);
    if (want == 0 && a.node != b.node) {
        node_touch(a.dir);
        node_touch(b.dir);
    }
    expect(a.node ? a.node : a.dir, result(renameat2(AT_FDCWD, path, AT_FDCWD, newpath, flags)),
           want, "rename");
    if (want == 0 && a.node != b.node)
        rename_model(&a, &b, flags);
}

/* Written beside, and renamed over: how programs replace a file safely. */
void op_replace(void)
{
    struct entry e = pick_name(run.in), temp = {.dir = e.dir};
    char path[PATH_MAX], newpath[PATH_MAX];
    size_t len = (size_t)pick(pick(4) ? 2000 : IO_MAX) + 1;
    int fd;

    for (temp.name = 0; temp.name < NAMES && (temp.name == e.name || e.dir->child[temp.name]);)
        temp.name++;
    if (temp.name == NAMES || is_there(&e, KIND_DIR) ||
        (!e.node && count(1u << KIND_FILE) >= run.opt.files))
        return;
    entry_path(run.in, &temp, path);
    entry_path(run.in, &e, newpath);
    temp.node = node_new(KIND_FILE, 0644);
    note(temp.node, "created to replace \"%.60s\", %zu bytes", name_text(e.name), len);
    node_touch(e.dir);
    fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
    expect(temp.node, result(fd), 0, "create");
    node_attach(temp.dir, temp.name, temp.node);
    fill(run.buf, len);
    if (write(fd, run.buf, len) != (ssize_t)len)
        fail(temp.node, "write: %s", strerror(errno));
    bytes_write(&temp.node->bytes, run.buf, len, 0);
    if (run.opt.features & F_FSYNC && pick(50) == 0)
        expect(temp.node, result(fsync(fd)), 0, "fsync");
    expect(temp.node, result(close(fd)), 0, "close");
    node_touch(temp.node);
    temp.node->mtime = 0; /* it was before this */
    expect(temp.node, result(rename(path, newpath)), 0, "rename");
    rename_model(&temp, &e, 0);
}

/* ---- removing ---- */

/* Mostly what is there. */
static bool pick_victim(struct entry *ret, unsigned want)
{
    if (pick(5) && pick_entry(run.in, want, ret))
        return true;
    *ret = pick_name(run.in);
    return true;
}

void op_unlink(void)
{
    struct entry e;
    char path[PATH_MAX];
    int want;

    if (!pick_victim(&e, 1u << KIND_FILE | 1u << KIND_LINK))
        return;
    want = !e.node ? ENOENT : e.node->kind == KIND_DIR ? EISDIR : 0;
    entry_path(run.in, &e, path);
    note(e.node ? e.node : e.dir, "unlink \"%.60s\"", name_text(e.name));
    if (want == 0)
        node_touch(e.dir);
    expect(e.node ? e.node : e.dir, result(unlink(path)), want, "unlink");
    if (want == 0)
        node_detach(run.in, &e);
}

void op_rmdir(void)
{
    struct entry e;
    char path[PATH_MAX];
    int want;

    if (!pick_victim(&e, 1u << KIND_DIR))
        return;
    want = !e.node                    ? ENOENT
           : e.node->kind != KIND_DIR ? ENOTDIR
           : !dir_is_empty(e.node)    ? ENOTEMPTY
                                      : 0;
    entry_path(run.in, &e, path);
    note(e.node ? e.node : e.dir, "rmdir \"%.60s\"", name_text(e.name));
    if (want == 0)
        node_touch(e.dir);
    expect(e.node ? e.node : e.dir, result(rmdir(path)), want, "rmdir");
    if (want == 0)
        node_detach(run.in, &e);
}
