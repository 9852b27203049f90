// SPDX-License-Identifier: Apache-2.0
/* compression: see the header. The value of a namespace's setting is one byte, enum compression. */
#include "compression.h"

#include <errno.h>

bool compression_is_allowed(struct state *p)
{
    return atomic_load_explicit(&p->compresses, memory_order_relaxed);
}

/* One after the other: raising writes a file of a fixed name, which replaces the identity. */
int compression_allow(struct state *p)
{
    const struct state_compression *c = &p->config.compression;
    int err;
    MUTEX_GUARD(&p->compression_lock);

    if (compression_is_allowed(p))
        return 0;
    err = c->raise && !p->shared ? c->raise(c->ctx) : -EOPNOTSUPP;
    if (err == 0)
        atomic_store(&p->compresses, true);
    return err;
}

int compression_of(struct state *p, const struct ns *ns)
{
    uint8_t value;
    size_t len;
    int err = ns_setting_get(p, ns, COMPRESSION_SETTING, &value, sizeof value, &len);

    if (err < 0 || len != sizeof value || value > COMPRESSION_WRITE)
        return -ENOENT;
    return value;
}

int compression_set(struct state *p, struct ns *ns, int how)
{
    const uint8_t value = (uint8_t)how;
    int err = how > COMPRESSION_OFF ? compression_allow(p) : 0;

    if (err < 0)
        return err;
    return ns_setting_set(p, ns,
                          &(struct ns_setting){.name = COMPRESSION_SETTING,
                                               .value = how < 0 ? NULL : &value,
                                               .len = how < 0 ? 0 : sizeof value});
}

static int of_store(struct state *p)
{
    return (int)settings_get(&p->settings, SET_COMPRESSION);
}

/* The setting of the namespace that a file is in. -ENOENT: there is none. */
static int of_owner(struct state *p, uint64_t owner)
{
    struct ns *ns;
    int how;

    if (!owner || ns_get(p, vfs_node_ns(owner), &ns) < 0)
        return -ENOENT;
    how = compression_of(p, ns);
    ns_put(p, ns);
    return how;
}

enum compress_how compression_to_seal(struct state *p, uint64_t owner)
{
    int how = compression_is_allowed(p) ? of_owner(p, owner) : -ENOENT;

    if (how == COMPRESSION_OFF)
        return COMPRESS_NEVER;
    if (how == COMPRESSION_REST)
        return COMPRESS_LATER;
    if (how < 0)
        how = compression_is_allowed(p) ? of_store(p) : COMPRESSION_OFF;
    return how == COMPRESSION_WRITE ? COMPRESS_WRITE : COMPRESS_NOT;
}

enum compress_how compression_to_copy(struct state *p, const struct entry *from)
{
    if (entry_is_compressed(from))
        return COMPRESS_REST;
    if (!compression_is_allowed(p))
        return COMPRESS_NOT;
    if (from->kind == ENTRY_PACK && from->stored == from->size)
        return COMPRESS_NEVER;
    return of_store(p) != COMPRESSION_OFF || from->stored == ENTRY_AT_REST ? COMPRESS_REST
                                                                           : COMPRESS_NOT;
}

bool compression_is_due(struct state *p, const struct entry *e)
{
    if (e->kind != ENTRY_PACK || entry_is_ghost(e) || !compression_is_allowed(p))
        return false;
    return e->stored == ENTRY_AT_REST || (e->stored == 0 && of_store(p) != COMPRESSION_OFF);
}

bool compression_at_rest(struct state *p)
{
    uint32_t ns;

    return compression_is_allowed(p) &&
           (of_store(p) != COMPRESSION_OFF || ns_setting_next(p, COMPRESSION_SETTING, 0, &ns) == 0);
}

uint64_t compression_mark(struct state *p)
{
    return objects_plain(p->objects, of_store(p) != COMPRESSION_OFF);
}
