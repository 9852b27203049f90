// SPDX-License-Identifier: Apache-2.0
/*
 * mount_options: the words behind `-o`: options of tally, words of mount(8) for other programs, and
 * options of the kernel (mount_flags.h). Each -o adds to the ones before.
 */
#pragma once

#include "fs.h"
#include "strbuf.h"

struct mount_options {
    struct fs_options fs;    /* what the words say of it; the rest is the caller's */
    char *ns;                /* the namespace that is mounted alone; NULL: the whole */
    bool foreign_store;      /* STORE_FOREIGN */
    bool follow;             /* the store follows an archive, */
    char *follow_url;        /* this one, and it is made if it is missing; or NULL */
    uint32_t follow_lineage; /* this one of it; 0: the only one */
    char *cache_dir;         /* absolute path of what is kept of shards; NULL: in the store */
    unsigned long flags;     /* bits of mount(2): mount_flags.h */
    bool remount;            /* an existing mount is to be changed */
    struct strbuf extra;     /* options for libfuse: "a,b" */
    struct strbuf fixed;     /* options of tally, each with its NUL; no remount changes them */
};
#define MOUNT_OPTIONS_INIT                                                                         \
    {                                                                                              \
        .fs = {.ctl_mode = 0600}, .extra = STRBUF_INIT, .fixed = STRBUF_INIT                       \
    }

/* Adds the words of one list, "a,b=c". `sloppy`: unknown words are ignored. -EINVAL with a sentence
 * in `why`; -ENOMEM. */
int mount_options_add(struct mount_options *m, const char *list, bool sloppy, struct strbuf *why);
/* Called when all lists were added: puts the flags for libfuse into `extra`. With `ns` `ro` is none
 * of them: it is about the mount of that namespace, and libfuse's is about all. -ENOMEM. */
int mount_options_end(struct mount_options *m);
void mount_options_release(struct mount_options *m);
