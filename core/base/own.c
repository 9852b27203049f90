// SPDX-License-Identifier: Apache-2.0
/* own: see the header. */
#include "own.h"

#include "lock.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define RECORD_MAX                                                                                 \
    16384 /* bytes of the record of a user or group; a larger group is not one user's own */

/* The C library has one position in its list of users. */
static struct mutex list_lock = {.m = PTHREAD_MUTEX_INITIALIZER, .name = "own_users"};

/* Is the group the primary group of another user? Only a walk over all users shows that. Where not
 * all users are listed (the walk fails, or does not even meet the owner) it is taken to be so. The
 * C library answers ENOENT at the end of the list, and also where a source of users could not be
 * asked: then errno has the reason. */
static bool is_primary_of_another(uid_t owner, gid_t group)
{
    char text[RECORD_MAX];
    struct passwd user, *u;
    bool met = false, another = false, cut;
    int err;
    MUTEX_GUARD(&list_lock);

    setpwent();
    errno = 0;
    while ((err = getpwent_r(&user, text, sizeof text, &u)) == 0 && !another) {
        met |= u->pw_uid == owner;
        another = u->pw_uid != owner && u->pw_gid == group;
        errno = 0;
    }
    cut = errno != 0 && errno != ENOENT;
    endpwent();
    return another || !met || cut || err != ENOENT;
}

/* Is the group the private group of that user: with his name, and without other members? */
static bool is_private_group(uid_t owner, gid_t group)
{
    char user_text[RECORD_MAX], group_text[RECORD_MAX];
    struct passwd user, *u = NULL;
    struct group record, *g = NULL;

    if (getpwuid_r(owner, &user, user_text, sizeof user_text, &u) != 0 || !u ||
        getgrgid_r(group, &record, group_text, sizeof group_text, &g) != 0 || !g)
        return false;
    if (u->pw_gid != group || strcmp(u->pw_name, g->gr_name) != 0)
        return false;
    for (char **member = g->gr_mem; *member; member++)
        if (strcmp(*member, u->pw_name) != 0)
            return false;
    return !is_primary_of_another(owner, group);
}

/* Checks owner and mode. With an ACL the bits of the group are the mask of the ACL, so they mean
 * that some other user or group may write. */
static int judge(const struct stat *st, bool has_acl, char why[OWN_WHY])
{
    if (st->st_uid != geteuid() && st->st_uid != 0)
        snprintf(why, OWN_WHY, "belongs to user %u", (unsigned)st->st_uid);
    else if (st->st_mode & S_IWOTH)
        snprintf(why, OWN_WHY, "may be written by everybody");
    else if (st->st_mode & S_IWGRP && has_acl)
        snprintf(why, OWN_WHY, "may be written by others, as its ACL says");
    else if (st->st_mode & S_IWGRP && !is_private_group(st->st_uid, st->st_gid))
        snprintf(why, OWN_WHY, "may be written by group %u", (unsigned)st->st_gid);
    else
        return 0;
    return -EPERM;
}

int own_check(int fd, char why[OWN_WHY])
{
    struct stat st;
    char self[64];

    if (fstat(fd, &st) < 0) {
        snprintf(why, OWN_WHY, "cannot be looked at: %s", strerror(errno));
        return -errno;
    }
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd); /* fgetxattr refuses O_PATH */
    return judge(&st, getxattr(self, "system.posix_acl_access", NULL, 0) > 0, why);
}

static const char *kind_of(mode_t mode)
{
    return S_ISLNK(mode)    ? "a symlink"
           : S_ISFIFO(mode) ? "a FIFO"
           : S_ISSOCK(mode) ? "a socket"
                            : "a device";
}

int own_check_at(int dirfd, const char *name, int foreign, char why[OWN_WHY])
{
    struct stat st;
    int fd = openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC), err;

    if (fd < 0 || fstat(fd, &st) < 0) {
        err = -errno;
        snprintf(why, OWN_WHY, "cannot be looked at: %s", strerror(-err));
    } else if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) {
        err = -EUCLEAN;
        snprintf(why, OWN_WHY, "is %s", kind_of(st.st_mode));
    } else {
        err = foreign ? 0 : own_check(fd, why);
    }
    if (fd >= 0)
        close(fd);
    return err;
}
