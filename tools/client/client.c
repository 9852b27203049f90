// SPDX-License-Identifier: Apache-2.0
/*
 * client: writes a command and reads its reply on the same descriptor. Each descriptor is a session
 * of its own, so the reply is ours even if other processes send commands. The reply of a command
 * that failed is read as well, since it has the sentence.
 */
#include "client.h"

#include "beneath.h"
#include "io.h"
#include "node.h"
#include "say.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define AGAIN_NS 50000000 /* before a command that was interrupted is sent again */

static bool same_dev(int a, int b)
{
    struct stat st_a, st_b;
    return fstat(a, &st_a) == 0 && fstat(b, &st_b) == 0 && st_a.st_dev == st_b.st_dev;
}

/* Is the file one of `.tally`, and none of a user who gave it a name of ours? Then no namespace has
 * the number in its inode number. */
static bool is_ours(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 &&
           (vfs_node_ns(st.st_ino) == 0 || vfs_node_ns(st.st_ino) > VFS_NS_MAX);
}

/* Opens a file of the mount, below no other mount. */
static int open_inside(const char *mnt, const char *name, int flags, bool ours)
{
    int dir = open(mnt, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0) {
        return -errno;
    }
    int fd = flags & O_DIRECTORY ? beneath_open_dir(dir, name)
                                 : beneath_open(dir, name, flags | O_CLOEXEC, 0);
    if (fd >= 0 && (!same_dev(fd, dir) || (ours && !is_ours(fd)) ||
                    fcntl(fd, F_SETFL, 0) < 0)) { /* clears O_NONBLOCK */
        io_cleanup_close(&fd);
        fd = -EUCLEAN;
    }
    close(dir);
    return fd;
}

int client_open_file(const char *mnt, const char *name, int flags)
{
    return open_inside(mnt, name, flags, true);
}

int client_open_user_file(const char *mnt, const char *name, int flags)
{
    CLEANUP_STRBUF struct strbuf kept = STRBUF_INIT;
    size_t ns_len = strcspn(name, "/");
    const char *at = memrchr(name, '@', ns_len);
    int fd = open_inside(mnt, name, flags, false);
    if (fd != -ENOENT || !at) {
        return fd;
    }
    strbuf_addf(&kept, ".tally/snapshots/%.*s/%s", (int)(at - name), name, at + 1);
    return strbuf_error(&kept) < 0 ? -ENOMEM : open_inside(mnt, kept.s, flags, false);
}

int client_open(const char *mnt)
{
    return client_open_file(mnt, ".tally/control", O_RDWR);
}

bool client_is_gone(int err)
{
    return err == -ENOTCONN || err == -ECONNABORTED;
}

void client_explain(const char *mnt, int err, struct strbuf *out)
{
    if (client_is_gone(err)) {
        strbuf_addf(out, "the daemon of %s is gone; `tally umount %s`, then mount it again", mnt,
                    mnt);
    } else if (err == -EROFS) {
        strbuf_addf(out, "%s is mounted ro and takes no commands", mnt);
    } else {
        strbuf_addf(
            out, "%s/.tally/control: %s%s", mnt, strerror(-err),
            err == -EACCES ? " (ctl_group and ctl_mode of tally-mount(1) let others command)" : "");
    }
}

int client_read_status(const char *mnt, struct strbuf *ret)
{
    int fd = client_open_file(mnt, ".tally/status", O_RDONLY);
    if (fd < 0) {
        return fd;
    }
    int err = io_read_rest(fd, SIZE_MAX, ret);
    io_cleanup_close(&fd);
    return err;
}

int client_copy_status(const char *mnt)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    int err = client_read_status(mnt, &text);
    tally_print(text.s, text.len);
    return err;
}

json_t *client_load_stats(const char *mnt)
{
    int fd = client_open_file(mnt, ".tally/stats.json", O_RDONLY);
    json_t *stats = fd < 0 ? NULL : json_loadfd(fd, 0, NULL);
    io_cleanup_close(&fd);
    return stats;
}

/* Takes the first line of a reply: of "ok …" the rest, of "error NAME VERB: sentence" the
 * sentence. */
static void take_head(const char *line, size_t len, struct strbuf *head)
{
    const char *from = line;
    if (len >= 2 && memcmp(line, "ok", 2) == 0) {
        from += len > 2 ? 3 : 2;
    } else {
        const char *colon = memmem(line, len, ": ", 2);
        from = colon ? colon + 2 : line;
    }
    strbuf_add(head, from, (size_t)(line + len - from));
}

/* Splits a reply into its first line and the others, from which the leading "| " is removed. */
static void split_reply(const struct strbuf *text, struct reply *ret)
{
    const char *end = text->s + text->len;
    bool first = true;
    for (const char *p = text->s; p < end;) {
        const char *nl = memchr(p, '\n', (size_t)(end - p));
        size_t len = (size_t)((nl ? nl : end) - p);
        if (first) {
            take_head(p, len, &ret->head);
        } else {
            size_t skip = len >= 2 && memcmp(p, "| ", 2) == 0 ? 2 : len >= 1 && *p == '|';
            strbuf_add(&ret->body, p + skip, len - skip);
            strbuf_adds(&ret->body, "\n");
        }
        first = false;
        p += len + 1;
    }
}

int client_run(int fd, const char *command, struct reply *ret)
{
    CLEANUP_STRBUF struct strbuf line = STRBUF_INIT, text = STRBUF_INIT;
    strbuf_addf(&line, "%s\n", command);
    if (strbuf_error(&line)) {
        return -ENOMEM;
    }
    int err = write(fd, line.s, line.len) < 0 ? -errno : 0;
    int err_read = io_read_rest(fd, SIZE_MAX, &text);
    split_reply(&text, ret);
    err = err ? err : err_read;
    if (err < 0 && ret->head.len == 0) {
        strbuf_adds(&ret->head, strerror(-err));
    }
    return err;
}

int client_wait(int fd, const char *command, struct reply *ret)
{
    int err;
    while ((err = client_run(fd, command, ret)) == -EINTR) {
        reply_release(ret);
        (void)nanosleep(&(struct timespec){.tv_nsec = AGAIN_NS}, NULL); /* signals may come often */
    }
    return err;
}

void reply_release(struct reply *r)
{
    strbuf_release(&r->head);
    strbuf_release(&r->body);
}
