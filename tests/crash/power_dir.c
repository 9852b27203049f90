// SPDX-License-Identifier: Apache-2.0
/*
 * power_dir: the directory of power.c: it becomes what the shadow says is left.
 */
#include "power_impl.h"

#include "beneath.h"
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BLOCK 4096

/* ---- the directory becomes what is left ---- */

static struct {
    uint64_t number;
    char name[DISK_NAME_MAX + 1];
} copied[FILES];
static size_t copied_count;

/* Files go, and directories that are not left. */
static int clear_one(const char *path, const struct stat *s, int kind, struct FTW *at)
{
    const char *name = path + power.path_len;
    uint64_t number;

    (void)s;
    if (at->level == 0)
        return 0;
    if (kind == FTW_DP)
        return disk_mem_number(power.shadow, name + 1, &number) == 0 ? 0 : rmdir(path);
    return unlink(path);
}

/* Another name of a file that is there already? */
static bool copy_link(int root, const char *name)
{
    uint64_t number;

    if (disk_mem_number(power.shadow, name, &number) < 0)
        abort();
    for (size_t i = 0; i < copied_count; i++)
        if (copied[i].number == number) {
            both(syscall(SYS_linkat, root, copied[i].name, root, name, 0));
            return true;
        }
    if (copied_count == FILES)
        abort();
    copied[copied_count].number = number;
    snprintf(copied[copied_count++].name, sizeof copied[0].name, "%s", name);
    return false;
}

static void copy_bytes(struct disk_file *from, int to)
{
    static uint8_t block[BLOCK], zeros[BLOCK];
    struct disk_stat s;
    ssize_t n = 1;

    if (disk_fstat(from, &s) < 0)
        abort();
    both(syscall(SYS_ftruncate, to, (off_t)s.size));
    for (uint64_t off = 0; n > 0; off += (uint64_t)n) {
        n = both(disk_pread(from, block, BLOCK, off));
        if (memcmp(block, zeros, (size_t)n) != 0)
            both(syscall(SYS_pwrite64, to, block, (size_t)n, (off_t)off));
    }
}

static int copy_tree(int root, const char *dir);

static void copy_file(int root, const char *name, struct disk_file *from)
{
    int to;

    if (copy_link(root, name))
        return;
    to = (int)both(syscall(SYS_openat, root, name, O_WRONLY | O_CREAT | O_EXCL, 0600));
    copy_bytes(from, to);
    close(to);
}

struct copying {
    int root;
    const char *dir;
};

static int copy_one(const char *last, void *ctx)
{
    const struct copying *c = ctx;
    char name[DISK_NAME_MAX + 1];
    struct disk_file *f;
    int err;

    if (snprintf(name, sizeof name, "%s%s%s", c->dir, *c->dir ? "/" : "", last) >= (int)sizeof name)
        abort();
    err = disk_open(power.shadow, name, DISK_READ, &f);
    if (err == -EUCLEAN) { /* no file: a directory */
        if (syscall(SYS_mkdirat, c->root, name, 0700) < 0 && errno != EEXIST)
            both(-1);
        return copy_tree(c->root, name);
    }
    if (err < 0)
        return err;
    copy_file(c->root, name, f);
    disk_file_close(f);
    return 0;
}

static int copy_tree(int root, const char *dir)
{
    struct copying c = {root, dir};

    return disk_list(power.shadow, dir, copy_one, &c);
}

void power_disk_cycle(void)
{
    power_forget();
    disk_mem_power_cycle(power.shadow);
    power.boots += power.fault->loss != FAULT_KEEP_ALL;
    fault_reset(power.fault);
    power_disk_keep();
}

void power_disk_keep(void)
{
    int root;

    power.on = false;
    power_forget();
    root = (int)both(open(power.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    both(nftw(power.path, clear_one, 16, FTW_DEPTH | FTW_PHYS));
    copied_count = 0;
    if (copy_tree(root, "") < 0)
        abort();
    close(root);
    power.on = true;
}

/* ---- beginning, end, and what tests ask ---- */

void power_begin(struct fault *f, const char *dir)
{
    struct stat s;

    if (!realpath(dir, power.path) || stat(dir, &s) < 0)
        both(-1);
    if (power.lock.name == NULL)
        mutex_init(&power.lock, "power");
    power.path_len = strlen(power.path);
    power.dev = s.st_dev;
    power.ino = s.st_ino;
    power.fault = f;
    power.boots = 1;
    beneath_go_slowly(true); /* by openat, which is seen here; openat2 has no name in libc */
    if (disk_mem_create(f, 0, &power.shadow) < 0)
        abort();
    both(nftw(power.path, clear_one, 16, FTW_DEPTH | FTW_PHYS));
    power.on = true;
}

void power_end(void)
{
    power.on = false;
    power_forget();
    disk_close(power.shadow);
    power.shadow = NULL;
}

struct disk *power_shadow(void)
{
    return power.shadow;
}

void power_flip(const char *name, uint64_t byte, unsigned bit)
{
    uint8_t value;
    int root = (int)both(open(power.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    int fd = (int)both(syscall(SYS_openat, root, name, O_RDWR));

    both(pread(fd, &value, 1, (off_t)byte) - 1);
    value = (uint8_t)(value ^ 1u << bit % 8);
    both(syscall(SYS_pwrite64, fd, &value, 1, (off_t)byte));
    close(fd);
    close(root);
}

static uint64_t usage_bytes, usage_names;

static int usage_one(const char *path, const struct stat *s, int kind, struct FTW *at)
{
    (void)at;
    if (kind == FTW_F && !strstr(path, "/kv/") && !strstr(path, "/shard")) {
        usage_names++;
        usage_bytes += (uint64_t)s->st_blocks * 512;
    }
    return 0;
}

void power_usage(uint64_t *ret_bytes, uint64_t *ret_names)
{
    usage_bytes = usage_names = 0;
    both(nftw(power.path, usage_one, 16, FTW_PHYS));
    *ret_bytes = usage_bytes;
    *ret_names = usage_names;
}

/* ---- has nothing gone past? ---- */

static int compare_one(const char *path, const struct stat *s, int kind, struct FTW *at)
{
    static uint8_t mine[BLOCK], theirs[BLOCK];
    const char *name = path + power.path_len + 1;
    struct disk_file *f;
    struct disk_stat stat;
    ssize_t n = 1;
    int fd, err;

    (void)at;
    if (kind != FTW_F || strstr(path, "lock.mdb"))
        return 0;
    fd = (int)both(open(path, O_RDONLY | O_CLOEXEC));
    err = disk_open(power.shadow, name, DISK_READ, &f);
    if (err == 0)
        err = disk_fstat(f, &stat);
    if (err < 0 || stat.size != (uint64_t)s->st_size) {
        fprintf(stderr, "power: %s was changed past the counter\n", name);
        abort();
    }
    for (off_t off = 0; n > 0; off += n) {
        n = both(pread(fd, mine, BLOCK, off));
        if (disk_pread(f, theirs, BLOCK, (uint64_t)off) != n || memcmp(mine, theirs, (size_t)n)) {
            fprintf(stderr, "power: %s has other bytes at %lld\n", name, (long long)off);
            abort();
        }
    }
    disk_file_close(f);
    close(fd);
    return 0;
}

void power_compare(void)
{
    both(nftw(power.path, compare_one, 16, FTW_PHYS));
}
