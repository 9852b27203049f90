// SPDX-License-Identifier: Apache-2.0
/*
 * owner: looked at every 20 ms. A daemon says in the lock file that it is ending once it knows;
 * before that, its own list of mounts shows that nothing leads to it any more.
 */
#include "owner.h"

#include "clock.h"
#include "io.h"
#include "mountinfo.h"
#include "tally.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOOK_MS 20

enum end {
    STAYS, /* it is mounted, or is no mount, or nobody can tell */
    ENDS,  /* it says so */
    LOOSE, /* nothing is mounted, but it does not say so: just now, or lazily and in use */
};

/* The store may be anybody's: nothing is followed, and nothing waits. */
static FILE *open_lock(const char *store, uid_t *ret_uid)
{
    char path[PATH_MAX + 8];
    struct stat st;
    snprintf(path, sizeof(path), "%s/lock", store);
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    FILE *f = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? fdopen(fd, "r") : NULL;
    if (!f) {
        io_cleanup_close(&fd);
        return NULL;
    }
    *ret_uid = st.st_uid;
    return f;
}

bool owner_read(const char *store, struct owner *ret)
{
    FILE *f = open_lock(store, &ret->uid);
    ret->at[0] = '\0';
    ret->pid = 0;
    bool told =
        f && fscanf(f, "pid=%d what=%31s at=%4095[^\n]", &ret->pid, ret->what, ret->at) >= 2;
    if (f) {
        fclose(f);
    }
    return told && ret->pid > 0 && (kill(ret->pid, 0) == 0 || errno == EPERM);
}

/* Of who has it, or had it a moment ago. */
static enum end end_of(const char *store, struct owner *ret)
{
    if (!owner_read(store, ret)) {
        return ret->pid == 0 ? LOOSE : STAYS; /* the line goes just before the lock does */
    }
    if (strcmp(ret->what, "ending") == 0) {
        return ENDS;
    }
    return strcmp(ret->what, "mount") == 0 && mountinfo_process_has(ret->pid, store) == 0 ? LOOSE
                                                                                          : STAYS;
}

/* ---- waiting ---- */

struct wait {
    int64_t begun, loose; /* ns; when it was first seen to be loose, 0: it is not */
    bool said;
};

/* Some more of it; false: it is over, since `end` does not end, or not in time. */
static bool go_on(struct wait *w, const char *store, enum end end, const struct owner *o)
{
    const struct timespec nap = {.tv_nsec = LOOK_MS * 1000000L};
    const int64_t now = clock_ticks(clock_real());
    w->begun = w->begun ? w->begun : now;
    w->loose = end != LOOSE ? 0 : w->loose ? w->loose : now;
    if (end == STAYS || now - w->begun > OWNER_PATIENCE * NSEC_PER_SEC ||
        (w->loose && now - w->loose > OWNER_PATIENCE_LAZY * NSEC_PER_SEC)) {
        return false;
    }
    if (!w->said && o->pid > 0 && now - w->begun > NSEC_PER_SEC) {
        w->said = true;
        tally_warn("waiting for process %d, which had %s mounted at %s, to end", o->pid, store,
                   o->at);
    }
    nanosleep(&nap, NULL);
    return true;
}

bool owner_is_ending(const char *store)
{
    struct owner o;
    return end_of(store, &o) == ENDS;
}

int owner_open(const char *path, unsigned flags, const char *at, struct store *ret,
               char why[STORE_WHY])
{
    struct wait w = {0};
    struct owner o;
    for (;;) {
        /* Looked at before: who ends in between leaves the store free. */
        const enum end end = end_of(path, &o);
        int err = store_open(path, flags, "mount", at, ret, why);
        if (err != -EBUSY || !go_on(&w, path, end, &o)) {
            return err;
        }
    }
}

int owner_await_unmount(const char *point)
{
    struct tally_mountinfo m;
    struct wait w = {0};
    struct owner o;
    while (mountinfo_at(point, &m) == 0) {
        if (!go_on(&w, m.source, end_of(m.source, &o) == ENDS ? ENDS : STAYS, &o)) {
            return -EBUSY;
        }
    }
    return 0;
}
