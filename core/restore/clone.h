// SPDX-License-Identifier: Apache-2.0
/*
 * clone: a new store that has what an archive has, on any machine.
 *
 *     clone_look(url, 0, &source, why)            which archive, which lineage; it only reads
 *     store_init(path, source.lineage.label, NULL, &source.lineage.key, ...)
 *     clone_fill(p, url, &source, &ask, ..., why) its namespaces, and a pin in the archive
 *
 * The store has the key of ids of the lineage, so objects have the ids that the archive has. Its
 * files are ghosts (ns_restore.h). It ships nothing there until it is given a lineage of its own
 * (ship_add, ship_fork), so the history that it was made of has one writer as before.
 *
 * Errors: 0 or -errno, with a sentence in `why`: -ENOENT there is no archive, or no such lineage or
 * namespace; -EINVAL several lineages are there, and none was chosen; those of ns_restore.h.
 */
#pragma once

#include "archive_text.h"
#include "ns_restore.h"

struct clone_source {
    struct archive_format format;
    struct archive_lineage lineage;
};

int clone_look(const char *url, uint32_t lineage, struct clone_source *ret, struct strbuf *why);

struct clone_ask {
    struct restore_ask moment; /* without a name: the same for all */
    const char *const *names;  /* of namespaces; NULL: all that there were then */
    size_t count;
};
/* Has the archive the namespaces that are asked for? -ENOENT, with the name of the first one that
 * it does not have. A moment in the past is not looked at: then it is 0. */
int clone_look_for(const char *url, const struct clone_source *source, const struct clone_ask *ask,
                   struct strbuf *why);

struct clone_result {
    uint64_t namespaces, inodes, ghosts;
    uint64_t lost; /* items whose content nobody has */
    uint64_t seq;  /* the last change of the archive's store that is in it */
    int64_t time;  /* when that was */
};

/* `p` is a new store with the key of the source. Its namespace main goes, if it is empty and
 * another one comes. */
int clone_fill(struct state *p, const char *url, const struct clone_source *source,
               const struct clone_ask *ask, restore_progress_fn *progress, void *ctx,
               struct clone_result *ret, struct strbuf *why);
