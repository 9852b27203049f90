// SPDX-License-Identifier: Apache-2.0
/*
 * owner_wait: looked at every 20 ms. A daemon says in the lock file that it is ending once it
 * knows; before that, its own list of mounts shows that nothing leads to it any more.
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

enum end {
    STAYS, /* it is mounted, or is no mount, or nobody can tell */
    ENDS,  /* it says so */
    LOOSE, /* nothing is mounted, but it does not say so: just now, or lazily and in use */
};

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

int owner_open(const char *path, unsigned flags, const char *purpose, const char *at,
               struct store_dir *ret, char why[STORE_WHY])
{
    char store[PATH_MAX]; /* as the list of mounts has it */
    struct wait w = {0};
    struct owner o;
    if (mountinfo_absolute(path, store) < 0) {
        return store_dir_open(path, flags, purpose, at, ret, why);
    }
    for (;;) {
        /* Looked at before: who ends in between leaves the store free. */
        const enum end end = end_of(store, &o);
        int err = store_dir_open(path, flags, purpose, at, ret, why);
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
        const bool ends = owner_of_mount(&m, &o) && strcmp(o.what, "ending") == 0;
        if (!go_on(&w, m.source, ends ? ENDS : STAYS, &o)) {
            return -EBUSY;
        }
    }
    return 0;
}
