// SPDX-License-Identifier: Apache-2.0
/* mountinfo: each function reads /proc/self/mountinfo once (mounts.h). */
#include "mountinfo.h"

#include "array.h"
#include "clock.h"
#include "io.h"
#include "mounts.h"
#include "node.h"
#include "owner.h"
#include "walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

/* Is the whole filesystem mounted there, and not a part by `mount --bind`? */
static bool is_whole(const struct mounts_line *m)
{
    return strcmp(m->root, "/") == 0;
}

/* The user who mounted it, which the kernel shows as user_id of a FUSE mount. */
static uid_t user_of(const struct mounts_line *m)
{
    const char *said = strstr(m->of_superblock, "user_id=");
    return said ? (uid_t)strtoul(said + strlen("user_id="), NULL, 10) : 0;
}

static bool is_of_another(uid_t user)
{
    return geteuid() == 0 && user != 0;
}

bool mountinfo_is_of_another(const struct tally_mountinfo *m)
{
    return is_of_another(m->user);
}

/* Is it a mount of tally? The type "fuse" alone does not say so. Then the control file decides, but
 * only on mounts whose daemon cannot make us wait. */
static bool is_tally(const struct mounts_line *m)
{
    char control[PATH_MAX + 16];
    struct stat st;
    if (strcmp(m->type, "fuse.tally") == 0) {
        return true;
    }
    if (strcmp(m->type, "fuse") != 0 || !is_whole(m) || is_of_another(user_of(m))) {
        return false;
    }
    snprintf(control, sizeof(control), "%s/.tally/control", m->point);
    return lstat(control, &st) == 0 && S_ISREG(st.st_mode);
}

static void keep(const struct mounts_line *m, struct tally_mountinfo *ret)
{
    ret->user = user_of(m);
    snprintf(ret->point, sizeof(ret->point), "%s", m->point);
    snprintf(ret->source, sizeof(ret->source), "%s", m->source);
    snprintf(ret->dev, sizeof(ret->dev), "%s", m->dev);
    snprintf(ret->root, sizeof(ret->root), "%s", m->root);
}

typedef bool mount_line_fn(const struct mounts_line *m, const void *ctx);
enum kind {
    ANY,
    OURS,  /* a mount of tally, of the whole or of a part by `mount --bind` */
    WHOLE, /* a mount of tally, of the whole: with `.tally` in it */
    DOOR,  /* a mount of tally, of a namespace, with a door: `.tally` in its top directory */
};

/* Is a namespace mounted there that has a door? A file of a namespace with the name of ours is
 * none. The daemon is asked, so it must be one that cannot make us wait. */
static bool has_door(const struct mounts_line *m)
{
    char door[PATH_MAX + 16];
    struct stat st;
    if (is_whole(m) || strchr(m->root + 1, '/') || is_of_another(user_of(m))) {
        return false;
    }
    snprintf(door, sizeof(door), "%s/.tally", m->point);
    return lstat(door, &st) == 0 && vfs_node_ns(st.st_ino) > VFS_NS_MAX;
}

static bool is_kind(const struct mounts_line *m, enum kind kind)
{
    if (kind == ANY || !is_tally(m)) {
        return kind == ANY;
    }
    return kind == OURS || (kind == WHOLE ? is_whole(m) : has_door(m));
}

/* Finds the last line of that kind that `match` accepts. Returns how many there are, or -errno;
 * -ENOENT: there is none. */
static int find_in(const char *file, mount_line_fn *match, const void *ctx, enum kind kind,
                   struct tally_mountinfo *ret)
{
    FILE *f = fopen(file, "re");
    if (!f) {
        return -errno;
    }
    CLEANUP_FREE char *line = NULL;
    size_t room = 0;
    int found = 0;
    while (getline(&line, &room, f) >= 0) {
        struct mounts_line m;
        if (mounts_parse(line, &m) && match(&m, ctx) && is_kind(&m, kind)) {
            keep(&m, ret);
            found++;
        }
    }
    fclose(f);
    return found > 0 ? found : -ENOENT;
}

static int find_line(mount_line_fn *match, const void *ctx, enum kind kind,
                     struct tally_mountinfo *ret)
{
    return find_in(MOUNTS_SELF, match, ctx, kind, ret);
}

void mountinfo_type_of(const char *path, char type[64])
{
    FILE *f = fopen(MOUNTS_SELF, "re");
    CLEANUP_FREE char *line = NULL;
    size_t room = 0, longest = 0;
    *type = '\0';
    while (f && getline(&line, &room, f) >= 0) {
        struct mounts_line m;
        if (!mounts_parse(line, &m)) {
            continue;
        }
        const size_t len = strcmp(m.point, "/") == 0 ? 0 : strlen(m.point);
        if (len >= longest && strncmp(path, m.point, len) == 0 &&
            (path[len] == '/' || path[len] == '\0')) {
            longest = len;
            snprintf(type, 64, "%s", m.type);
        }
    }
    if (f) {
        fclose(f);
    }
}

static bool same_dev(const struct mounts_line *m, const void *ctx)
{
    return !strcmp(m->dev, ctx);
}

static bool same_point(const struct mounts_line *m, const void *ctx)
{
    return !strcmp(m->point, ctx);
}

/* The device of a path as text, by statx(2). With `wanted` 0 a FUSE mount gives it even to users
 * whom it does not let in. */
static int dev_at(int dirfd, const char *path, int flags, unsigned wanted, char dev[32])
{
    struct statx st;
    flags |= AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT;
    if (statx(dirfd, path, flags, wanted, &st) < 0) {
        return -errno;
    }
    snprintf(dev, 32, "%u:%u", st.stx_dev_major, st.stx_dev_minor);
    return 0;
}

static int dev_of(const char *path, int flags, char dev[32])
{
    return dev_at(AT_FDCWD, path, flags, STATX_TYPE, dev);
}

int mountinfo_dev(const char *point, char dev[32])
{
    return dev_of(point, AT_STATX_DONT_SYNC, dev);
}

static bool same_fuse(const struct mounts_line *m, const void *ctx)
{
    return same_dev(m, ctx) && strncmp(m->type, "fuse", 4) == 0;
}

bool mountinfo_may_ask(int fd)
{
    struct tally_mountinfo m;
    char dev[32];
    if (dev_at(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, 0, dev) < 0) {
        return false;
    }
    int n = find_line(same_fuse, dev, ANY, &m);
    return n == -ENOENT || (n > 0 && !mountinfo_is_of_another(&m));
}

/* Is it the top of a whole mount, and not that of a namespace? */
static bool is_root(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 && st.st_ino == VFS_ROOT;
}

/* Finds the whole of which a part is mounted here, through the root directory of the daemon: there
 * the whole is mounted where the lock file of the store says. The lock file may lie, but the device
 * shows that it is the same mount. -EREMOTE. */
static int find_by_daemon(const struct tally_mountinfo *part, struct tally_mountinfo *ret)
{
    char path[PATH_MAX + 32], dev[32];
    struct owner o;
    *ret = *part;
    if (mountinfo_is_of_another(part) || !owner_read(part->source, &o) ||
        strcmp(o.what, "mount") != 0 ||
        snprintf(path, sizeof(path), "/proc/%d/root%s", o.pid, o.at) >= PATH_MAX ||
        dev_of(path, 0, dev) < 0 || strcmp(dev, part->dev) != 0 || !is_root(path)) {
        return -EREMOTE;
    }
    snprintf(ret->root, sizeof(ret->root), "/");
    memcpy(ret->point, path, strlen(path) + 1);
    return 0;
}

static bool same_id(const struct mounts_line *m, const void *ctx)
{
    return m->id == *(const uint64_t *)ctx;
}

/* Finds a mount of that kind and device: that of the path itself, else any. -ENOENT. */
static int find_near(int dirfd, const char *path, int flags, const char *dev, enum kind kind,
                     struct tally_mountinfo *ret)
{
    struct statx st;
    flags |= AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC;
    if (statx(dirfd, path, flags, STATX_MNT_ID, &st) == 0) {
        const uint64_t id = st.stx_mnt_id;
        if (find_line(same_id, &id, kind, ret) > 0) {
            return 0;
        }
    }
    int n = find_line(same_dev, dev, kind, ret);
    return n < 0 ? n : 0;
}

/* As mountinfo_of. The first statx takes the attributes that the kernel has. The second one asks
 * the daemon, unless root looks at the mount of another user: so a dead daemon is an error. */
static int find_of(int dirfd, const char *path, int flags, struct tally_mountinfo *ret)
{
    struct tally_mountinfo part;
    char dev[32];
    /* By device, not by mount: a bind mount of a directory inside must lead to the whole. */
    int err = dev_at(dirfd, path, flags | AT_STATX_DONT_SYNC, STATX_TYPE, dev);
    if (err == 0 &&
        !(find_line(same_fuse, dev, ANY, &part) > 0 && mountinfo_is_of_another(&part))) {
        err = dev_at(dirfd, path, flags, STATX_TYPE, dev); /* returns an error of the daemon, too */
    }
    if (err < 0 || find_line(same_dev, dev, WHOLE, ret) > 0 ||
        find_near(dirfd, path, flags, dev, DOOR, ret) == 0) {
        return err;
    }
    err = find_near(dirfd, path, flags, dev, OURS, &part);
    return err < 0 ? err : find_by_daemon(&part, ret);
}

int mountinfo_of(const char *path, struct tally_mountinfo *ret)
{
    return find_of(AT_FDCWD, path, 0, ret);
}

int mountinfo_of_fd(int fd, struct tally_mountinfo *ret)
{
    return find_of(fd, "", AT_EMPTY_PATH, ret);
}

int mountinfo_inside(const char *path, char out[PATH_MAX])
{
    char absolute[PATH_MAX];
    struct tally_mountinfo m;
    struct statx st;
    int err = mountinfo_absolute(path, absolute);
    if (err < 0) {
        return err;
    }
    if (statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_MNT_ID, &st) < 0) {
        return -errno;
    }
    const uint64_t id = st.stx_mnt_id;
    err = find_line(same_id, &id, OURS, &m);
    if (err < 0) {
        return err;
    }
    const size_t len = strcmp(m.point, "/") ? strlen(m.point) : 0;
    if (strncmp(absolute, m.point, len) != 0 || (absolute[len] && absolute[len] != '/')) {
        return -ENOENT;
    }
    const char *root = strcmp(m.root, "/") ? m.root : "", *below = absolute + len;
    int n = snprintf(out, PATH_MAX, "%s%s", *root ? root + 1 : "",
                     *root || !*below ? below : below + 1);
    return n < PATH_MAX ? 0 : -ENAMETOOLONG;
}

int mountinfo_count(const char *dev, bool whole)
{
    struct tally_mountinfo m;
    int n = find_line(same_dev, dev, whole ? WHOLE : ANY, &m);
    return n == -ENOENT ? 0 : n;
}

struct place {
    const char *source, *point;
};

static bool same_place(const struct mounts_line *m, const void *ctx)
{
    const struct place *p = ctx;
    return !strcmp(m->point, p->point) && !strcmp(m->source, p->source);
}

bool mountinfo_is_mounted(const char *source, const char *point)
{
    const struct place place = {source, point};
    struct tally_mountinfo m;
    return find_line(same_place, &place, ANY, &m) != -ENOENT;
}

struct source {
    const char *path;
    struct stat st; /* zeros if there is no such file */
};

static bool leads_to(const char *path, const struct stat *to)
{
    struct stat st;
    int fd = walk_to(path, true);
    const bool does = fd >= 0 && mountinfo_may_ask(fd) && fstat(fd, &st) == 0 &&
                      st.st_dev == to->st_dev && st.st_ino == to->st_ino;
    io_cleanup_close(&fd);
    return does;
}

/* Does the line mount that source? A symlink to the store may have been mounted. */
static bool same_source(const struct mounts_line *m, const void *ctx)
{
    const struct source *s = ctx;
    return !strcmp(m->source, s->path) ||
           (!strcmp(m->type, "fuse.tally") && leads_to(m->source, &s->st));
}

int mountinfo_process_has(int pid, const char *source)
{
    struct source s = {.path = source};
    struct tally_mountinfo m;
    char file[64];
    if (stat(source, &s.st) < 0) {
        s.st = (struct stat){0};
    }
    snprintf(file, sizeof(file), "/proc/%d/mountinfo", pid);
    int n = find_in(file, same_source, &s, ANY, &m);
    return n == -ENOENT && access(file, F_OK) == 0 ? 0 : n < 0 ? n : 1;
}

/* The number of the mount namespace of a process; 0: it cannot be seen. */
static ino_t namespace_of(int pid)
{
    char path[32];
    struct stat st;
    snprintf(path, sizeof(path), "/proc/%d/ns/mnt", pid);
    return stat(path, &st) == 0 ? st.st_ino : 0;
}

static bool has_dev(int pid, const char *dev)
{
    struct tally_mountinfo m;
    char file[64];
    snprintf(file, sizeof(file), "/proc/%d/mountinfo", pid);
    return find_in(file, same_dev, dev, ANY, &m) > 0;
}

int mountinfo_find_process(const char *dev, int but, char name[32])
{
    const int64_t until = clock_ticks(clock_real()) + NSEC_PER_SEC;
    const ino_t ours = namespace_of(getpid());
    DIR *d = opendir("/proc");
    const struct dirent *e;
    int found = 0;
    ino_t last = 0; /* namespaces of processes that stand together are often the same */
    while (d && found == 0 && clock_ticks(clock_real()) < until && (e = readdir(d))) {
        const int pid = (int)strtol(e->d_name, NULL, 10); /* 0: not of a process */
        const ino_t ns = pid > 0 && pid != but ? namespace_of(pid) : 0;
        if (ns != 0 && ns != ours && ns != last) {
            last = ns;
            found = has_dev(pid, dev) ? pid : 0;
        }
    }
    if (d) {
        closedir(d);
    }
    char path[32];
    snprintf(path, sizeof(path), "/proc/%d/comm", found);
    CLEANUP_CLOSE int fd = found > 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    const ssize_t n = fd < 0 ? 0 : read(fd, name, 31);
    name[n > 0 ? n : 0] = '\0';
    name[strcspn(name, "\n")] = '\0';
    return found;
}

struct served {
    struct source source;
    int pid;
};

static bool is_served(const struct mounts_line *m, const void *ctx)
{
    const struct served *s = ctx;
    struct tally_mountinfo of;
    if (!same_source(m, &s->source)) {
        return false;
    }
    keep(m, &of);
    return owner_serves(s->pid, &of);
}

int mountinfo_served(const char *source, struct tally_mountinfo *ret)
{
    struct served s = {.source = {.path = source}};
    struct owner o;
    if (!owner_read(source, &o) || strcmp(o.what, "mount") != 0 || stat(source, &s.source.st) < 0) {
        return -ENOENT;
    }
    s.pid = o.pid;
    int n = find_line(is_served, &s, WHOLE, ret);
    n = n < 0 ? find_line(is_served, &s, OURS, ret) : n;
    return n < 0 ? n : 0;
}

struct ns_mount {
    const char *dev, *ns;
    uint64_t id; /* of the mount; 0: any */
};

static bool is_mount_of_ns(const struct mounts_line *m, const void *ctx)
{
    const struct ns_mount *n = ctx;
    return (n->id == 0 || n->id == m->id) && !strcmp(m->dev, n->dev) && m->root[0] == '/' &&
           !strcmp(m->root + 1, n->ns);
}

int mountinfo_of_ns(const char *dev, const char *ns, const char *from, struct tally_mountinfo *ret)
{
    struct ns_mount n = {.dev = dev, .ns = ns};
    struct statx st;
    if (from) {
        const int flags = AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC;
        if (statx(AT_FDCWD, from, flags, STATX_MNT_ID, &st) < 0) {
            return -errno;
        }
        n.id = st.stx_mnt_id;
    }
    int count = find_line(is_mount_of_ns, &n, OURS, ret);
    return count < 0 ? count : 0;
}

bool mountinfo_is_ns(const struct tally_mountinfo *m)
{
    return m->root[0] == '/' && m->root[1] != '\0' && !strchr(m->root + 1, '/');
}

struct whole {
    const char *source, *dev;
};

static bool same_whole(const struct mounts_line *m, const void *ctx)
{
    const struct whole *w = ctx;
    return !strcmp(m->dev, w->dev) && !strcmp(m->source, w->source) &&
           !strcmp(m->type, "fuse.tally");
}

/* Unmounts the mount of that device. Other users may change the path meanwhile, so it is looked at
 * and unmounted by one descriptor. */
static int detach(const char *point, const char *dev)
{
    char itself[32], path[32];
    int fd = open(point, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    int err = dev_at(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, itself);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (err == 0 && strcmp(itself, dev) != 0) {
        err = -ENOENT; /* another mount covers it */
    }
    if (err == 0 && umount2(path, MNT_DETACH) < 0) {
        err = -errno;
    }
    close(fd);
    return err;
}

void mountinfo_detach_all(const char *source, const char *dev)
{
    const struct whole w = {source, dev};
    struct tally_mountinfo m;
    while (find_line(same_whole, &w, ANY, &m) > 0 && detach(m.point, dev) == 0) {
    }
}

int mountinfo_unmount(const struct tally_mountinfo *m, int flags)
{
    char path[PATH_MAX + 32], parent[PATH_MAX], dev[32];
    const char *name = strrchr(m->point, '/');
    name = name ? name + 1 : m->point;
    snprintf(parent, sizeof(parent), "%.*s", (int)(name - m->point), m->point);
    int fd = walk_to(parent, false); /* not the mount itself, which would be busy */
    if (fd < 0) {
        return fd;
    }
    int err = dev_at(fd, name, AT_STATX_DONT_SYNC, 0, dev);
    snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", fd, name);
    if (err == 0 && strcmp(dev, m->dev) != 0) {
        err = -ENOENT;
    }
    if (err == 0 && umount2(path, flags | UMOUNT_NOFOLLOW) < 0) {
        err = -errno;
    }
    close(fd);
    return err;
}

int mountinfo_absolute(const char *path, char out[PATH_MAX])
{
    char copy[PATH_MAX], dir[PATH_MAX];
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/') {
        len--;
    }
    if (len == 0 || len >= sizeof(copy)) {
        return len ? -ENAMETOOLONG : -ENOENT;
    }
    memcpy(copy, path, len);
    copy[len] = '\0';
    char *slash = strrchr(copy, '/');
    const char *base = slash ? slash + 1 : copy;
    if (!*base || !strcmp(base, ".") || !strcmp(base, "..")) {
        return realpath(copy, out) ? 0 : -errno;
    }
    if (slash) {
        *slash = '\0';
    }
    if (!realpath(!slash ? "." : *copy ? copy : "/", dir)) {
        return -errno;
    }
    int n = snprintf(out, PATH_MAX, "%s/%s", strcmp(dir, "/") ? dir : "", base);
    return n < PATH_MAX ? 0 : -ENAMETOOLONG;
}

int mountinfo_at(const char *path, struct tally_mountinfo *ret)
{
    char absolute[PATH_MAX];
    /* `path` may be a symlink to the mount point. With a dead daemon only the text helps. */
    if (realpath(path, absolute) && find_line(same_point, absolute, OURS, ret) > 0) {
        return 0;
    }
    int err = mountinfo_absolute(path, absolute);
    if (err < 0) {
        return err;
    }
    err = find_line(same_point, absolute, OURS, ret);
    return err < 0 ? err : 0;
}

/* ---- all of them ---- */

struct listing {
    struct tally_mountinfo *v;
    size_t count, room;
    bool failed; /* there was no memory */
};

/* Keeps the mount, unless it is of another user, or of a daemon that is in the list. Never true, so
 * that all lines are visited. */
static bool keep_one(const struct mounts_line *m, const void *ctx)
{
    struct listing *l = (struct listing *)(uintptr_t)ctx;
    if (is_of_another(user_of(m)) || !is_kind(m, WHOLE)) {
        return false;
    }
    for (size_t i = 0; i < l->count; i++) {
        if (strcmp(l->v[i].dev, m->dev) == 0) {
            return false;
        }
    }
    if (ARRAY_RESERVE(l->v, l->room, l->count + 1) < 0) {
        l->failed = true;
    } else {
        keep(m, &l->v[l->count++]);
    }
    return false;
}

ssize_t mountinfo_list(struct tally_mountinfo **ret)
{
    struct listing l = {0};
    struct tally_mountinfo none;
    int err = find_line(keep_one, &l, WHOLE, &none);
    if (l.failed || (err < 0 && err != -ENOENT)) {
        free(l.v);
        return l.failed ? -ENOMEM : err;
    }
    *ret = l.v;
    return (ssize_t)l.count;
}
