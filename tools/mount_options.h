// SPDX-License-Identifier: Apache-2.0
/*
 * mount_options: what stands behind `-o`: ours, those of mount(8) that are for others, those of the
 * kernel. Every -o adds to the ones before.
 */
#pragma once

#include "fs.h"
#include "strbuf.h"
#include <stdint.h>

struct mount_options {
    unsigned ctl_mode; /* of .tally/control; 0600 */
    uint32_t ctl_gid;
    bool has_ctl_gid;
    bool showctl, nlink_refs, allow_other, noxattr;
    bool foreign_store; /* STORE_FOREIGN */
    enum fs_transport transport;
    unsigned threads; /* 0: as many as suit */
    enum fs_passthrough passthrough;
    unsigned long flags; /* bits of mount(2): mount_flags.h */
    bool remount;        /* of a mount that is there */
    struct strbuf extra; /* for libfuse: "a,b" */
    struct strbuf fixed; /* those that stay as they were mounted, each with a comma behind it */
};
#define MOUNT_OPTIONS_INIT                                                                         \
    {                                                                                              \
        .ctl_mode = 0600, .extra = STRBUF_INIT, .fixed = STRBUF_INIT                               \
    }

/* -EINVAL with a sentence in `why`. `sloppy`: leave out what is not known. -ENOMEM */
int mount_options_add(struct mount_options *m, const char *list, bool sloppy, struct strbuf *why);
/* All were added: what follows from all of them. -ENOMEM */
int mount_options_end(struct mount_options *m);
/* What reading does to access times: bits of enum project_atime. */
unsigned mount_options_atime(const struct mount_options *m);
void mount_options_release(struct mount_options *m);
