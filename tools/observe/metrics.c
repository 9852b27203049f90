// SPDX-License-Identifier: Apache-2.0
#include "metrics.h"

#include "exposition.h"
#include "io.h"
#include "metrics_read.h"
#include "mountinfo.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

static void add_mount(struct exposition *e, const char *mnt)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    const bool read = metrics_read(mnt, &text) == 0 && text.s;
    exposition_add(e, mnt, read ? text.s : NULL);
}

int metrics_collect(const char *mnt, struct strbuf *out)
{
    struct exposition e = EXPOSITION_INIT;
    struct tally_mountinfo *mounts = NULL;
    const ssize_t count = mnt ? 0 : mountinfo_list(&mounts);
    if (count < 0) {
        return (int)count;
    }
    if (mnt) {
        add_mount(&e, mnt);
    }
    for (ssize_t i = 0; i < count; i++) {
        add_mount(&e, mounts[i].point);
    }
    free(mounts);
    const int err = exposition_print(&e, out);
    exposition_release(&e);
    return err;
}

int metrics_to_file(const char *mnt, const char *dir)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    CLEANUP_CLOSE int dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dirfd < 0) {
        return -errno;
    }
    int err = metrics_collect(mnt, &text);
    return err < 0 ? err
                   : io_write_file(dirfd, "tallyfs.prom", text.s ? text.s : "", text.len, 0644);
}
