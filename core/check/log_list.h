// SPDX-License-Identifier: Apache-2.0
/*
 * log_list: every frame that lies in the log of a store that nobody has opened, for people. Reading
 * only; what recovery would make of it stands in each frame and in the report.
 *
 * Errors: 0 or -errno; -EUCLEAN: the log is damaged, at ret->end; all before it was told.
 */
#pragma once

#include "kv.h"
#include "log.h"
#include "vfs.h"

struct log_list_options {
    /* Before the frames of a segment. One whose f->error is set, or that is left over from another
     * life of the log, has none. */
    void (*segment)(const struct log_file *f, void *ctx);
    log_frame_fn *frame; /* also sync frames and the tail */
    void *ctx;
};
int log_list(struct disk *d, const struct log_list_options *o, struct log_report *ret);

/* The number of the last change that a commit has; frames up to it are not needed any more. */
int log_committed(struct kv *kv, uint64_t *ret_seq);
/* What a namespace is called in the last commit. -ENOENT: it has none of that number. */
int log_namespace_name(struct kv *kv, uint32_t number, char ret[VFS_NAME_MAX + 1]);
