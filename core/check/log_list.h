// SPDX-License-Identifier: Apache-2.0
/*
 * log_list: list every frame in the log of a store that is not open, for people. It only reads. The
 * fields of a frame and of the report say what a recovery would do with it.
 *
 * Errors: 0 or -errno. -EUCLEAN: the log is damaged at ret->end, and all before it was listed.
 */
#pragma once

#include "kv.h"
#include "log.h"
#include "vfs.h"

struct log_list_options {
    /* Called for each segment, before its frames. A segment with f->error, or one that is left
     * over from an earlier epoch of the log, has no frames. */
    void (*segment)(const struct log_file *f, void *ctx);
    log_frame_fn *frame; /* called for each frame, also for sync frames and the tail */
    void *ctx;
};
int log_list(struct disk *d, const struct log_list_options *o, struct log_report *ret);

/* The number of the last change that is in a commit. The log is no longer needed for changes up to
 * it. */
int log_committed(struct kv *kv, uint64_t *ret_seq);
/* The name of a namespace in the last commit. -ENOENT: the commit has no namespace of that
 * number. */
int log_namespace_name(struct kv *kv, uint32_t number, char ret[VFS_NAME_MAX + 1]);
