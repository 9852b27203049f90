// SPDX-License-Identifier: Apache-2.0
/*
 * ops_map: mappings, copies within the kernel, holes.
 */
#include "fsx.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- mappings ---- */

static bool map_some(struct node *n, int fd, int prot, int flags, struct map *ret)
{
    uint64_t size = n->bytes.size;

    if (size == 0)
        return false;
    ret->off = pick(size) / BYTES_PAGE * BYTES_PAGE;
    ret->len = (size_t)pick(pick(4) ? 20000 : IO_MAX) + 1;
    if (ret->len > size - ret->off)
        ret->len = (size_t)(size - ret->off);
    ret->at = mmap(NULL, ret->len, prot, flags, fd, (off_t)ret->off);
    if (ret->at == MAP_FAILED)
        fail(n, "mmap: %s", strerror(errno));
    return true;
}

static size_t whole_pages(size_t len)
{
    return (len + BYTES_PAGE - 1) / BYTES_PAGE * BYTES_PAGE;
}

/* The part of the held mapping that is within the file: beyond is SIGBUS. */
static bool map_held(const struct node *n, struct map *ret)
{
    *ret = n->held;
    if (!ret->at || n->bytes.size <= ret->off)
        return false;
    if (ret->len > n->bytes.size - ret->off)
        ret->len = (size_t)(n->bytes.size - ret->off);
    return true;
}

void map_release(struct node *n)
{
    if (n->held.at)
        munmap(n->held.at, n->held.len);
    n->held.at = NULL;
}

/* From now on it stays mapped, whatever happens to the file. */
void op_map_hold(struct node *n)
{
    map_release(n);
    note(n, "map for long");
    if (!map_some(n, handle_get(n, O_RDWR), PROT_READ | PROT_WRITE, MAP_SHARED, &n->held))
        n->held.at = NULL;
}

void op_map_read(struct node *n)
{
    struct map m;
    bool held = pick(2) && map_held(n, &m);

    if (!held && !map_some(n, handle_get(n, pick(2) ? O_RDONLY : O_RDWR), PROT_READ,
                           pick(2) ? MAP_SHARED : MAP_PRIVATE, &m))
        return;
    note(n, "%s and read %zu at %llu", held ? "mapped" : "map", m.len, (unsigned long long)m.off);
    compare(n, m.at, whole_pages(m.len), m.off, "read through a mapping");
    if (!held)
        munmap(m.at, m.len);
}

void op_map_write(struct node *n)
{
    struct map m;
    size_t from, len;
    bool sync = pick(3), held = pick(2) && map_held(n, &m);

    if (!held && !map_some(n, handle_get(n, O_RDWR), PROT_READ | PROT_WRITE, MAP_SHARED, &m))
        return;
    from = (size_t)pick(m.len);
    len = (size_t)pick(m.len - from) + 1;
    fill(run.buf, len);
    note(n, "%s and write %zu at %llu%s", held ? "mapped" : "map", len,
         (unsigned long long)(m.off + from), sync ? ", msync" : "");
    node_touch_perhaps(n);
    memcpy(m.at + from, run.buf, len);
    bytes_write(&n->bytes, run.buf, len, m.off + from);
    n->mapped = true;
    if (sync && msync(m.at, m.len, MS_SYNC) < 0)
        fail(n, "msync: %s", strerror(errno));
    if (pick(2))
        compare(n, m.at, whole_pages(m.len), m.off, "read through a mapping just written");
    if (!held)
        munmap(m.at, m.len);
}

void op_map_private(struct node *n)
{
    struct map m;
    int fd = handle_get(n, O_RDONLY);
    ssize_t got;

    if (!map_some(n, fd, PROT_READ | PROT_WRITE, MAP_PRIVATE, &m))
        return;
    note(n, "map privately and write %zu at %llu", m.len, (unsigned long long)m.off);
    memset(m.at, 0x5a, m.len);
    got = pread(fd, run.buf, m.len, (off_t)m.off);
    if (got != (ssize_t)m.len)
        fail(n, "read beside a private mapping: %zd", got);
    compare(n, run.buf, m.len, m.off, "read beside a private mapping");
    munmap(m.at, m.len);
}

/* ---- copies ---- */

/* Until all is copied, or the source ends. Returns how much. */
static uint64_t copy_all(int in, uint64_t from, struct node *dst, int out, uint64_t to,
                         uint64_t len)
{
    uint64_t done = 0;

    while (done < len) {
        off_t a = (off_t)(from + done), b = (off_t)(to + done);
        ssize_t n = copy_file_range(in, &a, out, &b, (size_t)(len - done), 0);
        if (n < 0)
            fail(dst, "copy_file_range: %s", strerror(errno));
        if (n == 0)
            break;
        done += (uint64_t)n;
    }
    return done;
}

/* The model's side of it: [from, from + len) is within `src`. */
static void copy_model(const struct node *src, uint64_t from, struct node *dst, uint64_t to,
                       uint64_t len)
{
    for (uint64_t done = 0, n; done < len; done += n) {
        n = len - done < IO_MAX ? len - done : IO_MAX;
        (void)bytes_read(&src->bytes, run.buf2, (size_t)n, from + done);
        bytes_write(&dst->bytes, run.buf2, (size_t)n, to + done);
    }
}

/* A file of any space; its descriptor for reading. */
static struct node *pick_source(int *ret_fd)
{
    struct space *here = run.in, *there = here;
    struct node *n;

    if (pick(3) == 0)
        there = &run.space[pick(SPACES)];
    n = there->live ? pick_file(there) : NULL;
    if (!n)
        return NULL;
    run.in = there;
    *ret_fd = handle_get(n, O_RDONLY);
    run.in = here;
    return n;
}

void op_copy_range(struct node *n)
{
    int in, out;
    struct node *src = pick_source(&in);
    uint64_t from, to, len, copied;

    if (!src || src->bytes.size == 0)
        return;
    out = handle_get(n, src == n ? O_RDWR : O_WRONLY);
    if (src == n) /* the other may have been closed for this one */
        in = out;
    from = pick(2) ? 0 : pick(src->bytes.size + 1);
    to = pick(2) ? from : pick(2) ? n->bytes.size : pick(run.opt.size);
    len = pick(2) ? src->bytes.size - from : pick(src->bytes.size - from + 1);
    if (to + len > run.opt.size || (src == n && from < to + len && to < from + len))
        return;
    note(n, "copy %llu from %llu of inode %llu to %llu", (unsigned long long)len,
         (unsigned long long)from, (unsigned long long)src->ino, (unsigned long long)to);
    node_touch_perhaps(n);
    copied = copy_all(in, from, n, out, to, len);
    if (copied != len)
        fail(n, "copy_file_range stopped after %llu of %llu", (unsigned long long)copied,
             (unsigned long long)len);
    copy_model(src, from, n, to, len);
}

/* As cp does it. */
void op_copy_whole(struct node *n)
{
    int in, out;
    struct node *src = pick_source(&in);
    char path[PATH_MAX];
    uint64_t copied;

    if (!src || src == n || !node_path(run.in, n, path))
        return;
    note(n, "copy all of inode %llu, %llu bytes", (unsigned long long)src->ino,
         (unsigned long long)src->bytes.size);
    node_touch_perhaps(n);
    out = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    if (out < 0)
        fail(n, "open: %s", strerror(errno));
    bytes_truncate(&n->bytes, 0);
    copied = copy_all(in, 0, n, out, 0, run.opt.size * 2);
    if (copied != src->bytes.size)
        fail(n, "%llu bytes were copied, not %llu", (unsigned long long)copied,
             (unsigned long long)src->bytes.size);
    copy_model(src, 0, n, 0, copied);
    if (close(out) < 0)
        fail(n, "close: %s", strerror(errno));
}

/* ---- holes ---- */

static const int modes[] = {0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                            FALLOC_FL_ZERO_RANGE, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE};
#define MODES (sizeof modes / sizeof modes[0])
static bool possible[MODES];

bool allocate_probe(const char *dir)
{
    int fd = open(dir, O_TMPFILE | O_RDWR, 0600);
    bool any = false;

    if (fd < 0) {
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s/probe", dir);
        fd = open(path, O_CREAT | O_RDWR, 0600);
        (void)unlink(path);
    }
    for (size_t i = 0; i < MODES && fd >= 0; i++) {
        possible[i] = fallocate(fd, modes[i], 0, BYTES_PAGE) == 0;
        any |= possible[i];
    }
    if (fd >= 0)
        close(fd);
    return any;
}

void op_allocate(struct node *n)
{
    size_t i = (size_t)pick(MODES);
    uint64_t off = pick(n->bytes.size + 1), len = pick(pick(3) ? 20000 : IO_MAX) + 1;
    int fd;

    if (!possible[i])
        return;
    if (pick(2))
        off -= off % BYTES_PAGE;
    if (pick(2))
        len = whole_pages((size_t)len);
    if (off + len > run.opt.size)
        return;
    fd = handle_get(n, O_RDWR);
    note(n, "fallocate %#x %llu at %llu", (unsigned)modes[i], (unsigned long long)len,
         (unsigned long long)off);
    node_touch_perhaps(n);
    if (fallocate(fd, modes[i], (off_t)off, (off_t)len) < 0)
        fail(n, "fallocate %#x: %s", (unsigned)modes[i], strerror(errno));
    if (!(modes[i] & FALLOC_FL_KEEP_SIZE) && off + len > n->bytes.size)
        bytes_truncate(&n->bytes, off + len);
    if (modes[i] & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
        bytes_zero(&n->bytes, off, len);
}

/* What lies before data is zeros; a hole begins with one, or is the end. */
void op_seek(struct node *n)
{
    uint64_t off = pick(n->bytes.size + 10), size = n->bytes.size;
    int fd = handle_get(n, O_RDWR);
    off_t data, hole;

    node_write_back(n); /* nobody asks the kernel for dirty pages in a hole */
    note(n, "seek from %llu", (unsigned long long)off);
    data = lseek(fd, (off_t)off, SEEK_DATA);
    if (data < 0 && errno != ENXIO)
        fail(n, "SEEK_DATA from %llu: %s", (unsigned long long)off, strerror(errno));
    if (data >= 0 && ((uint64_t)data < off || (uint64_t)data >= size))
        fail(n, "SEEK_DATA from %llu is %lld", (unsigned long long)off, (long long)data);
    if (off < size && !bytes_are_zero(&n->bytes, off, (data < 0 ? size : (uint64_t)data) - off))
        fail(n, "SEEK_DATA from %llu passes over data to %lld", (unsigned long long)off,
             (long long)data);
    hole = lseek(fd, (off_t)off, SEEK_HOLE);
    if (off >= size)
        expect(n, hole < 0 ? errno : 0, ENXIO, "SEEK_HOLE past the end");
    else if (hole < (off_t)off || (uint64_t)hole > size)
        fail(n, "SEEK_HOLE from %llu is %lld", (unsigned long long)off, (long long)hole);
    else if (!bytes_are_zero(&n->bytes, (uint64_t)hole, (uint64_t)hole < size))
        fail(n, "SEEK_HOLE from %llu is %lld, where data is", (unsigned long long)off,
             (long long)hole);
}
