// SPDX-License-Identifier: Apache-2.0
/*
 * hostile: a mount that says it is tallyfs's, whose `.tally/control` and `.tally/stats.json` are
 * symlinks to whatever its maker likes root to write to, or to read, as is job 1 in `.tally/jobs`;
 * job 2 is a FIFO. Or who looks for `.tally` waits for good.
 *
 *     hostile MOUNTPOINT TARGET           in the foreground, until it is unmounted
 *     hostile MOUNTPOINT                  the same, for waiting
 *     hostile MOUNTPOINT "" OPTIONS       the same with other options of the mount
 */
#define FUSE_USE_VERSION 34
#include <fuse_lowlevel.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { ROOT = 1, TALLY, CONTROL, STATS, JOBS, JOB_LINK, JOB_FIFO };

static const char *target;

static struct stat stat_of(fuse_ino_t ino)
{
    const bool dir = ino == ROOT || ino == TALLY || ino == JOBS;
    const mode_t mode = dir ? S_IFDIR | 0755 : ino == JOB_FIFO ? S_IFIFO | 0666 : S_IFLNK | 0777;
    return (struct stat){.st_ino = ino, .st_mode = mode, .st_nlink = 2};
}

static void get_attr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    const struct stat st = stat_of(ino);
    (void)fi;
    fuse_reply_attr(req, &st, 0);
}

static void look_up(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct fuse_entry_param e = {0};
    if (target == NULL || *target == '\0')
        return;
    if (parent == ROOT && strcmp(name, ".tally") == 0)
        e.ino = TALLY;
    else if (parent == TALLY && strcmp(name, "control") == 0)
        e.ino = CONTROL;
    else if (parent == TALLY && strcmp(name, "stats.json") == 0)
        e.ino = STATS;
    else if (parent == TALLY && strcmp(name, "jobs") == 0)
        e.ino = JOBS;
    else if (parent == JOBS && strcmp(name, "1") == 0)
        e.ino = JOB_LINK;
    else if (parent == JOBS && strcmp(name, "2") == 0)
        e.ino = JOB_FIFO;
    e.attr = stat_of(e.ino);
    if (e.ino == 0)
        fuse_reply_err(req, ENOENT);
    else
        fuse_reply_entry(req, &e);
}

static void read_link(fuse_req_t req, fuse_ino_t ino)
{
    (void)ino;
    fuse_reply_readlink(req, target);
}

/* Every directory lists the two jobs. */
static void read_dir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                     struct fuse_file_info *fi)
{
    static const char *const names[] = {"1", "2"};
    char buf[256];
    size_t len = 0;
    (void)ino, (void)fi;
    for (off_t i = off; i < 2; i++) {
        const struct stat st = stat_of(JOB_LINK + (fuse_ino_t)i);
        len += fuse_add_direntry(req, buf + len, sizeof(buf) - len, names[i], &st, i + 1);
    }
    fuse_reply_buf(req, buf, len < size ? len : 0);
}

static const struct fuse_lowlevel_ops ops = {
    .getattr = get_attr, .lookup = look_up, .readlink = read_link, .readdir = read_dir};

int main(int argc, char **argv)
{
    char usual[] = "fsname=/nowhere,subtype=tally,allow_other";
    char *words[] = {argv[0], "-o", argc >= 4 ? argv[3] : usual, NULL};
    struct fuse_args args = FUSE_ARGS_INIT(3, words);
    struct fuse_session *se = argc >= 2 ? fuse_session_new(&args, &ops, sizeof(ops), NULL) : NULL;
    if (se == NULL || fuse_session_mount(se, argv[1]) != 0)
        return 2;
    target = argv[2];
    int r = fuse_session_loop(se);
    fuse_session_unmount(se);
    fuse_session_destroy(se);
    fuse_opt_free_args(&args);
    return r == 0 ? 0 : 1;
}
