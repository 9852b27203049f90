// SPDX-License-Identifier: Apache-2.0
/* quota: see the header. */
#include "quota.h"

#include "bytes.h"
#include "command.h"
#include <errno.h>
#include <string.h>

#define U(x) ((unsigned long long)(x))

struct usage quota_used(const struct ns *ns)
{
    struct usage u = ns->tree.usage;

    usage_add(&u, ns->unlinked);
    return u;
}

struct usage quota_limits(const struct ns *ns)
{
    return (struct usage){atomic_load(&ns->limit_inodes), atomic_load(&ns->limit_bytes)};
}

bool quota_is_limited(const struct ns *ns)
{
    const struct usage limit = quota_limits(ns);

    return (limit.bytes || limit.inodes) && !atomic_load(&ns->followed);
}

/* Is that above a limit? */
static bool is_above(uint64_t used, uint64_t more, uint64_t limit)
{
    return more && limit && (used > limit || more > limit - used);
}

int quota_check(const struct ns *ns, struct usage more)
{
    const struct usage limit = quota_limits(ns);
    struct usage used;

    if (!quota_is_limited(ns))
        return 0;
    rwlock_held_write(&ns->lock);
    used = quota_used(ns);
    used.bytes += atomic_load(&ns->promised);
    return is_above(used.bytes, more.bytes, limit.bytes) ||
                   is_above(used.inodes, more.inodes, limit.inodes)
               ? -EDQUOT
               : 0;
}

int quota_check_result(const struct ns *ns, struct usage was, struct usage result)
{
    const struct usage limit = quota_limits(ns);

    if (!quota_is_limited(ns))
        return 0;
    return (limit.bytes && result.bytes > limit.bytes && result.bytes > was.bytes) ||
                   (limit.inodes && result.inodes > limit.inodes && result.inodes > was.inodes)
               ? -EDQUOT
               : 0;
}

void quota_explain(const struct ns *ns, const char *name, struct usage result, struct strbuf *why)
{
    const struct usage limit = quota_limits(ns);
    const bool bytes = limit.bytes && result.bytes > limit.bytes;
    char most[32];

    if (!bytes && (!limit.inodes || result.inodes <= limit.inodes))
        return;
    command_add_word(why, name);
    command_format_size(limit.bytes, most);
    if (bytes)
        strbuf_addf(why, " would have %llu bytes, and its quota is %s", U(result.bytes), most);
    else
        strbuf_addf(why, " would have %llu files and directories, and its quota_files is %llu",
                    U(result.inodes), U(limit.inodes));
    strbuf_adds(why, "; nothing was changed");
}

uint64_t quota_growth(const struct inode *was, const struct inode *in)
{
    const uint64_t before = inode_st_blocks(was), after = inode_st_blocks(in);

    return after > before ? (after - before) * 512 : 0;
}

int quota_promise(struct ns *ns, uint64_t bytes)
{
    int err = quota_check(ns, (struct usage){.bytes = bytes});

    if (err == 0)
        atomic_fetch_add(&ns->promised, bytes);
    return err;
}

void quota_settle(struct ns *ns, uint64_t bytes)
{
    atomic_fetch_sub(&ns->promised, bytes);
}

/* ---- what is free ---- */

static uint64_t rest(uint64_t limit, uint64_t used)
{
    return limit > used ? limit - used : 0;
}

/* Both limits, of which 0 is none. df(1) takes what is used for `blocks` less `blocks_free`, so the
 * disk only limits what is available. */
static void limit_space(struct usage limit, struct usage used, struct disk_space *s)
{
    if (limit.bytes) {
        const uint64_t size = s->block_size;

        s->blocks = limit.bytes / size + (limit.bytes % size != 0);
        s->blocks_free = rest(limit.bytes, used.bytes) / size;
        if (s->blocks_free < s->blocks_avail) {
            s->blocks_avail = s->blocks_free;
            s->full = -EDQUOT;
        }
    }
    if (limit.inodes) {
        s->files = limit.inodes;
        s->files_free = rest(limit.inodes, used.inodes);
    }
}

void quota_space(struct state *p, uint64_t nodeid, struct disk_space *s)
{
    struct usage limit, used;
    struct ns *ns;

    if (ns_get(p, vfs_node_ns(nodeid), &ns) < 0)
        return;
    {
        READ_GUARD(&ns->lock);
        used = quota_used(ns);
    }
    limit = quota_is_limited(ns) ? quota_limits(ns) : (struct usage){0};
    ns_put(p, ns);
    if (s->block_size)
        limit_space(limit, used, s);
}

/* ---- changing a limit ---- */

static bool is_counted(struct ns *ns)
{
    READ_GUARD(&ns->lock);

    return ns->counted;
}

int quota_set(struct state *p, struct ns *ns, const char *which, uint64_t limit)
{
    uint8_t value[8];
    struct ns_setting s = {.value = limit ? value : NULL, .len = limit ? sizeof value : 0};

    if (limit && !is_counted(ns))
        return -EOPNOTSUPP;
    put_le64(value, limit);
    memcpy(s.name, which, strlen(which) + 1);
    return ns_setting_set(p, ns, &s);
}
