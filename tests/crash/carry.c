// SPDX-License-Identifier: Apache-2.0
/*
 * carry: a store of an older version, in a directory of the machine, is opened for writing and gets
 * a file; the power goes at each write of that. However it went, the store then opens, has all that
 * it had, is sound, and is of this version in the end.
 *
 *     carry STORE DIR [EVERY]
 *
 * STORE is only read. DIR is a directory that may be emptied. Every EVERYth write is cut, thrice:
 * nothing that was not synced survives; all of it does; each by chance.
 */
#include "check.h"
#include "crash.h"
#include "feature_flags.h"
#include "report.h"
#include "store_dir.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define BLOCK 65536
#define VALUE_MAX 65536

static struct fault fault_of_disk;
static struct clock_manual time_now;
static const char *from, *at;
static uint64_t cut_write;
static int cut_loss;

_Noreturn void fail(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: %s: write %llu of %s was cut, loss %d\n", file, line, what,
            (unsigned long long)cut_write, from, cut_loss);
    abort();
}

/* power.c knows writes that say where; these go where the descriptor stands. */
ssize_t write(int fd, const void *buf, size_t len)
{
    struct iovec iov = {(void *)(uintptr_t)buf, len};

    return writev(fd, &iov, 1);
}

/* ---- the store is put into the directory, as it lay there for long ---- */

static void copy_file(int in, int out)
{
    static uint8_t block[BLOCK], zeros[BLOCK];
    struct stat s;
    ssize_t n;

    CHECK(in >= 0 && out >= 0 && fstat(in, &s) == 0 && ftruncate(out, s.st_size) == 0);
    for (off_t off = 0; (n = pread(in, block, BLOCK, off)) > 0; off += n)
        if (memcmp(block, zeros, (size_t)n) != 0)
            CHECK(pwrite(out, block, (size_t)n, off) == n);
    CHECK(n == 0 && fsync(out) == 0);
    close(in);
    close(out);
}

static void copy_dir(int in, int out)
{
    DIR *dir = fdopendir(in);
    struct dirent *e;

    CHECK(dir && out >= 0);
    while ((e = readdir(dir))) {
        const char *name = e->d_name;
        if (!strcmp(name, ".") || !strcmp(name, "..") || !strcmp(name, "lock.mdb"))
            continue;
        if (e->d_type == DT_DIR) {
            CHECK(mkdirat(out, name, 0700) == 0);
            copy_dir(openat(in, name, O_RDONLY | O_DIRECTORY),
                     openat(out, name, O_RDONLY | O_DIRECTORY));
        } else {
            copy_file(openat(in, name, O_RDONLY), openat(out, name, O_WRONLY | O_CREAT, 0600));
        }
    }
    CHECK(fsync(out) == 0);
    closedir(dir);
    close(out);
}

/* ---- one number for what the store has ---- */

static uint64_t mix(uint64_t sum, const void *buf, size_t len)
{
    const uint8_t *b = buf;

    for (size_t i = 0; i < len; i++)
        sum = (sum ^ b[i]) * UINT64_C(0x100000001b3);
    return sum;
}

static uint64_t mix_bytes(struct state *p, uint64_t node, uint64_t sum)
{
    static uint8_t block[BLOCK];
    struct vfs_file *f;
    ssize_t n;

    CHECK(vfs_open(p, node, VFS_NOATIME, &f) == 0);
    for (uint64_t off = 0; (n = vfs_read(f, block, BLOCK, off)) > 0; off += (uint64_t)n)
        sum = mix(sum, block, (size_t)n);
    CHECK(n == 0);
    vfs_release(f);
    return sum;
}

static uint64_t mix_attrs(struct state *p, uint64_t node, uint64_t sum)
{
    static char names[VALUE_MAX], value[VALUE_MAX];
    ssize_t len = vfs_listxattr(p, node, names, sizeof names, true);

    CHECK(len >= 0);
    for (char *name = names; name < names + len; name += strlen(name) + 1) {
        if (!strncmp(name, VFS_XATTR_OURS, strlen(VFS_XATTR_OURS)))
            continue;
        ssize_t n = vfs_getxattr(p, node, name, value, sizeof value);
        CHECK(n >= 0);
        sum = mix(mix(sum, name, strlen(name)), value, (size_t)n);
    }
    return sum;
}

#define NAMES_MAX 128

struct names {
    char name[NAMES_MAX][64];
    size_t n;
};

static bool take_name(const struct vfs_dirent *d, void *ctx)
{
    struct names *l = ctx;

    if (!strcmp(d->name, ".") || !strcmp(d->name, "..") || !strcmp(d->name, "new"))
        return true;
    CHECK(l->n < NAMES_MAX);
    snprintf(l->name[l->n++], sizeof l->name[0], "%s", d->name);
    return true;
}

static uint64_t sum_dir(struct state *p, uint64_t node, uint64_t *count);

static uint64_t sum_one(struct state *p, uint64_t parent, const char *name, uint64_t *count)
{
    static char target[4096];
    struct vfs_attr a;
    uint64_t sum = mix(UINT64_C(0xcbf29ce484222325), name, strlen(name));

    CHECK(vfs_lookup(p, parent, name, &a) == 0);
    sum = mix(mix(sum, &a.mode, sizeof a.mode), (uint32_t[]){a.uid, a.gid}, 8);
    sum = mix_attrs(p, a.nodeid, sum);
    if (!S_ISDIR(a.mode))
        sum = mix(mix(mix(sum, &a.nlink, 4), &a.size, 8), &a.mtime, 8);
    if (S_ISREG(a.mode))
        sum = mix_bytes(p, a.nodeid, sum);
    if (S_ISLNK(a.mode)) {
        CHECK(vfs_readlink(p, a.nodeid, target, sizeof target) == 0);
        sum = mix(sum, target, strlen(target));
    }
    if (S_ISDIR(a.mode))
        sum = sum * 31 + sum_dir(p, a.nodeid, count);
    vfs_forget(p, a.nodeid, 1);
    ++*count;
    return sum;
}

/* In whatever order they are listed. */
static uint64_t sum_dir(struct state *p, uint64_t node, uint64_t *count)
{
    struct names *l = calloc(1, sizeof *l);
    uint64_t sum = 0;

    CHECK(l && vfs_readdir(p, node, 0, false, take_name, l) == 0);
    for (size_t i = 0; i < l->n; i++)
        sum += sum_one(p, node, l->name[i], count);
    free(l);
    return sum;
}

/* ---- opening, cut or not ---- */

static int open_store(struct store_dir *s, struct state **ret_p)
{
    char why[STORE_WHY];
    int err = store_dir_open(at, 0, "mount", at, s, why);

    *ret_p = NULL;
    if (err < 0)
        return err;
    err = store_open(&(struct state_config){.disk = s->disk,
                                            .kv = s->kv,
                                            .clock = &time_now.base,
                                            .threads = 1,
                                            .log_segment = LOG_SEGMENT},
                     ret_p);
    if (err < 0)
        store_dir_close(s);
    return err;
}

static int add_file(struct state *p)
{
    static const char text[] = "a new one";
    struct vfs_attr space, a;
    struct vfs_file *f;
    int err = vfs_lookup(p, VFS_ROOT, "main", &space);

    if (err < 0)
        return err;
    err = vfs_create(p, space.nodeid, "new", 0644, &(struct vfs_cred){0}, VFS_WRITE, &a, &f);
    if (err < 0)
        return err;
    ssize_t n = vfs_write(f, text, sizeof text, 0);
    err = vfs_release(f);
    return n < 0 ? (int)n : err;
}

static void carry_over(void)
{
    struct store_dir s;
    struct state *p;

    if (open_store(&s, &p) < 0)
        return;
    if (add_file(p) == 0 && !fault_is_cut(&fault_of_disk))
        (void)store_close(p);
    else
        store_abandon(p);
    store_dir_close(&s);
}

static void found(const char *what, const char *where, const char *sentence, void *ctx)
{
    (void)ctx;
    if (strcmp(what, "note") != 0)
        fprintf(stderr, "%s %s: %s\n", what, where, sentence);
}

static void is_sound(void)
{
    struct check_options o = {.found = found};
    struct check_result r;
    struct store_dir s;
    char why[STORE_WHY];

    CHECK(store_dir_open(at, STORE_READONLY | STORE_VERIFY, "check", at, &s, why) == 0);
    CHECK(store_check(s.disk, s.kv, &o, &r) == 0);
    CHECK(r.problems == 0);
    store_dir_close(&s);
}

static void is_of_this_version(void)
{
    char path[4096], text[STORE_TEXT_MAX + 1] = "", want[64];
    struct store_text t;

    snprintf(path, sizeof path, "%s/tally-store", at);
    FILE *f = fopen(path, "re");
    CHECK(f);
    size_t n = fread(text, 1, sizeof text, f);
    fclose(f);
    snprintf(want, sizeof want, "tallyfs store %d\n", STORE_VERSION);
    CHECK(store_text_decode(text, n, &t) == 0 && strncmp(text, want, strlen(want)) == 0);
}

/* What it has, after it was opened. */
static uint64_t whole(void)
{
    uint64_t count = 0, sum;
    struct store_dir s;
    struct state *p;

    CHECK(open_store(&s, &p) == 0);
    sum = sum_dir(p, VFS_ROOT, &count);
    CHECK(count > 80);
    CHECK(store_close(p) == 0);
    store_dir_close(&s);
    is_of_this_version();
    return sum;
}

/* The number of writes that there were, and what the store has in the end. */
static uint64_t one_cut(uint64_t write, int loss, uint64_t *ret_sum)
{
    static const enum fault_loss losses[] = {FAULT_LOSE_ALL, FAULT_KEEP_ALL, FAULT_LOSE_SOME};
    uint64_t writes;

    cut_write = write;
    cut_loss = loss;
    power_begin(&fault_of_disk, at);
    copy_dir(open(from, O_RDONLY | O_DIRECTORY), open(at, O_RDONLY | O_DIRECTORY));
    power_compare();
    fault_reset(&fault_of_disk);
    fault_of_disk.fail_at = write;
    fault_of_disk.cut = true;
    carry_over();
    writes = fault_of_disk.writes;
    CHECK(write == 0 || write > writes || fault_fired(&fault_of_disk));
    fault_of_disk.loss = losses[loss];
    fault_of_disk.seed = write * 3 + 1;
    power_disk_cycle();
    is_sound();
    *ret_sum = whole();
    is_sound();
    power_end();
    return writes;
}

static void quiet(enum report_level level, const char *text, void *ctx)
{
    (void)level;
    (void)text;
    (void)ctx;
}

int main(int argc, char **argv)
{
    uint64_t writes, want, sum, cuts = 0, every = argc > 3 ? strtoull(argv[3], NULL, 10) : 1;

    if (argc < 3 || every == 0) {
        fprintf(stderr, "carry STORE DIR [EVERY]\n");
        return 2;
    }
    from = argv[1];
    at = argv[2];
    report_set_sink(quiet, NULL);
    clock_manual_init(&time_now, clock_now(clock_real()));
    writes = one_cut(0, 0, &want);
    CHECK(writes > 20);
    for (uint64_t k = 1; k <= writes; k += every)
        for (int loss = 0; loss < 3; loss++, cuts++) {
            (void)one_cut(k, loss, &sum);
            CHECK(sum == want);
        }
    printf("%s: %llu cuts of %llu writes\n", from, (unsigned long long)cuts,
           (unsigned long long)writes);
    return 0;
}
