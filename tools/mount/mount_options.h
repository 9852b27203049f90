// SPDX-License-Identifier: Apache-2.0
/*
 * mount_options: the words behind `-o`. There are options of tally, words of mount(8) that are
 * meant for other programs, and those that the kernel knows (mount_flags.h). Every -o adds to the
 * ones before.
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
    bool remount;        /* change a mount that is there */
    struct strbuf extra; /* for libfuse: "a,b" */
    struct strbuf fixed; /* options of tally, which no remount changes; each with a comma behind */
};
#define MOUNT_OPTIONS_INIT                                                                         \
    {                                                                                              \
        .ctl_mode = 0600, .extra = STRBUF_INIT, .fixed = STRBUF_INIT                               \
    }

/* Adds the words of one list, "a,b=c". -EINVAL with a sentence in `why`; -ENOMEM. `sloppy`: words
 * that are not known are left out. */
int mount_options_add(struct mount_options *m, const char *list, bool sloppy, struct strbuf *why);
/* Call it when all lists were added: it puts the flags for libfuse into `extra`. -ENOMEM */
int mount_options_end(struct mount_options *m);
/* What reading does to access times: bits of enum state_atime. */
unsigned mount_options_atime(const struct mount_options *m);
void mount_options_release(struct mount_options *m);
