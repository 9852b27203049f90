// SPDX-License-Identifier: Apache-2.0
/*
 * fixture: a project in memory, on a clock turned by hand, without background threads; and a few
 * words to talk to it. `reopen` is a proper unmount and mount, `crash` the loss of power.
 */
#pragma once

#include "control.h"
#include "disk_mem.h"
#include "kv_mem.h"
#include "project.h"
#include "vfs.h"
#include "view.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
    struct fault fault;
    struct clock_manual clock;
    struct disk *disk;
    struct kv_mem *mem;
    struct kv *kv;
    struct project *p;
    void (*fold)(struct id *id);
};

static const struct vfs_cred fixture_cred = {.uid = 1000, .gid = 1000};

static inline void fixture_open(struct fixture *x)
{
    cr_assert_eq(kv_open_mem(x->mem, project_tables, project_table_count, KV_CREATE, &x->kv), 0);
    struct project_config config = {.disk = x->disk,
                                    .kv = x->kv,
                                    .clock = &x->clock.base,
                                    .threads = 1,
                                    .fold = x->fold,
                                    .log_segment = 1 << 20};
    cr_assert_eq(project_open(&config, &x->p), 0);
}

static inline void fixture_setup(struct fixture *x)
{
    *x = (struct fixture){0};
    clock_manual_init(&x->clock, 1000 * NSEC_PER_SEC);
    cr_assert_eq(disk_mem_create(&x->fault, 0, &x->disk), 0);
    cr_assert_eq(kv_mem_create(&x->fault, &x->mem), 0);
    cr_assert_eq(kv_open_mem(x->mem, project_tables, project_table_count, KV_CREATE, &x->kv), 0);
    cr_assert_eq(project_format(x->disk, x->kv, &x->clock.base, "org/test", 1000, 1000), 0);
    kv_close(x->kv);
    fixture_open(x);
}

static inline void fixture_teardown(struct fixture *x)
{
    project_abandon(x->p);
    kv_close(x->kv);
    kv_mem_destroy(x->mem);
    disk_close(x->disk);
}

static inline void fixture_reopen(struct fixture *x)
{
    cr_assert_eq(project_close(x->p), 0);
    kv_close(x->kv);
    fixture_open(x);
}

/* ---- the disk ---- */

static inline int fixture_add_log(const char *name, void *ctx)
{
    struct fixture *x = ((void **)ctx)[0];
    uint64_t *sum = ((void **)ctx)[1];
    char path[DISK_NAME_MAX + 1];
    struct disk_file *f;
    struct disk_stat st;

    snprintf(path, sizeof path, "log/%.16s", name);
    cr_assert_eq(disk_open(x->disk, path, DISK_READ, &f), 0);
    cr_assert_eq(disk_fstat(f, &st), 0);
    disk_file_close(f);
    sum[0] += st.size;
    sum[1]++;
    return 0;
}

/* Bytes and names on the disk, without the log. */
static inline void disk_use(struct fixture *x, uint64_t *ret_bytes, uint64_t *ret_names)
{
    uint64_t log[2] = {0};

    disk_mem_usage(x->disk, ret_bytes, ret_names);
    (void)disk_list(x->disk, "log", fixture_add_log, (void *[]){x, log});
    *ret_bytes -= log[0];
    *ret_names -= log[1];
}

/* ---- files ---- */

/* The nodeid of a path below the root; 0: there is none. */
static inline uint64_t node_of(struct fixture *x, const char *path)
{
    uint64_t node = VFS_ROOT;
    char part[256];

    while (*path) {
        struct vfs_attr a;
        size_t n = strcspn(path, "/");
        snprintf(part, sizeof part, "%.*s", (int)n, path);
        if (vfs_lookup(x->p, node, part, &a) < 0)
            return 0;
        vfs_forget(x->p, a.nodeid, 1);
        node = a.nodeid;
        path += n + (path[n] == '/');
    }
    return node;
}

static inline uint64_t parent_of(struct fixture *x, const char *path, const char **ret_name)
{
    char dir[1024];
    const char *slash = strrchr(path, '/');

    if (!slash) {
        *ret_name = path;
        return VFS_ROOT;
    }
    snprintf(dir, sizeof dir, "%.*s", (int)(slash - path), path);
    *ret_name = slash + 1;
    return node_of(x, dir);
}

static inline void put_file(struct fixture *x, const char *path, const char *text)
{
    const char *name;
    struct vfs_file *f;
    struct vfs_attr a;
    uint64_t dir = parent_of(x, path, &name);

    cr_assert_eq(vfs_create(x->p, dir, name, 0644, &fixture_cred, VFS_WRITE | VFS_TRUNC, &a, &f), 0,
                 "%s", path);
    cr_assert_eq(vfs_write(f, text, strlen(text), 0), (ssize_t)strlen(text));
    vfs_release(f);
    vfs_forget(x->p, a.nodeid, 1);
}

/* How many bytes of the file can be read, of its first 400,000; or the -errno of opening or reading
 * it. */
static inline ssize_t try_read(struct fixture *x, const char *path)
{
    static char buf[400000];
    struct vfs_file *f;
    ssize_t n;
    int err = vfs_open(x->p, node_of(x, path), 0, &f);

    if (err < 0)
        return err;
    n = vfs_read(f, buf, sizeof buf, 0);
    vfs_release(f);
    return n;
}

static inline void remove_file(struct fixture *x, const char *path)
{
    const char *name;
    uint64_t dir = parent_of(x, path, &name);

    cr_assert_eq(vfs_unlink(x->p, dir, name), 0, "%s", path);
}

/* ---- the control file ---- */

static const _Atomic bool never_interrupted = false;

/* One write; `reply` (4096 bytes) gets what it said. */
static inline ssize_t say(struct fixture *x, const char *text, char *reply)
{
    struct control_session *s;
    ssize_t r, n;

    cr_assert_eq(control_open(x->p, &s), 0);
    r = control_write(s, text, strlen(text), &never_interrupted);
    n = control_read(s, reply, 4095);
    cr_assert_geq(n, 0);
    reply[n] = 0;
    control_close(s);
    return r;
}

/* It succeeds, and its reply holds `part`. */
static inline void agreed(struct fixture *x, const char *text, const char *part)
{
    char reply[4096];
    ssize_t r = say(x, text, reply);

    cr_assert_eq(r, (ssize_t)strlen(text), "'%s' gave %zd: %s", text, r, reply);
    cr_assert(strstr(reply, part), "'%s' said '%s', without '%s'", text, reply, part);
}

static inline void refused(struct fixture *x, const char *text, int err, const char *part)
{
    char reply[4096];
    ssize_t r = say(x, text, reply);

    cr_assert_eq(r, err, "'%s' gave %zd: %s", text, r, reply);
    cr_assert_eq(strncmp(reply, "error ", 6), 0, "'%s' said '%s'", text, reply);
    cr_assert(strstr(reply, part), "'%s' said '%s', without '%s'", text, reply, part);
}
