// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_umount: drain, unmount, and wait until the daemon is gone: then all is on disk.
 *
 * The kernel does not wait for a FUSE daemon (umount(2) comes back while it still writes), hence
 * the pidfd, opened before the unmount so that the number cannot mean somebody else.
 * A bind mount, of the whole or of a part, is just unmounted as long as another one is left.
 * umount(8) calls the same as `umount.fuse.tally DIR [-nlfvr] [-t type] [-N ns]`.
 */
#include "tally.h"

#include "client.h"
#include "io.h"
#include "mountinfo.h"
#include "owner.h"
#include "utab.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <unistd.h>

#define DRAIN_WHY 1024

struct umounting {
    struct tally_mountinfo m;
    bool force, lazy;
    bool dead;   /* whoever has something open there gets nothing of it any more */
    bool helper; /* umount(8) called us */
    int pidfd;   /* of the daemon, -1: not known */
};

/* The reply's sentence says what is still pending; on a terminal it is shown every second. */
static int drain(struct client *c, char why[DRAIN_WHY])
{
    const char *command = isatty(STDERR_FILENO) ? "drain 1s" : "drain";
    for (;;) {
        struct reply reply = REPLY_INIT;
        int err = client_run(c, command, &reply);
        snprintf(why, DRAIN_WHY, "%s", reply.head.s);
        reply_release(&reply);
        if (err != -ETIMEDOUT) {
            tally_progress("%s", "");
            return err;
        }
        tally_progress("draining: %s", why);
    }
}

static int open_daemon(const char *mnt)
{
    json_t *stats = client_load_stats(mnt);
    json_int_t pid = json_integer_value(json_object_get(stats, "pid"));
    json_decref(stats);
    return pid > 0 && pid <= INT32_MAX ? pidfd_open((pid_t)pid, 0) : -1;
}

/* Where root does not look into a user's mount, the store's lock file tells. It is that user's
 * word, so only a process of that user is waited for. */
static int open_daemon_of_store(const char *store)
{
    char proc[32];
    struct stat process;
    struct owner o;
    if (!owner_read(store, &o) || (strcmp(o.what, "mount") && strcmp(o.what, "ending"))) {
        return -1;
    }
    int fd = pidfd_open(o.pid, 0);
    snprintf(proc, sizeof(proc), "/proc/%d", o.pid);
    if (fd >= 0 && (stat(proc, &process) < 0 || o.uid != process.st_uid)) {
        io_cleanup_close(&fd);
        fd = -1;
    }
    return fd;
}

/* Does root take away a user's mount? Mostly the kernel lets not even root in; and whoever answers
 * there may let root wait for good. So it is asked nothing: its daemon drains when it is
 * unmounted. */
static bool is_of_another(const struct umounting *u)
{
    return geteuid() == 0 && u->m.user != 0;
}

/* 0: drained or nobody there to drain. 1: told why not. */
static int prepare(struct umounting *u)
{
    struct client c;
    char why[DRAIN_WHY];
    if (is_of_another(u)) {
        u->pidfd = open_daemon_of_store(u->m.source);
        return 0;
    }
    int err = client_open(u->m.point, &c);
    if (err == -ENOTCONN || err == -ECONNABORTED) {
        tally_warn("the daemon of %s is gone; the next mount of %s goes on from its log",
                   u->m.point, u->m.source);
        u->dead = true;
        return 0;
    }
    if (err == -EROFS) { /* mounted ro: takes no command; the daemon drains when it is unmounted */
        u->pidfd = open_daemon(u->m.point);
        return 0;
    }
    if (err < 0) {
        if (u->force) {
            return 0;
        }
        return tally_fail("cannot drain: %s/.tally/control: %s", u->m.point, strerror(-err));
    }
    u->pidfd = open_daemon(u->m.point);
    err = drain(&c, why);
    client_close(&c);
    if (err == 0) {
        return 0;
    }
    if (u->force) {
        tally_warn("not everything is on disk: %s", why);
        return 0;
    }
    return tally_fail("%s is still mounted, since not everything is on disk: %s (--force unmounts "
                      "it nevertheless)",
                      u->m.point, why);
}

/* umount(8) also forgets what mount(8) noted (see utab.h); -i keeps it from calling us. Who
 * mounted without being root unmounts through fusermount3. Exit code, or -errno. */
static int unmount_by_program(struct umounting *u)
{
    bool lazy = u->lazy || u->dead;
    char *root[] = {"umount", lazy ? "-il" : "-i", "--", u->m.point, NULL};
    char *user[] = {"fusermount3", lazy ? "-uz" : "-u", "--", u->m.point, NULL};
    return tally_run(geteuid() == 0 ? root : user);
}

/* Never MNT_FORCE: for FUSE it cuts the daemon off even where the unmount then fails as busy. */
static int unmount(struct umounting *u)
{
    int flags = (u->lazy || u->dead ? MNT_DETACH : 0) | UMOUNT_NOFOLLOW;
    bool direct = u->helper || u->lazy || u->force;
    if ((!direct || geteuid() != 0) && unmount_by_program(u) == 0) {
        return 0;
    }
    int err = umount2(u->m.point, flags) < 0 ? -errno : 0;
    if (err == -EBUSY) {
        return tally_fail("%s is busy: a process has something open there, or is in it (fuser -vm "
                          "%s shows which); nothing is lost and it stays mounted (--lazy takes it "
                          "away now and ends it with its last user)",
                          u->m.point, u->m.point);
    }
    if (err < 0) {
        return tally_fail("cannot unmount %s: %s", u->m.point, strerror(-err));
    }
    utab_clean(u->m.source);
    return 0;
}

#define ASTONISHING 10 /* seconds after which waiting needs a reason */
#define PATIENCE 60    /* seconds that root waits for a user's process, which need not end */

/* Only the process's end says that its last write is done. */
static int await_daemon(const struct umounting *u)
{
    struct pollfd p = {.fd = u->pidfd, .events = POLLIN};
    for (int seconds = 0;; seconds++) {
        int n = poll(&p, 1, 1000);
        if (n < 0 && errno != EINTR) {
            return tally_fail("cannot wait for the daemon: %m");
        }
        if (n > 0) {
            tally_progress("%s", "");
            return 0;
        }
        if (seconds == PATIENCE && is_of_another(u)) {
            tally_warn("%s is unmounted, but the daemon of user %u did not end", u->m.point,
                       (unsigned)u->m.user);
            return 0;
        }
        if (seconds == ASTONISHING) {
            tally_progress("%s", "");
            tally_warn(
                "%s is unmounted here, but its daemon goes on: it writes much, or a container "
                "or another mount namespace has it mounted, too; waiting for it to end",
                u->m.point);
        }
        tally_progress("unmounted; the daemon is writing the rest, %d s", seconds + 1);
    }
}

/* One of several mounts of it, as by `mount --bind`: nothing ends with it, so nothing is drained.
 * The last one of a part has no control file: its daemon drains when it is unmounted. */
static bool is_extra(struct umounting *u)
{
    struct statx st;
    if (strcmp(u->m.root, "/") == 0 && mountinfo_count(u->m.dev, true) == 1) {
        return false;
    }
    u->dead = statx(AT_FDCWD, u->m.point, 0, STATX_MODE, &st) < 0 &&
              (errno == ENOTCONN || errno == ECONNABORTED);
    if (mountinfo_count(u->m.dev, false) == 1 && !u->dead) {
        u->pidfd = open_daemon_of_store(u->m.source);
    }
    return true;
}

static int run_umount_at(struct umounting *u)
{
    int rc = is_extra(u) ? 0 : prepare(u);
    if (rc == 0) {
        rc = unmount(u);
    }
    if (rc == 0 && u->pidfd >= 0 && !u->lazy && mountinfo_count(u->m.dev, false) == 0) {
        rc = await_daemon(u);
    }
    io_cleanup_close(&u->pidfd);
    return rc;
}

/* The mount point is wanted; a place inside is what people are at. */
static int no_mount_point(const char *path, int err)
{
    struct tally_mountinfo m;
    if (err != -ENOENT) {
        return tally_fail("%s: %s", path, strerror(-err));
    }
    if (mountinfo_of(path, &m) == 0) {
        return tally_fail("%s lies in the tally mount %s and is no mount point itself: from "
                          "outside, `tally umount %s` unmounts it",
                          path, m.point, m.point);
    }
    return tally_fail("%s is not a tally mount", path);
}

static int run_umount(int argc, char **argv)
{
    static const struct option options[] = {
        {"force", no_argument, NULL, 'f'}, {"lazy", no_argument, NULL, 'l'}, {NULL, 0, NULL, 0}};
    struct umounting u = {.pidfd = -1, .helper = strcmp(argv[0], "umount") != 0};
    int o;
    while ((o = tally_getopt(argc, argv, u.helper ? "nlfvrt:N:" : "lf", options)) >= 0) {
        if (o == '?') {
            return tally_misuse(&verb_umount);
        }
        u.force |= o == 'f';
        u.lazy |= o == 'l';
    }
    if (argc - optind != 1) {
        return tally_misuse(&verb_umount);
    }
    int err = mountinfo_at(argv[optind], &u.m);
    if (err < 0) {
        return no_mount_point(argv[optind], err);
    }
    return run_umount_at(&u);
}

const struct verb verb_umount = {
    "umount", run_umount, "[-f] [-l] MNT", "make everything durable, then unmount",
    "  -f, --force  also when not everything could be made durable: that is lost\n"
    "  -l, --lazy   also when busy: it disappears now and ends with its last user\n"};
