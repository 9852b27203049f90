// SPDX-License-Identifier: Apache-2.0
/* remount: a thread that waits in poll(2). */
#include "remount.h"

#include "durability.h"
#include "io.h"
#include "mounts.h"
#include "thread.h"

#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <unistd.h>

struct remount {
    struct fs *fs;
    pthread_t thread;
    FILE *mounts;
    int stop;               /* an eventfd: written to end the thread; -1: there is no thread */
    uint64_t id;            /* of the mount: the first field of its line */
    char dev[32];           /* of the mount; another one may get the id once ours is gone */
    _Atomic unsigned long flags; /* bits of mount(2), as last read */
};

/* ---- looking ---- */

static bool has_word(char *list, const char *word)
{
    return hasmntopt(&(struct mntent){.mnt_opts = list}, word) != NULL;
}

/* The options as bits of mount(2). A mount is read-only if either its own options or those of its
 * superblock say so; access times are an option of the mount alone. */
static unsigned long flags_of(const struct mounts_line *m)
{
    const bool ro = has_word(m->options, "ro") || has_word(m->of_superblock, "ro");
    unsigned long flags = ro ? MS_RDONLY : 0;

    if (has_word(m->options, "nodiratime"))
        flags |= MS_NODIRATIME;
    if (has_word(m->options, "noatime"))
        return flags | MS_NOATIME;
    return has_word(m->options, "relatime") ? flags : flags | MS_STRICTATIME;
}

/* Reads the options of our mount. -ENOENT: it is no longer mounted in this mount namespace. */
static int read_options(struct remount *r, unsigned long *ret)
{
    CLEANUP_FREE char *line = NULL;
    struct mounts_line m;
    size_t room = 0;
    rewind(r->mounts);
    while (getline(&line, &room, r->mounts) >= 0)
        if (mounts_parse(line, &m) && m.id == r->id && strcmp(m.dev, r->dev) == 0) {
            *ret = flags_of(&m);
            return 0;
        }
    return -ENOENT;
}

/* ---- following ---- */

unsigned remount_atime(unsigned long flags)
{
    if ((flags & MS_RDONLY) != 0 || (flags & (MS_NOATIME | MS_STRICTATIME)) == MS_NOATIME)
        return STATE_NOATIME;
    return ((flags & MS_STRICTATIME) != 0 ? STATE_STRICTATIME : 0u) |
           ((flags & MS_NODIRATIME) != 0 ? STATE_NODIRATIME : 0u);
}

const char *remount_text(unsigned long flags)
{
    static const char *const texts[][2][2] = {
        {{"rw,relatime", "rw,relatime,nodiratime"}, {"ro,relatime", "ro,relatime,nodiratime"}},
        {{"rw,noatime", "rw,noatime,nodiratime"}, {"ro,noatime", "ro,noatime,nodiratime"}},
        {{"rw,strictatime", "rw,strictatime,nodiratime"},
         {"ro,strictatime", "ro,strictatime,nodiratime"}},
    };
    const unsigned atime = (flags & MS_STRICTATIME) != 0 ? 2 : (flags & MS_NOATIME) != 0;
    return texts[atime][(flags & MS_RDONLY) != 0][(flags & MS_NODIRATIME) != 0];
}

/* Applies options that have changed. It runs in the thread of this module, which may wait for the
 * flush. */
static void follow(struct remount *r, unsigned long flags)
{
    const unsigned long before = atomic_load(&r->flags);
    if (flags == before)
        return;
    fs_set_atime(r->fs, remount_atime(flags));
    /* A failure is reported by the flush, and the next one tries again. */
    if ((flags & MS_RDONLY) != 0 && (before & MS_RDONLY) == 0)
        (void)flush_now(r->fs->p);
    atomic_store(&r->flags, flags);
}

/* Waits until mountinfo has changed, which poll(2) reports as POLLPRI, or the thread must end. */
static void *remount_main(void *arg)
{
    struct remount *r = arg;
    struct pollfd p[] = {{.fd = fileno(r->mounts), .events = POLLPRI},
                         {.fd = r->stop, .events = POLLIN}};
    unsigned long flags;
    for (;;) {
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            return NULL;
        if ((p[1].revents & POLLIN) != 0)
            return NULL;
        if (read_options(r, &flags) == 0)
            follow(r, flags);
    }
}

/* ---- its life ---- */

static void release(struct remount *r)
{
    if (r->mounts)
        fclose(r->mounts);
    io_cleanup_close(&r->stop);
    free(r);
}

/* Finds our line and starts the thread. -ENOSYS: the line cannot be found here. */
static int begin_remount(struct remount *r)
{
    struct statx st;
    unsigned long flags;
    /* DONT_SYNC: statx must not send the daemon a request, which no thread serves yet. */
    if (statx(AT_FDCWD, r->fs->o->mountpoint, AT_STATX_DONT_SYNC, STATX_MNT_ID, &st) < 0 ||
        (st.stx_mask & STATX_MNT_ID) == 0)
        return -ENOSYS;
    r->id = st.stx_mnt_id;
    snprintf(r->dev, sizeof(r->dev), "%u:%u", st.stx_dev_major, st.stx_dev_minor);
    r->mounts = fopen(MOUNTS_SELF, "re");
    if (!r->mounts || read_options(r, &flags) < 0)
        return -ENOSYS;
    atomic_store(&r->flags, flags);
    if (r->fs->o->shown_elsewhere)
        return 0; /* ours goes soon, and each of the others has options of its own */
    r->stop = eventfd(0, EFD_CLOEXEC);
    if (r->stop < 0)
        return -errno;
    return thread_start(&r->thread, remount_main, r);
}

int remount_start(struct fs *fs, struct remount **ret_r)
{
    struct remount *r = calloc(1, sizeof(*r));
    if (!r)
        return -ENOMEM;
    r->fs = fs;
    r->stop = -1;
    int err = begin_remount(r);
    if (err < 0)
        release(r);
    else
        *ret_r = r;
    return err == -ENOSYS ? 0 : err;
}

void remount_stop(struct remount *r)
{
    const uint64_t one = 1;
    if (!r)
        return;
    if (r->stop >= 0 && write(r->stop, &one, sizeof(one)) == (ssize_t)sizeof(one))
        pthread_join(r->thread, NULL);
    release(r);
}

const char *remount_state(const struct remount *r)
{
    return !r ? "" : remount_text(atomic_load(&r->flags));
}
