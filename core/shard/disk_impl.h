// SPDX-License-Identifier: Apache-2.0
/*
 * disk_impl: the functions that an implementation of disk.h provides. Private to core/shard.
 *
 * An implementation embeds `struct disk` and `struct disk_file` as its first members. disk.c checks
 * before each call that a name fits DISK_NAME_MAX, that neither a read-only disk nor a file opened
 * without DISK_WRITE (-EBADF) is changed, that a length is not 0, and that off + len does not
 * overflow.
 */
#pragma once

#include "disk.h"

struct disk_ops {
    void (*close)(struct disk *d);
    int (*mkdir)(struct disk *d, const char *name);
    int (*open)(struct disk *d, const char *name, unsigned flags, struct disk_file **ret_file);
    int (*open_sized)(struct disk *d, const char *name, uint64_t size,
                      struct disk_file **ret_file);                       /* NULL: open */
    int (*stat)(struct disk *d, const char *name, struct disk_stat *ret); /* NULL: open, fstat */
    int (*link)(struct disk *d, const char *from, const char *to);
    int (*put_copy)(struct disk *d, const char *to, struct disk_file *from); /* NULL: none */
    int (*unlink)(struct disk *d, const char *name);
    int (*rename)(struct disk *d, const char *from, const char *to);
    int (*sync_dir)(struct disk *d, const char *name);
    int (*list)(struct disk *d, const char *name, disk_list_fn *fn, void *ctx);
    int (*list_below)(struct disk *d, const char *name, disk_list_fn *fn, void *ctx); /* or NULL */
    int (*space)(struct disk *d, struct disk_space *ret);
    int (*incarnation)(struct disk *d, bool of_mount, uint8_t out[32]);

    void (*file_close)(struct disk_file *f);
    ssize_t (*pread)(struct disk_file *f, void *buf, size_t len, uint64_t off);
    int (*pwritev)(struct disk_file *f, const struct iovec *iov, int count, uint64_t off);
    int (*truncate)(struct disk_file *f, uint64_t size);
    int (*punch)(struct disk_file *f, uint64_t off, uint64_t len);
    int (*sync)(struct disk_file *f);
    int (*fstat)(struct disk_file *f, struct disk_stat *ret);
    void (*flush_hint)(struct disk_file *f, uint64_t off, uint64_t len);
    int (*allocate)(struct disk_file *f, uint64_t size);
    int (*map)(struct disk_file *f, uint64_t off, size_t len, void **ret_map);
    void (*unmap)(struct disk_file *f, void *map, size_t len);
    void (*map_wrote)(struct disk_file *f, void *map, size_t at, size_t len);
    int (*fd)(struct disk_file *f);
};

struct disk {
    const struct disk_ops *ops;
    bool readonly;
    bool foreign; /* for disk_is_foreign */
    bool whole;   /* for disk_is_whole */
};

struct disk_file {
    const struct disk_ops *ops;
    bool writable;  /* set by disk.c */
    bool unpunched; /* disk_punch does nothing: others may need the bytes (disk_route.h) */
};
