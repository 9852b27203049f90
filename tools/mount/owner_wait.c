// SPDX-License-Identifier: Apache-2.0
/*
 * owner_wait: looks every 20 ms. A daemon writes into the lock file that it is ending as soon as it
 * knows. Before that, its own list of mounts shows that no mount leads to it any more.
 */
#include "owner_wait.h"

#include "clock.h"
#include "mountinfo.h"
#include "owner.h"
#include "say.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define LOOK_MS 20
#define SIGNAL_MS 500 /* a daemon that was told to end says so in this time */

enum end {
    STAYS, /* it is mounted, or is no mount, or that cannot be found out */
    ENDS,  /* the lock file says that it is ending */
    LOOSE, /* it has no mount, but does not say so: since a moment, or lazily and in use */
};

/* Is the process that has the store ending, or that had it a moment ago? */
static enum end end_of(const char *store, struct owner *ret)
{
    if (!owner_read(store, ret)) {
        return ret->pid == 0 ? LOOSE : STAYS; /* the line is removed just before the lock */
    }
    if (strcmp(ret->what, "ending") == 0) {
        return ENDS;
    }
    return strcmp(ret->what, "mount") == 0 && mountinfo_process_has(ret->pid, store) == 0 ? LOOSE
                                                                                          : STAYS;
}

/* ---- waiting ---- */

static void take_a_nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = LOOK_MS * 1000000L}, NULL);
}

struct wait {
    int64_t begun, loose; /* ns: when waiting began; since when it is LOOSE, 0: it is not */
    bool said; /* the sentence was printed */
};

/* Waits for LOOK_MS. False: waiting is over, because the daemon does not end, or not in time. */
static bool go_on(struct wait *w, const char *store, enum end end, const struct owner *o)
{
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
    take_a_nap();
    return true;
}

int owner_open(const char *path, unsigned flags, const char *purpose, const char *at,
               struct store_dir *ret, char why[STORE_WHY])
{
    char store[PATH_MAX]; /* the path as in the list of mounts */
    struct wait w = {0};
    struct owner o;
    if (mountinfo_absolute(path, store) < 0) {
        return store_dir_open(path, flags, purpose, at, ret, why);
    }
    for (;;) {
        /* Before the open: if the process ends in between, the open succeeds. */
        const enum end end = end_of(store, &o);
        int err = store_dir_open(path, flags, purpose, at, ret, why);
        if (err != -EBUSY || !go_on(&w, path, end, &o)) {
            return err;
        }
    }
}

int owner_await_unmount(const char *point)
{
    const int64_t until = clock_ticks(clock_real()) + SIGNAL_MS * NSEC_PER_MSEC;
    struct tally_mountinfo m;
    struct wait w = {0};
    struct owner o;
    while (mountinfo_at(point, &m) == 0) {
        const bool ends = owner_of_mount(&m, &o) && strcmp(o.what, "ending") == 0;
        if (!ends && clock_ticks(clock_real()) < until) {
            take_a_nap();
        } else if (!go_on(&w, m.source, ends ? ENDS : STAYS, &o)) {
            return -EBUSY;
        }
    }
    return 0;
}
