// SPDX-License-Identifier: Apache-2.0
/* ttl: see the header. */
#include "ttl.h"

#include "bytes.h"
#include "kept.h"
#include "ns_drop.h"
#include <errno.h>

int ttl_set(struct state *p, struct ns *ns, int64_t until)
{
    uint8_t buf[8];
    struct ns_setting s = {.name = TTL_SETTING};

    put_le64(buf, (uint64_t)until);
    if (until > 0) {
        s.value = buf;
        s.len = sizeof buf;
    }
    return ns_setting_set(p, ns, &s);
}

int64_t ttl_get(struct state *p, const struct ns *ns)
{
    uint8_t buf[8];
    size_t len;
    uint64_t until;

    if (ns_setting_get(p, ns, TTL_SETTING, buf, sizeof buf, &len) < 0 || len != sizeof buf)
        return 0;
    until = get_le64(buf);
    return until > INT64_MAX ? 0 : (int64_t)until;
}

static bool is_over(struct state *p, const struct ns *ns)
{
    int64_t until = ttl_get(p, ns);

    return until > 0 && until <= now(p);
}

int ttl_forgive(struct state *p, struct ns *ns)
{
    return is_over(p, ns) ? ttl_set(p, ns, 0) : 0;
}

bool ttl_wants(struct state *p, struct ns *ns)
{
    if (!is_over(p, ns) || ns_open_files(ns))
        return false;
    return ns_goes_to_trash(p, ns) || !kept_has_snapshots(p, ns, true);
}

int ttl_run(struct state *p, struct ns *ns)
{
    uint32_t open;
    int err;

    if (!ttl_wants(p, ns))
        return 0;
    err = ns_goes_to_trash(p, ns) ? ns_trash(p, ns, false, &open)
                                  : ns_remove(p, ns, NS_VISIBLE, false, &open);
    return err == -EBUSY || err == -ENOENT ? 0 : err;
}
