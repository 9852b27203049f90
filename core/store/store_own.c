// SPDX-License-Identifier: Apache-2.0
/* store_own: see the header. */
#include "store_own.h"

#include "own.h"
#include <errno.h>
#include <stdio.h>

#define FORBIDDEN                                                                                  \
    ": what is there could have been made to do harm; only who uses it, or root, may own and "     \
    "write it (chown, chmod). If the others are trusted: mount -o foreign_store, or "              \
    "--foreign-store of init, check and log"

/* Makes the sentence for `why`. `name` is "" for the directory itself. */
static int refuse(int err, const char *what, const char *path, const char *name,
                  const char reason[OWN_WHY], char why[STORE_WHY])
{
    if (err == -EPERM)
        snprintf(why, STORE_WHY, "%.40s%sthe %s %.180s %.60s" FORBIDDEN, name, *name ? " in " : "",
                 what, path, reason);
    else
        snprintf(why, STORE_WHY, "the %s %.200s is damaged: %.40s %.100s", what, path,
                 *name ? name : "it", reason);
    return err;
}

/* Checks one name. A missing one is fine. */
static int check_name(int dirfd, const char *what, const char *path, const char *name,
                      unsigned flags, char why[STORE_WHY])
{
    char reason[OWN_WHY];
    int err = own_check_at(dirfd, name, (flags & STORE_FOREIGN) != 0, reason);

    return err == 0 || err == -ENOENT ? 0 : refuse(err, what, path, name, reason, why);
}

int store_own_check(int dirfd, const char *what, const char *path, const char *const *named,
                    unsigned flags, char why[STORE_WHY])
{
    char reason[OWN_WHY];
    int err = flags & STORE_FOREIGN ? 0 : own_check(dirfd, reason);

    if (err < 0)
        return refuse(err, what, path, "", reason, why);
    for (; *named && err == 0; named++)
        err = check_name(dirfd, what, path, *named, flags, why);
    return err;
}

int store_own_check_objects(int dirfd, const char *what, const char *path, unsigned flags,
                            char why[STORE_WHY])
{
    char name[16];
    int err = 0;

    for (unsigned i = 0; i < 256 && err == 0; i++) {
        snprintf(name, sizeof name, "objects/%02x", i);
        err = check_name(dirfd, what, path, name, flags, why);
    }
    return err;
}
