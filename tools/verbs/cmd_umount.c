// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_umount: drains, unmounts, and waits until the daemon has ended: then everything is on disk,
 * or the log in the store shows that it is not.
 *
 * The kernel does not wait for a FUSE daemon: umount(2) returns while the daemon still writes. So
 * this waits for a pidfd of the daemon. It is opened before the unmount, so that the process id
 * cannot be that of another process by then. A bind mount, of the whole or of a part, is only
 * unmounted as long as another mount of the whole is left. umount(8) calls the same program as
 * `umount.fuse.tally DIR [-nlfvr] [-t type] [-N ns]`.
 */
#include "client.h"
#include "io.h"
#include "mountinfo.h"
#include "owner.h"
#include "run.h"
#include "say.h"
#include "store_dir.h"
#include "utab.h"
#include "verbs.h"
#include "walk.h"

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

#define DRAIN_WHY 1024 /* bytes of a sentence */

struct umounting {
    struct tally_mountinfo m;
    bool force, lazy;
    bool dead;      /* the daemon is gone: files that are open there are lost to their programs */
    int pid, pidfd; /* of the daemon; -1: unknown */
};

/* Drains. On a terminal the sentence of the reply, which says what is still pending, is shown every
 * second. 0, or -errno with `why`. */
static int drain(int fd, char why[DRAIN_WHY])
{
    const bool shows = isatty(STDERR_FILENO);
    for (;;) {
        struct reply reply = REPLY_INIT;
        int err = shows ? client_run(fd, "drain 1s", &reply) : client_wait(fd, "drain", &reply);
        snprintf(why, DRAIN_WHY, "%s", reply.head.s);
        reply_release(&reply);
        if (err != -ETIMEDOUT &&
            err != -EINTR) { /* interrupted: by what did not end this program */
            tally_progress("%s", "");
            return err;
        }
        tally_progress("draining: %s", why);
    }
}

#define ARCHIVES_WAIT "drain archive 5s" /* an archive that answers has the last changes by then */

/* Says of one archive, of which this is a line of `durable`, what it lacks. */
static void tell_lack(char *line, unsigned long long last)
{
    const char *url = strstr(line, " url="), *seq = strstr(line, " seq=");
    if (!url || !seq || !strstr(line, " behind=1")) {
        return;
    }
    const unsigned long long has = strtoull(seq + strlen(" seq="), NULL, 10);
    url += strlen(" url=");
    tally_warn("%llu changes are not in the archive %.*s; the next mount tries to ship them",
               last > has ? last - has : 1, (int)strcspn(url, " "), url);
}

/* Waits a moment for the archives of the store, and says what they lack. That is no error: nothing
 * is lost here. */
static void tell_archives(int fd)
{
    struct reply drained = REPLY_INIT, reply = REPLY_INIT;
    const int err = client_run(fd, ARCHIVES_WAIT, &drained);
    reply_release(&drained);
    if (err == 0 || err == -ENOENT || client_run(fd, "durable", &reply) < 0) {
        reply_release(&reply);
        return;
    }
    const char *seq = reply.head.s ? strstr(reply.head.s, "seq=") : NULL;
    const unsigned long long last = seq ? strtoull(seq + strlen("seq="), NULL, 10) : 0;
    char *rest = NULL;
    for (char *line = strtok_r(reply.body.s, "\n", &rest); line;
         line = strtok_r(NULL, "\n", &rest)) {
        tell_lack(line, last);
    }
    reply_release(&reply);
}

/* Opens a pidfd of the process with that number, if it serves the mount. */
static void open_process(struct umounting *u, int pid)
{
    u->pid = pid;
    u->pidfd = pid > 0 ? pidfd_open(pid, 0) : -1;
    if (u->pidfd >= 0 && !owner_serves(pid, &u->m)) {
        close(u->pidfd);
        u->pidfd = -1;
    }
}

/* Opens a pidfd of the daemon, whose process id the mount itself shows. */
static void open_daemon(struct umounting *u)
{
    json_t *stats = client_load_stats(u->m.point);
    json_int_t pid = json_integer_value(json_object_get(stats, "pid"));
    json_decref(stats);
    open_process(u, pid > 0 && pid <= INT32_MAX ? (int)pid : -1);
}

/* The same by the lock file of the store, for a mount of a user that root must not look into. The
 * lock file is the word of that user, so only a process of that user is waited for. */
static void open_daemon_of_store(struct umounting *u)
{
    char proc[32];
    struct stat process;
    struct owner o;
    if (!owner_of_mount(&u->m, &o) || (strcmp(o.what, "mount") && strcmp(o.what, "ending"))) {
        return;
    }
    open_process(u, o.pid);
    snprintf(proc, sizeof(proc), "/proc/%d", o.pid);
    if (u->pidfd >= 0 && (stat(proc, &process) < 0 || o.uid != process.st_uid)) {
        io_cleanup_close(&u->pidfd);
        u->pidfd = -1;
    }
}

/* Drains before the unmount. 0: it is drained, or there is nothing to drain. 1: it is not, after a
 * sentence. */
static int prepare(struct umounting *u)
{
    char why[DRAIN_WHY];
    if (mountinfo_is_of_another(&u->m)) { /* the daemon drains after the unmount */
        open_daemon_of_store(u);
        return 0;
    }
    const int fd = client_open(u->m.point);
    if (fd == -ENOTCONN || fd == -ECONNABORTED) {
        tally_warn("the daemon of %s is gone; the next mount of %s goes on from its log",
                   u->m.point, u->m.source);
        u->dead = true;
        return 0;
    }
    if (fd == -EROFS) { /* mounted ro: it takes no command, and drains after the unmount */
        open_daemon(u);
        return 0;
    }
    if (fd < 0 && mountinfo_is_ns(&u->m)) { /* a namespace without a door: it drains afterwards */
        open_daemon_of_store(u);
        return 0;
    }
    if (fd < 0) {
        if (u->force) {
            return 0;
        }
        return tally_fail("cannot drain: %s/.tally/control: %s", u->m.point, strerror(-fd));
    }
    open_daemon(u);
    int err = drain(fd, why);
    if (err == 0) {
        tell_archives(fd);
    }
    close(fd);
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

/* Unmounts. MNT_FORCE is never used: for FUSE it breaks the connection to the daemon, even if the
 * unmount then fails because the mount is busy. Returns the exit code. */
static int unmount(struct umounting *u)
{
    const bool lazy = u->lazy || u->dead;
    char *by_user[] = {"fusermount3", lazy ? "-uz" : "-u", "--", u->m.point, NULL};
    if (geteuid() != 0 && tally_run(by_user) == 0) {
        return 0;
    }
    int err = mountinfo_unmount(&u->m, lazy ? MNT_DETACH : 0);
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

#define ASTONISHING 10 /* seconds of waiting until a sentence explains it */
#define AGAIN 120      /* seconds until the sentence is said again */
#define PATIENCE 60    /* seconds that root waits for the process of a user, which need not end */

/* Has the daemon closed the store, although it cannot end? A shard that never answers may keep one
 * of its threads in the kernel, and no signal ends that. Prints so. */
static bool has_closed(const struct umounting *u)
{
    struct owner o;
    if (!owner_has_closed(&u->m, u->pid, &o)) {
        return false;
    }
    tally_progress("%s", "");
    tally_warn("%s is unmounted and its store is closed; the shard %.700s did not answer, which "
               "may keep process %d until it does",
               u->m.point, o.at, u->pid);
    return true;
}

/* Looks how the daemon has ended, of which a pidfd says nothing. Returns the exit code. */
static int has_ended(const struct umounting *u)
{
    if (!owner_left_log(&u->m, u->pid)) {
        return 0;
    }
    tally_warn("%s is unmounted, but its daemon did not write everything: the rest is in the log "
               "of %s at most, from which the next mount goes on",
               u->m.point, u->m.source);
    return u->force ? 0 : 1;
}

/* The daemon cannot be seen, as from outside of its container, or may not be looked at. Without
 * --force, what a mount that takes commands had before the unmount is drained. Returns the exit
 * code. */
static int cannot_wait(const struct umounting *u)
{
    tally_warn("%s is unmounted; its daemon cannot be seen from here, so it may still be writing",
               u->m.point);
    return 0;
}

/* Says why the daemon goes on. */
static void tell_holder(const struct umounting *u)
{
    char name[32];
    const int pid = mountinfo_find_process(u->m.dev, u->pid, name);
    tally_progress("%s", "");
    if (pid > 0) {
        tally_warn("%s is unmounted here, but process %d (%s) has it mounted in another mount "
                   "namespace, as a container does; waiting until nobody has",
                   u->m.point, pid, *name ? name : "which has ended");
    } else {
        tally_warn("%s is unmounted here, but its daemon goes on: it writes much, or somebody who "
                   "cannot be seen from here has it mounted; waiting for it to end",
                   u->m.point);
    }
}

/* Waits for the daemon. Only the end of the process, or its last word in the lock file, proves that
 * its last write is done. Returns the exit code. */
static int await_daemon(const struct umounting *u)
{
    struct pollfd p = {.fd = u->pidfd, .events = POLLIN};
    for (int seconds = 0;; seconds++) {
        int n = poll(&p, 1, 1000);
        if (n < 0 && errno != EINTR) {
            return tally_fail("cannot wait for the daemon: %m");
        }
        if (has_closed(u) || n > 0) {
            tally_progress("%s", "");
            return has_ended(u);
        }
        if (seconds == PATIENCE && mountinfo_is_of_another(&u->m)) {
            tally_warn("%s is unmounted, but the daemon of user %u did not end", u->m.point,
                       (unsigned)u->m.user);
            return 0;
        }
        if (seconds % AGAIN == ASTONISHING) {
            tell_holder(u);
        }
        tally_progress("unmounted; the daemon is writing the rest, %d s", seconds + 1);
    }
}

/* Is it one of several mounts of the store, as by `mount --bind`? Then the daemon does not end with
 * it, and nothing is drained. But where the whole is not mounted, a mount of a namespace is drained
 * as that of the whole is: to its users it is all of the filesystem. The last mount may be one of a
 * part, without a control file: its daemon drains after the unmount. */
static bool is_extra(struct umounting *u)
{
    struct statx st;
    const bool whole = strcmp(u->m.root, "/") == 0;
    if ((whole || mountinfo_is_ns(&u->m)) && mountinfo_count(u->m.dev, true) == whole) {
        return false;
    }
    u->dead = !mountinfo_is_of_another(&u->m) &&
              statx(AT_FDCWD, u->m.point, 0, STATX_MODE, &st) < 0 &&
              (errno == ENOTCONN || errno == ECONNABORTED);
    if (mountinfo_count(u->m.dev, false) == 1 && !u->dead) {
        open_daemon_of_store(u);
    }
    return true;
}

static int run_umount_at(struct umounting *u)
{
    int rc = is_extra(u) ? 0 : prepare(u);
    if (rc == 0) {
        rc = unmount(u);
    }
    if (rc == 0 && !u->dead && !u->lazy && mountinfo_count(u->m.dev, false) == 0) {
        rc = u->pidfd >= 0 ? await_daemon(u) : cannot_wait(u);
    }
    io_cleanup_close(&u->pidfd);
    return rc;
}

/* Is the path a store? It is opened without a request to the daemon of another user, wherever the
 * path may lead meanwhile. ret->pid is 0 if the store is not mounted. */
static bool is_store(const char *path, struct owner *ret)
{
    char same[32];
    int fd = walk_to(path, true);
    snprintf(same, sizeof(same), "/proc/self/fd/%d", fd);
    const bool is = fd >= 0 && mountinfo_may_ask(fd) && store_exists(same);
    if (is && !(owner_read(same, ret) && strcmp(ret->what, "mount") == 0)) {
        ret->pid = 0;
    }
    io_cleanup_close(&fd);
    return is;
}

/* Explains why the path is no mount point: people often give a path in the mount, or the store.
 * Returns 1. */
static int no_mount_point(const char *path, int err)
{
    struct tally_mountinfo m;
    struct owner o;
    if (err != -ENOENT) {
        return tally_fail("%s: %s", path, strerror(-err));
    }
    if (mountinfo_of(path, &m) == 0) {
        return tally_fail("%s lies in the tally mount %s and is no mount point itself: from "
                          "outside, `tally umount %s` unmounts it",
                          path, m.point, m.point);
    }
    if (!is_store(path, &o)) {
        return tally_fail("%s is not a tally mount", path);
    }
    if (o.pid == 0) {
        return tally_fail("%s is a store, and it is not mounted", path);
    }
    /* The first mount of several may be gone, and the lock file still names it. */
    return tally_fail("%s is a store, and not where it is mounted: `tally umount %s`", path,
                      mountinfo_served(path, &m) == 0 ? m.point : o.at);
}

int cmd_umount_run(int argc, char **argv)
{
    static const struct option options[] = {
        {"force", no_argument, NULL, 'f'}, {"lazy", no_argument, NULL, 'l'}, {NULL, 0, NULL, 0}};
    struct umounting u = {.pid = -1, .pidfd = -1};
    const bool helper = strcmp(argv[0], "umount") != 0; /* umount(8) called this program */
    int o;
    while ((o = tally_getopt(argc, argv, helper ? "nlfvrt:N:" : "lf", options)) >= 0) {
        if (o == '?') {
            return verbs_misuse();
        }
        if (o == 'N' && tally_enter_mounts(optarg) < 0) {
            return tally_fail("cannot enter the mount namespace %s: %m", optarg);
        }
        u.force |= o == 'f';
        u.lazy |= o == 'l';
    }
    if (argc - optind != 1) {
        return verbs_misuse();
    }
    int err = mountinfo_at(argv[optind], &u.m);
    if (err < 0) {
        return no_mount_point(argv[optind], err);
    }
    return run_umount_at(&u);
}
