// SPDX-License-Identifier: Apache-2.0
/*
 * ops_io: opening, reading, writing, truncating. Offsets and lengths are drawn around what matters:
 * pages, the 128 KiB blocks of overlays, the end of the file.
 */
#include "fsx.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK 131072u

/* ---- descriptors ---- */

void handle_close(struct node *n, unsigned i)
{
    if (close(n->handle[i].fd) < 0)
        fail(n, "close: %s", strerror(errno));
    n->handle[i] = n->handle[--n->handles];
}

void handle_close_all(struct node *n)
{
    map_release(n);
    while (n->handles > 0)
        handle_close(n, 0);
}

/* Opens it by a name, or, without one, through a descriptor that is open. */
static int open_node(const struct node *n, int flags)
{
    char path[PATH_MAX];
    int fd;

    if (!node_path(run.in, n, path))
        snprintf(path, sizeof path, "/proc/self/fd/%d", n->handle[0].fd);
    fd = open(path, flags | O_CLOEXEC);
    if (fd < 0)
        fail(n, "open with flags %#x: %s", (unsigned)flags, strerror(errno));
    return fd;
}

static bool serves(int have, int want)
{
    int access = want & O_ACCMODE, kinds = O_APPEND | O_DIRECT;

    if ((have & O_ACCMODE) != O_RDWR && (have & O_ACCMODE) != access)
        return false;
    return (have & kinds) == (want & kinds);
}

static void handle_add(struct node *n, int fd, int flags)
{
    if (n->handles == HANDLES)
        handle_close(n, (unsigned)pick(HANDLES));
    n->handle[n->handles++] = (struct handle){fd, flags};
}

int handle_get(struct node *n, int flags)
{
    int fd;

    for (unsigned i = 0; i < n->handles; i++)
        if (serves(n->handle[i].flags, flags))
            return n->handle[i].fd;
    if ((flags & O_ACCMODE) != O_RDWR && pick(2))
        flags = (flags & ~O_ACCMODE) | O_RDWR;
    fd = open_node(n, flags);
    handle_add(n, fd, flags);
    note(n, "open %#x", (unsigned)flags);
    return fd;
}

void op_open(struct node *n)
{
    static const int access[] = {O_RDONLY, O_WRONLY, O_RDWR, O_RDWR};
    int flags = access[pick(4)];

    if (pick(6) == 0)
        flags |= O_APPEND;
    else if (run.opt.features & F_DIRECT && pick(6) == 0)
        flags |= O_DIRECT;
    if (run.opt.features & F_FSYNC && pick(200) == 0)
        flags |= O_DSYNC;
    note(n, "open %#x", (unsigned)flags);
    handle_add(n, open_node(n, flags), flags);
}

void op_close(struct node *n)
{
    if (n->handles == 0 || (n->names == 0 && n->handles == 1 && pick(3)))
        return;
    note(n, "close");
    handle_close(n, (unsigned)pick(n->handles));
    if (n->names || n->handles)
        return;
    for (unsigned i = 0; i < run.in->orphans; i++)
        if (run.in->orphan[i] == n) {
            run.in->orphan[i] = run.in->orphan[--run.in->orphans];
            break;
        }
    node_settle(n);
}

/* ---- ranges ---- */

static uint64_t pick_offset(const struct node *n)
{
    uint64_t size = n->bytes.size, off;

    switch (pick(8)) {
    case 0:
        return 0;
    case 1:
        return size;
    case 2: /* near the end, on either side */
        off = size + pick(200);
        return off > 100 ? off - 100 : 0;
    case 3: /* around a border of blocks */
        off = pick(size / BLOCK + 1) * BLOCK + pick(200);
        return off > 100 ? off - 100 : 0;
    case 4:
        return pick(run.opt.size); /* anywhere, mostly beyond the end */
    case 5:
        return pick(size / BYTES_PAGE + 1) * BYTES_PAGE;
    default:
        return pick(size + 1);
    }
}

static size_t pick_length(void)
{
    switch (pick(16)) {
    case 0:
        return IO_MAX;
    case 1:
        return (size_t)pick(IO_MAX) + 1;
    case 2:
        return BLOCK;
    case 3:
    case 4:
        return (size_t)(pick(4) + 1) * BYTES_PAGE;
    case 5:
    case 6:
        return (size_t)pick(20000) + 1;
    default:
        return (size_t)pick(600) + 1;
    }
}

/* For O_DIRECT: whole pages where the filesystem asks for that, else half of the time. */
static void align(bool direct, uint64_t *off, size_t *len)
{
    if (!direct || (!run.opt.ext4 && pick(2)))
        return;
    *off -= *off % BYTES_PAGE;
    *len = (*len + BYTES_PAGE - 1) / BYTES_PAGE * BYTES_PAGE;
}

static bool want_direct(void)
{
    return run.opt.features & F_DIRECT && pick(10) == 0;
}

/* ---- reading ---- */

static void read_range(struct node *n, bool cold)
{
    bool direct = want_direct();
    int fd = handle_get(n, direct ? O_RDONLY | O_DIRECT : O_RDONLY);
    uint64_t off = pick_offset(n), size = n->bytes.size;
    size_t len = pick_length(), want;
    ssize_t got;

    align(direct, &off, &len);
    want = off >= size ? 0 : len < size - off ? len : (size_t)(size - off);
    if (cold && posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) != 0)
        fail(n, "posix_fadvise");
    got = pread(fd, run.buf, len, (off_t)off);
    note(n, "read%s%s %zu at %llu", cold ? " cold" : "", direct ? " direct" : "", len,
         (unsigned long long)off);
    if (got != (ssize_t)want)
        fail(n, "read of %zu at %llu: %zd (%s), not %zu", len, (unsigned long long)off, got,
             got < 0 ? strerror(errno) : "no error", want);
    compare(n, run.buf, want, off, "read");
}

void op_read(struct node *n)
{
    read_range(n, false);
}

void op_read_cold(struct node *n)
{
    read_range(n, true);
}

/* ---- writing ---- */

static void write_at(struct node *n, int fd, size_t len, uint64_t off, const char *how)
{
    size_t in_page = BYTES_PAGE - off % BYTES_PAGE;
    ssize_t got;

    /* The kernel sends the first page of a write alone if it is not cached and not written whole:
     * two requests, and a branch may come between them. */
    if (spaces_racing() && in_page < BYTES_PAGE && len > in_page)
        len = in_page;
    fill(run.buf, len);
    note(n, "%s %zu at %llu", how, len, (unsigned long long)off);
    node_touch(n);
    if (pick(4))
        got = pwrite(fd, run.buf, len, (off_t)off);
    else
        got = lseek(fd, (off_t)off, SEEK_SET) < 0 ? -1 : write(fd, run.buf, len);
    if (got != (ssize_t)len)
        fail(n, "%s of %zu at %llu: %zd (%s)", how, len, (unsigned long long)off, got,
             got < 0 ? strerror(errno) : "no error");
    bytes_write(&n->bytes, run.buf, len, off);
}

void op_write(struct node *n)
{
    bool direct = want_direct();
    int fd = handle_get(n, direct ? O_WRONLY | O_DIRECT : O_WRONLY);
    uint64_t off = pick_offset(n);
    size_t len = pick_length();

    align(direct, &off, &len);
    if (off + len > run.opt.size)
        off = (run.opt.size - len) / BYTES_PAGE * BYTES_PAGE;
    write_at(n, fd, len, off, direct ? "write direct" : "write");
}

void op_append(struct node *n)
{
    size_t len = pick_length();
    int fd;

    if (n->bytes.size + len > run.opt.size)
        return;
    fd = handle_get(n, O_WRONLY | O_APPEND);
    write_at(n, fd, len, n->bytes.size, "append");
}

void op_truncate(struct node *n)
{
    uint64_t size = pick(4) ? pick_offset(n) : pick(n->bytes.size + 1);
    char path[PATH_MAX];
    int err;

    if (size > run.opt.size)
        size = run.opt.size;
    note(n, "truncate to %llu", (unsigned long long)size);
    if (size == n->bytes.size)
        node_touch_perhaps(n);
    else
        node_touch(n);
    if (pick(2) && node_path(run.in, n, path))
        err = truncate(path, (off_t)size);
    else
        err = ftruncate(handle_get(n, O_WRONLY), (off_t)size);
    expect(n, err < 0 ? errno : 0, 0, "truncate");
    bytes_truncate(&n->bytes, size);
}

void op_truncate_open(struct node *n)
{
    int flags = (pick(2) ? O_WRONLY : O_RDWR) | O_TRUNC;

    if (n->bytes.size == 0)
        node_touch_perhaps(n);
    else
        node_touch(n);
    note(n, "open with O_TRUNC");
    handle_add(n, open_node(n, flags), flags & ~O_TRUNC);
    bytes_truncate(&n->bytes, 0);
}

/* As an editor or a build does it: everything anew in one go. */
void op_rewrite(struct node *n)
{
    size_t len = pick_length();
    int fd;

    if (n->names == 0)
        return;
    note(n, "write anew, %zu", len);
    node_touch(n);
    fd = open_node(n, O_WRONLY | O_TRUNC);
    bytes_truncate(&n->bytes, 0);
    write_at(n, fd, len, 0, "write");
    if (run.opt.features & F_FSYNC && pick(100) == 0 && fsync(fd) < 0)
        fail(n, "fsync: %s", strerror(errno));
    if (close(fd) < 0)
        fail(n, "close: %s", strerror(errno));
}

void op_fsync(struct node *n)
{
    int fd = handle_get(n, O_RDWR);
    bool data = pick(2);

    note(n, data ? "fdatasync" : "fsync");
    if ((data ? fdatasync(fd) : fsync(fd)) < 0)
        fail(n, "fsync: %s", strerror(errno));
    n->mapped = false;
}

void op_fstat(struct node *n)
{
    struct stat st;

    if (fstat(handle_get(n, O_RDONLY), &st) < 0)
        fail(n, "fstat: %s", strerror(errno));
    stat_check(n, &st);
}
