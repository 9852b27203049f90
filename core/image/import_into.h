// SPDX-License-Identifier: Apache-2.0
/*
 * import_into: an import into a namespace that is there.
 *
 *     import_into_begin(p, name, &into, &draft, &why);    a draft that begins as the namespace is
 *     load_open_at(p, draft, …);                          what comes goes into the draft
 *     import_into_merge(p, &into, draft, …);              and then into the namespace at once
 *     import_into_end(p, &into);
 *
 * What the draft has changed since it began is merged into the namespace, in one frame of the log
 * (merge.h). Of names and attributes that were changed there meanwhile, too, those of the import
 * win. What the namespace was before is kept as its snapshot `before-import`, so the import can be
 * undone as a merge can. Until the frame nothing of the import is seen; without it nothing is left:
 * a start drops drafts.
 *
 * Threads: any; the caller holds no lock. Errors: 0 or -errno, most with a sentence in `why`; those
 * of ns_draft_of and merge_run. After one nothing is changed.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct ns;
struct state;
struct strbuf;

struct import_into {
    struct ns *ours; /* the namespace, with a reference; NULL: none */
    struct ns *base; /* what it was when the import began: a draft */
};

/* -ENOENT: there is no such namespace; -EROFS: it is frozen; -EINVAL: it is a symlink. */
int import_into_begin(struct state *p, const char *name, struct import_into *ret,
                      struct ns **ret_draft, struct strbuf *why);
/* The draft is complete. *ret_seq is the change that did it, or the last one if there was nothing
 * to do. -EEXIST: what was changed meanwhile does not fit to it (a directory that the import
 * removes got a file); -E2BIG: it is too much for a merge; -EBUSY, -EFBIG: the namespace changes
 * too fast; -ECANCELED: `cancel` was set. */
int import_into_merge(struct state *p, const struct import_into *t, struct ns *draft,
                      const _Atomic bool *cancel, uint64_t *ret_seq, struct strbuf *why);
/* Gives up what was begun, except for the draft. Nothing begun is fine. */
void import_into_end(struct state *p, struct import_into *t);
