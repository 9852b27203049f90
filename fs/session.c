// SPDX-License-Identifier: Apache-2.0
#include "session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static int add_options(const struct fs_options *o, struct fuse_args *args)
{
    char *source = NULL, *opts = NULL;
    int r = -ENOMEM;
    if (asprintf(&source, "fsname=%s", o->store) < 0)
        return -ENOMEM;
    /* The source is any path: its commas must not end the option. */
    if (fuse_opt_add_opt_escaped(&opts, source) == 0 &&
        fuse_opt_add_opt(&opts, "subtype=tally") == 0 &&
        fuse_opt_add_opt(&opts, "default_permissions") == 0 &&
        (!o->allow_other || fuse_opt_add_opt(&opts, "allow_other") == 0) &&
        (o->extra == NULL || o->extra[0] == '\0' || fuse_opt_add_opt(&opts, o->extra) == 0) &&
        fuse_opt_add_arg(args, "tally") == 0 && fuse_opt_add_arg(args, "-o") == 0 &&
        fuse_opt_add_arg(args, opts) == 0)
        r = 0;
    free(source);
    free(opts);
    return r;
}

int session_new(struct fs *fs, const struct fuse_lowlevel_ops *ops)
{
    struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
    int r = add_options(fs->o, &args);
    if (r == 0) {
        fs->se = fuse_session_new(&args, ops, sizeof(*ops), fs);
        r = fs->se == NULL ? -EINVAL : 0; /* libfuse said on stderr which option it is */
    }
    fuse_opt_free_args(&args);
    return r;
}
