// SPDX-License-Identifier: Apache-2.0
/*
 * remount_mount: the kernel remounts and sends the daemon no request. The daemon sees the change a
 * moment later in its list of mounts (fs/remount.h), and this command waits for that. The daemon
 * gets options of tally only when it starts. They may be given here, since mount(8) adds those of
 * the fstab, but they must be the same.
 */
#include "remount_mount.h"

#include "client.h"
#include "io.h"
#include "mountinfo.h"
#include "owner.h"
#include "remount.h"
#include "say.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <mntent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SEEN_MS 2000 /* the longest wait until the daemon has seen the change */
#define LOOK_MS 10
#define CMDLINE_MAX (128 * 1024) /* bytes of the daemon's command line */

/* ---- options that cannot change ---- */

/* Was the daemon started with that option? Each of its arguments is searched as a list. */
static bool was_given(char *args, size_t args_len, const char *word)
{
    for (char *arg = args; arg < args + args_len; arg += strlen(arg) + 1) {
        const struct mntent list = {.mnt_opts = strncmp(arg, "-o", 2) == 0 ? arg + 2 : arg};
        if (hasmntopt(&list, word)) {
            return true;
        }
    }
    return false;
}

/* The process that serves the mount, as the mount itself says; or the owner of the store, where the
 * mount says nothing to this process. 0: unknown. */
static int daemon_of(const struct tally_mountinfo *m)
{
    struct owner o;
    json_t *stats = mountinfo_is_of_another(m) ? NULL : client_load_stats(m->point);
    const json_int_t pid = json_integer_value(json_object_get(stats, "pid"));
    json_decref(stats);
    if (pid > 0 && pid <= INT32_MAX) {
        return (int)pid;
    }
    return owner_of_mount(m, &o) && owner_serves(o.pid, m) ? o.pid : 0;
}

int remount_find_changed(const struct tally_mountinfo *m, const struct mount_options *o,
                         const char **ret)
{
    char path[32];
    CLEANUP_FREE char *args = NULL;
    size_t len = 0;
    *ret = NULL;
    if (o->fixed.len == 0) {
        return 0;
    }
    const int pid = daemon_of(m);
    snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
    int err = pid == 0 ? -ESRCH : io_read_file(AT_FDCWD, path, CMDLINE_MAX, &args, &len);
    const char *end = o->fixed.s + o->fixed.len;
    for (const char *word = o->fixed.s; err == 0 && word < end; word += strlen(word) + 1) {
        if (!was_given(args, len, word)) {
            *ret = word;
            return 0;
        }
    }
    return err;
}

/* Checks that no option of tally changes. 0, or 1 after a sentence. */
static int check_fixed(const struct tally_mountinfo *m, const struct mount_options *o)
{
    const char *word;
    if (remount_find_changed(m, o, &word) < 0) {
        return tally_fail("cannot tell how %s was mounted, to compare options with", m->point);
    }
    return !word ? 0
                 : tally_fail("%s: only ro, rw and the options that mount(8) knows for all "
                              "filesystems can be changed while it is mounted: unmount it, then "
                              "mount it with others",
                              word);
}

/* ---- options that can change ---- */

/* Makes everything durable before the mount becomes read-only, as other filesystems do. 0, or 1
 * after a sentence. */
static int drain(const struct tally_mountinfo *m)
{
    struct reply reply = REPLY_INIT;
    if (mountinfo_is_of_another(m)) {
        return tally_fail("%s stays as it is: user %u mounted it, and root asks nothing of it, so "
                          "it cannot be drained; unmount it",
                          m->point, (unsigned)m->user);
    }
    const int fd = client_open(m->point);
    if (fd == -EROFS) {
        return 0; /* it is read-only already */
    }
    if (fd < 0) {
        return tally_fail("cannot drain: %s/.tally/control: %s", m->point, strerror(-fd));
    }
    int err = client_wait(fd, "drain", &reply);
    close(fd);
    int rc = err < 0 ? tally_fail("%s stays as it is, since not everything is on disk: %s",
                                  m->point, reply.head.s)
                     : 0;
    reply_release(&reply);
    return rc;
}

/* Does the daemon show these options? True, too, if it cannot show any. */
static bool is_seen(const struct tally_mountinfo *m, const char *expected)
{
    json_t *stats = client_load_stats(m->point);
    const char *mounted = json_string_value(json_object_get(stats, "mounted"));
    bool seen = !mounted || !*mounted || strcmp(mounted, expected) == 0;
    json_decref(stats);
    return seen;
}

static void await_daemon(const struct tally_mountinfo *m, unsigned long flags)
{
    const struct timespec nap = {.tv_nsec = LOOK_MS * 1000000L};
    for (int left = SEEN_MS / LOOK_MS; left > 0 && !is_seen(m, remount_text(flags)); left--) {
        nanosleep(&nap, NULL);
    }
}

/* The flags for mount(2). A mount that an ordinary user serves stays nosuid and nodev, whatever the
 * options say: those of root begin with suid and dev. */
static unsigned long flags_for(const struct tally_mountinfo *m, const struct mount_options *o)
{
    return o->flags | (m->user != 0 ? MS_NOSUID | MS_NODEV : 0ul);
}

/* Remounts. The owner of a directory above may have put a mount of his own there meanwhile, which
 * would lose nosuid. So it is looked at and changed by one descriptor. -ESTALE: another mount is
 * there. */
static int remount_it(const struct tally_mountinfo *m, unsigned long flags)
{
    struct statx st;
    char dev[32], path[32];
    int fd = open(m->point, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    /* Only the device: root gets nothing else from the mount of a user. */
    int err = statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, 0, &st) < 0 ? -errno : 0;
    if (err == 0) {
        snprintf(dev, sizeof(dev), "%u:%u", st.stx_dev_major, st.stx_dev_minor);
        err = strcmp(dev, m->dev) == 0 ? 0 : -ESTALE;
    }
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    /* A namespace that is mounted alone has flags of its own. */
    if (mountinfo_is_ns(m)) {
        flags |= MS_BIND;
    }
    if (err == 0 && mount("none", path, NULL, MS_REMOUNT | flags, NULL) < 0) {
        err = -errno;
    }
    close(fd);
    return err;
}

int remount(const char *mnt, const struct mount_options *o)
{
    struct tally_mountinfo m;
    int err = mountinfo_at(mnt, &m);
    if (err < 0) {
        return err == -ENOENT ? tally_fail("%s is not a tally mount", mnt)
                              : tally_fail("%s: %s", mnt, strerror(-err));
    }
    const bool whole = strcmp(m.root, "/") == 0;
    int rc = whole ? check_fixed(&m, o) : 0;
    if (rc == 0 && whole && (o->flags & MS_RDONLY)) {
        rc = drain(&m);
    }
    if (rc != 0) {
        return rc;
    }
    err = remount_it(&m, flags_for(&m, o));
    if (err < 0) {
        return err == -EBUSY ? tally_fail("%s is busy: files are open for writing (fuser -vm %s "
                                          "shows whose); it stays as it is",
                                          m.point, m.point)
                             : tally_fail("cannot remount %s: %s", m.point, strerror(-err));
    }
    if (whole && !mountinfo_is_of_another(&m)) {
        await_daemon(&m, o->flags);
    }
    return 0;
}
