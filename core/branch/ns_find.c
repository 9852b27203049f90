// SPDX-License-Identifier: Apache-2.0
/* ns_find: see the header. */
#include "ns_find.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Parses a sequence number, which is all of the text. */
static bool parse_seq(const char *text, uint64_t *ret)
{
    char *end;

    errno = 0;
    *ret = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && !*end && errno == 0;
}

/* Finds one in the trash by its name and the number of the change that it had last; NULL: what was
 * dropped last. */
static int find_dropped(struct state *p, const char *name, const uint64_t *seq, struct ns **ret_ns)
{
    struct ns *best = NULL, *ns;
    uint32_t at = 0;

    while (ns_next_number(p, at, &ns) == 0) {
        bool is;

        at = ns->number;
        {
            READ_GUARD(&p->names.lock);
            is = ns->hidden.kind == NS_TRASH && !strcmp(ns->name, name) &&
                 (seq ? ns->hidden.of.seq == *seq : !best || ns->hidden.since > best->hidden.since);
        }
        if (!is) {
            ns_put(p, ns);
            continue;
        }
        ns_put(p, best);
        best = ns;
    }
    *ret_ns = best;
    return best ? 0 : -ENOENT;
}

int ns_find_dropped(struct state *p, const char *name, struct ns **ret_ns)
{
    int err = find_dropped(p, name, NULL, ret_ns);

    if (err < 0 && ns_find(p, name, ret_ns) == 0) {
        READ_GUARD(&p->names.lock);
        err = (*ret_ns)->hidden.kind == NS_TRASH ? 0 : -EINVAL;
    }
    if (err == -EINVAL)
        ns_put(p, *ret_ns);
    return err;
}

/* Finds what is kept of the namespace `name`, by what stands behind the `@`. */
static int find_kept(struct state *p, const char *name, const char *which, struct ns **ret_ns)
{
    struct ns_instant of = {0};
    uint64_t seq = 0;
    struct ns *ns;
    size_t prefix = strlen(NS_LABEL_DROPPED);
    int err;

    if (!strncmp(which, NS_LABEL_DROPPED, prefix))
        return parse_seq(which + prefix, &seq) ? find_dropped(p, name, &seq, ret_ns) : -ENOENT;
    err = ns_get_by_name(p, name, &ns);
    if (err < 0)
        err = ns_find_dropped(p, name, &ns);
    if (err < 0)
        return err;
    of = (struct ns_instant){ns->number, ns->generation, 0};
    ns_put(p, ns);
    if (!parse_seq(which, &of.seq))
        return ns_get_hidden(p, NS_SNAPSHOT, &of, which, ret_ns);
    return ns_get_hidden(p, NS_ORIGIN, &of, NULL, ret_ns);
}

int ns_find(struct state *p, const char *spec, struct ns **ret_ns)
{
    const char *at = strrchr(spec, '@');
    int err = ns_get_by_name(p, spec, ret_ns);
    char *name;

    if (err == 0 || !at)
        return err;
    name = strndup(spec, (size_t)(at - spec));
    if (!name)
        return -ENOMEM;
    err = find_kept(p, name, at + 1, ret_ns);
    free(name);
    return err;
}

int find_snapshot_is_free(struct state *p, const struct ns *from, const char *name)
{
    const struct ns_instant of = {from->number, from->generation, 0};
    char whole[2 * VFS_NAME_MAX + 2];
    struct ns *ns;
    bool taken;

    if (ns_get_hidden(p, NS_SNAPSHOT, &of, name, &ns) == 0) {
        ns_put(p, ns);
        return -EEXIST;
    }
    READ_GUARD(&p->names.lock);
    snprintf(whole, sizeof whole, "%s@%s", from->name, name);
    taken = ns_table_has_name(&p->names, whole);
    return taken ? -EEXIST : 0;
}
