// SPDX-License-Identifier: Apache-2.0
#include "mount_ns.h"

#include "clock.h"
#include "io.h"
#include "mountinfo.h"
#include "ns_mount.h"
#include "owner.h"
#include "remount_mount.h"
#include "say.h"
#include "utab.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LOOK_MS 20
#define PATIENCE 60 /* seconds, for a daemon that has the store and is not mounted yet */
#define GONE 50     /* looks: so often a daemon is seen without the mount that it had */
#define TRIES 50    /* of a mount that goes away while it is used */

static void take_a_nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = LOOK_MS * 1000000L}, NULL);
}

/* ---- adding a mount ---- */

/* Prints why the directory cannot be opened that is to be mounted. Returns 1. */
static int fail_open(const struct mount_ns *a, int err)
{
    const char *ns = a->options->ns;
    if (ns && err == -ENOENT) {
        return tally_fail("there is no namespace '%s' in %s: --create makes it, as `mkdir` does in "
                          "a mount of the whole store",
                          ns, a->store);
    }
    if (ns && err == -ENOTDIR) {
        return tally_fail("'%s' is no namespace of %s but a symlink: name the namespace itself", ns,
                          a->store);
    }
    if (err == -EPERM) {
        return tally_fail("%s is mounted in parts only, and this process may not open another one "
                          "(it lacks CAP_DAC_READ_SEARCH): mount the whole first",
                          a->store);
    }
    return tally_fail("cannot open %s%s in %s: %s", ns ? "the namespace " : "the mount",
                      ns ? ns : "", a->store, strerror(-err));
}

/* Clones and attaches the directory `dir`. 0 or -errno. */
static int attach(const struct mount_ns *a, int dir)
{
    CLEANUP_CLOSE int mount = ns_clone(dir);
    int err = mount < 0 ? mount : ns_set_flags(mount, a->options->flags);
    return err < 0 ? err : ns_attach(mount, a->at);
}

static void note(const struct mount_ns *a, const char *source)
{
    char root[NAME_MAX + 2];
    if (!a->options->ns) {
        utab_note(source, a->at);
        return;
    }
    snprintf(root, sizeof(root), "/%s", a->options->ns);
    utab_note_part(source, a->at, root);
}

/* Adds a mount, by way of the mount `m`. -ESTALE: that is gone; else *ret_rc is the exit code. */
static int add_mount(const struct mount_ns *a, const struct tally_mountinfo *m, int *ret_rc)
{
    CLEANUP_CLOSE int root = ns_open_root(m);
    if (root == -ESTALE) {
        return -ESTALE;
    }
    const char *ns = a->options->ns ? a->options->ns : ".";
    CLEANUP_CLOSE int dir = root < 0 ? root : ns_open(root, ns, a->create);
    int err = dir < 0 ? 0 : attach(a, dir);
    if (err == -ESTALE) {
        return err;
    }
    if (dir < 0) {
        *ret_rc = fail_open(a, dir);
    } else if (err < 0) {
        *ret_rc = tally_fail("cannot mount at %s: %s", a->at, strerror(-err));
    } else {
        *ret_rc = 0;
        note(a, m->source);
    }
    return 0;
}

/* ---- a daemon that serves the store ---- */

/* Checks that the daemon has the options of tally that this mount asks for. 0, or 1 after a
 * sentence. */
static int check_options(const struct mount_ns *a, const struct tally_mountinfo *m)
{
    const char *word;
    if (remount_find_changed(m, a->options, &word) < 0) {
        return tally_fail("cannot tell how %s was mounted, to compare options with", m->point);
    }
    return !word ? 0
                 : tally_fail("%s: the daemon that serves %s already was started without it, and "
                              "all mounts of a store share what is an option of tally",
                              word, a->store);
}

bool mount_ns_join(const struct mount_ns *a, int *ret_rc)
{
    struct tally_mountinfo m;
    for (int left = TRIES; left > 0; left--) {
        if (mountinfo_served(a->store, &m) < 0 || mountinfo_is_of_another(&m) ||
            (!a->options->ns && strcmp(m.root, "/") == 0)) {
            return false;
        }
        *ret_rc = check_options(a, &m);
        if (*ret_rc != 0 || add_mount(a, &m, ret_rc) == 0) {
            return true;
        }
        take_a_nap(); /* that mount was gone; its daemon ends, or has another one */
    }
    return false;
}

bool mount_ns_await(const struct mount_ns *a)
{
    const int64_t until = clock_ticks(clock_real()) + PATIENCE * NSEC_PER_SEC;
    struct tally_mountinfo m;
    struct owner o;
    int gone = 0;
    while (clock_ticks(clock_real()) < until) {
        /* In this order: what it has mounted when asked can be seen afterwards. */
        const bool owned = owner_read(a->store, &o) && strcmp(o.what, "mount") == 0;
        const bool elsewhere = owned && mountinfo_process_has(o.pid, a->store) != 0;
        /* A daemon that begins opens its connection and mounts at once. */
        gone = owned && !elsewhere && owner_has_served(o.pid) ? gone + 1 : 0;
        if (mountinfo_served(a->store, &m) == 0) {
            return !mountinfo_is_of_another(&m);
        }
        if (!owned || elsewhere || gone > GONE) {
            return false;
        }
        take_a_nap();
    }
    return false;
}

/* ---- a daemon that begins ---- */

int mount_ns_hide(char place[MOUNT_NS_PLACE])
{
    static const char *const in[] = {"/run", "/tmp"};
    for (size_t i = 0; i < sizeof(in) / sizeof(in[0]); i++) {
        snprintf(place, MOUNT_NS_PLACE, "%s/tallyfs-XXXXXX", in[i]);
        if (mkdtemp(place)) {
            return 0;
        }
    }
    *place = '\0';
    return -errno;
}

void mount_ns_unhide(const char *place)
{
    (void)umount2(place, MNT_DETACH | UMOUNT_NOFOLLOW); /* it may be gone already */
    (void)rmdir(place);
}

/* Mounts the namespace of the store that is mounted at the place. Returns the exit code. */
static int show(const struct mount_ns *a, const char *place)
{
    struct tally_mountinfo m;
    int rc = 1, err = mountinfo_at(place, &m);
    if (err == 0) {
        err = add_mount(a, &m, &rc);
    }
    return err < 0 ? tally_fail("the mount at %s is gone: %s", place, strerror(-err)) : rc;
}

/* The process: waits for the daemon, and does its work. */
static _Noreturn void wait_and_show(const struct mount_ns *a, const char *place, int ready,
                                    int result)
{
    char byte = MOUNT_NS_SAID;
    ssize_t n;
    if (!a->in_group) {
        setsid();
    }
    do {
        n = read(ready, &byte, 1);
    } while (n < 0 && errno == EINTR);
    if (n == 1) {
        byte = show(a, place) == 0 ? MOUNT_NS_SHOWN : MOUNT_NS_SAID;
    }
    mount_ns_unhide(place);
    if (n == 1) {
        (void)!write(result, &byte, 1);
    }
    _exit(0);
}

int mount_ns_start(const struct mount_ns *a, const char *place, int result, int *ret_ready)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0) {
        return -errno;
    }
    fflush(NULL);
    const pid_t child = fork(); /* it forks again, so that nobody has to wait for the process */
    int err = child < 0 ? -errno : 0;
    if (child == 0) {
        close(fds[1]);
        const pid_t process = fork();
        if (process == 0) {
            wait_and_show(a, place, fds[0], result);
        }
        _exit(process < 0);
    }
    close(fds[0]);
    int status = 0;
    if (child > 0 && (waitpid(child, &status, 0) < 0 || status != 0)) {
        err = -EAGAIN;
    }
    if (err < 0) {
        close(fds[1]);
        return err;
    }
    *ret_ready = fds[1];
    return 0;
}
