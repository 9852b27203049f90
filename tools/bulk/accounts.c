// SPDX-License-Identifier: Apache-2.0
#include "accounts.h"

#include "names.h"

#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <string.h>
#include <sys/types.h>

/* The names are in a table of names, as if users and groups were directories. */
enum { USERS, GROUPS };

static int add(struct names *n, unsigned of, const char *name, unsigned id)
{
    return names_put(n, of, name, strlen(name), &(struct named){.inode = id});
}

int accounts_load(struct accounts **ret_a)
{
    struct names *n;
    int err = names_open(&n);
    if (err < 0) {
        return err;
    }
    setpwent();
    for (const struct passwd *p; err == 0 && (p = getpwent());) {
        err = add(n, USERS, p->pw_name, p->pw_uid);
    }
    endpwent();
    setgrent();
    for (const struct group *g; err == 0 && (g = getgrent());) {
        err = add(n, GROUPS, g->gr_name, g->gr_gid);
    }
    endgrent();
    if (err < 0) {
        names_close(n);
        return err;
    }
    *ret_a = (struct accounts *)n;
    return 0;
}

void accounts_free(struct accounts *a)
{
    names_close((struct names *)a);
}

int accounts_find(const struct accounts *a, bool group, const char *name)
{
    const struct named *is = names_find((const struct names *)a, group ? GROUPS : USERS, name,
                                        strlen(name));
    return is && is->inode <= INT_MAX ? (int)is->inode : -1;
}
