// SPDX-License-Identifier: Apache-2.0
/* rados_url: see the header. */
#include "rados_url.h"

#include "engine_url.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { CONF, ID, KEYRING };
static const char *const keys[] = {"conf", "id", "keyring", NULL};

#define ID_DEFAULT "admin"
#define NAME_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

/* Copies a name of `len` bytes. False: it is empty, too long, or has other characters. */
static bool take_name(const char *text, size_t len, char *out, size_t cap)
{
    if (len == 0 || len >= cap || strspn(text, NAME_CHARS) < len)
        return false;
    memcpy(out, text, len);
    out[len] = '\0';
    return true;
}

static int parse(const char *rest, struct engine_url *p, struct rados_url *u, char why[SHARD_WHY])
{
    int err = engine_url_parse(rest, keys, p, why);
    const char *slash = strchr(p->place, '/'), *id = p->value[ID] ? p->value[ID] : ID_DEFAULT;
    size_t len = strcspn(p->place, "/");

    *u = (struct rados_url){.pool = ""};
    if (err < 0)
        return err;
    if (!take_name(p->place, len, u->pool, sizeof u->pool) ||
        (slash && slash[1] &&
         !take_name(slash + 1, strlen(slash + 1), u->space, sizeof u->space))) {
        snprintf(why, SHARD_WHY,
                 "a URL of RADOS is rados:POOL[/NAMESPACE], with letters, digits, "
                 "'.', '_' and '-' in the names");
        return -EINVAL;
    }
    if (!take_name(id, strlen(id), u->id, sizeof u->id)) {
        snprintf(why, SHARD_WHY, "id= of the URL is no name of a user of Ceph");
        return -EINVAL;
    }
    err = engine_url_take_path(keys[CONF], p->value[CONF], u->conf, why);
    return err < 0 ? err : engine_url_take_path(keys[KEYRING], p->value[KEYRING], u->keyring, why);
}

int rados_url_parse(const char *rest, struct rados_url *ret, char why[SHARD_WHY])
{
    struct engine_url p;

    return parse(rest, &p, ret, why);
}

int rados_url_normal(const char *rest, char *out, size_t cap, char why[SHARD_WHY])
{
    struct engine_url p;
    struct rados_url u;
    char place[sizeof u.pool + sizeof u.space + 2];
    int err = parse(rest, &p, &u, why);

    if (err < 0)
        return err;
    snprintf(place, sizeof place, "%s%s%s", u.pool, *u.space ? "/" : "", u.space);
    return engine_url_print(place, &p, keys, out, cap, why);
}
