// SPDX-License-Identifier: Apache-2.0
/*
 * loopneg: what a negative lookup costs by libfuse's own threaded loop, with its defaults: a
 * filesystem that has nothing in it and does nothing else.
 *
 *     loopneg DIRECTORY     serves until it is unmounted
 */
#define FUSE_USE_VERSION 312
#include <errno.h>
#include <fuse_lowlevel.h>
#include <stdio.h>
#include <sys/stat.h>

static void look_up(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    (void)parent;
    (void)name;
    fuse_reply_err(req, ENOENT);
}

static void get_attributes(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct stat st = {.st_ino = ino, .st_mode = S_IFDIR | 0755, .st_nlink = 2};

    (void)fi;
    fuse_reply_attr(req, &st, 1e6);
}

int main(int argc, char **argv)
{
    static const struct fuse_lowlevel_ops ops = {.lookup = look_up, .getattr = get_attributes};
    char *words[] = {argv[0], NULL};
    struct fuse_args args = FUSE_ARGS_INIT(1, words);
    struct fuse_loop_config *config = fuse_loop_cfg_create();
    struct fuse_session *se = fuse_session_new(&args, &ops, sizeof ops, NULL);
    int r = 1;

    if (argc != 2 || !se || !config || fuse_session_mount(se, argv[1]) != 0) {
        fprintf(stderr, "loopneg: no mount\n");
        return 1;
    }
    if (fuse_set_signal_handlers(se) == 0)
        r = fuse_session_loop_mt(se, config);
    fuse_session_unmount(se);
    fuse_session_destroy(se);
    fuse_loop_cfg_destroy(config);
    fuse_opt_free_args(&args);
    return r != 0;
}
