// SPDX-License-Identifier: Apache-2.0
/*
 * shard: a place that keeps bytes under names, and no more than that: what an object store can do,
 * too. The home shard is not one of these but a disk (disk.h).
 *
 *     shard_open("dir:/mnt/hdd/cold", 0, &s, why)
 *     shard_put...(s, name, ...)        whole, and durable when it returns 0
 *     shard_get, shard_range, shard_stat, shard_list
 *     shard_delete(s, name)
 *
 * Names are paths of at most DISK_NAME_MAX bytes, "packs/0123", of printable ASCII, no part empty
 * or with a dot in front (-EINVAL), none in "tmp/", which is the drivers'; directories are their
 * business, too. What is put is seen whole or not at all, by everybody, also after a loss of power
 * in the middle; nothing can be appended to or changed in place.
 *
 * Errors: 0 or -errno.
 *   -ENOENT        nothing has that name, as far as this can be told: an empty mount point says
 *                  so, too
 *   -EHOSTUNREACH  it cannot be asked now
 *   -EEXIST, -EROFS, -ENOSPC, -EDQUOT, -EACCES, -EIO, -ENOMEM as of any disk
 * After a failed put or delete either state may be found. Threads: all calls from any thread, but
 * for open and close.
 *
 * A place may never answer: a mount whose server hangs keeps whoever asks it in the kernel. So
 * every call waits for shard_set_patience at most, and then says -EHOSTUNREACH. What was asked is
 * not taken back: it may still be done, but before anything else that this process asks of that
 * place. Until then the place is silent: all calls there say -EHOSTUNREACH at once.
 *
 * Drivers: struct shard_driver below is all that one provides. `dir` is built in; others are made
 * known with shard_register before the first shard_open. Their functions are called by threads of
 * their own (shard_ask.h), but `read` of a source and the function that is given a list by the
 * thread that asks.
 */
#pragma once

#include "disk.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SHARD_WHY 256
#define SHARD_SILENT "it does not answer"
#define SHARD_URL_MAX 700 /* bytes, without the NUL */
/* Bytes of a pack that is put: one batch in memory. */
#define SHARD_PACK_MAX (UINT32_C(8) << 20)

struct shard;

/* Bytes to be put, read front to back, once; a second time when a driver tries again. Exactly `len`
 * bytes at `off`, or -errno, which the put then returns. */
struct shard_source {
    int (*read)(void *ctx, void *buf, size_t len, uint64_t off);
    void *ctx;
    uint64_t size;
};

enum shard_open_flags {
    SHARD_READONLY = 1 << 0, /* every change: -EROFS */
    SHARD_FOREIGN = 1 << 1,  /* as STORE_FOREIGN: it may be anybody's, and others may write it */
};

struct shard_space {
    uint64_t size, avail; /* bytes; both 0: nobody knows */
};

/* A name found; return non-zero to stop, which shard_list then returns. */
typedef int shard_list_fn(const char *name, uint64_t size, void *ctx);

/* `why` gets a sentence. -EPERM it is not the caller's own, or others may write it. -EINVAL no
 * driver, or not a URL that it can use; -EHOSTUNREACH: there is nothing there now, and it may be
 * tried again. */
int shard_open(const char *url, unsigned flags, struct shard **ret_shard, char why[SHARD_WHY]);
/* Nobody uses it, or a disk made of it, any more. NULL is fine. */
void shard_close(struct shard *s);
/* How long one answer may take, in ns, for all shards of this process; 30 s. A put may take longer
 * by a second for each MiB. It counts from the call, and at once. */
void shard_set_patience(int64_t duration_ns);
/* Does that place keep somebody waiting, or with NULL any? Which one is in `ret_url`, which may be
 * NULL. A process of which such a thread is left should end by _exit: exit may wait for it. */
bool shard_is_silent(const char *url, char ret_url[SHARD_URL_MAX + 1]);
/* The URL in the one form that is stored: -EINVAL with a sentence. */
int shard_normal_url(const char *url, char out[SHARD_URL_MAX + 1], char why[SHARD_WHY]);

/* Replaces what has the name. */
int shard_put(struct shard *s, const char *name, const void *data, size_t len);
int shard_put_if_absent(struct shard *s, const char *name, const void *data, size_t len);
/* If absent, too; memory is bounded whatever the size. */
int shard_put_stream(struct shard *s, const char *name, const struct shard_source *source);
/* All of a small thing: bytes read, -EFBIG it has more than `cap`. */
ssize_t shard_get(struct shard *s, const char *name, void *buf, size_t cap);
/* Bytes read, short only at its end. */
ssize_t shard_range(struct shard *s, const char *name, void *buf, size_t len, uint64_t off);
int shard_stat(struct shard *s, const char *name, uint64_t *ret_size);
int shard_delete(struct shard *s, const char *name); /* durable; -ENOENT it is not there */
/* All names that begin with `dir` and '/', and with "" all that there are, without order; none is
 * 0. An error means that the list is not whole. What others have put there is listed, too, even
 * under names that none of these functions would take. */
int shard_list(struct shard *s, const char *dir, shard_list_fn *fn, void *ctx);
int shard_space(struct shard *s, struct shard_space *ret);

/* The same as a disk that can only be read: open, pread, fstat and list work, whatever changes is
 * -EROFS. Borrows the shard. */
int shard_disk_open(struct shard *s, struct disk **ret_disk);

/* ---- for drivers ---- */

/* What the functions of a shard (above) promise its driver's functions keep, and this besides. All
 * are called, so none is NULL. Calls of one shard may run at the same time. */
struct shard_driver {
    const char *scheme; /* what stands before the colon of a URL: "dir" */
    /* `rest` is what stands behind the colon. `out` gets the form of it that is stored, a string of
     * at most `cap` bytes with the NUL, which means the same in whatever directory the caller is.
     * The place need not be there. -EINVAL with a sentence in `why`. */
    int (*normal)(const char *rest, char *out, size_t cap, char why[SHARD_WHY]);
    /* `rest` is as the caller of shard_open wrote it. After an error, of which `why` has a
     * sentence, there is no shard. */
    int (*open)(const char *rest, unsigned flags, struct shard **ret_shard, char why[SHARD_WHY]);
    /* Frees `s`. No other call of this shard runs, and none follows; but the call may come long
     * after shard_close, and by another thread, if the place was silent meanwhile. */
    void (*close)(struct shard *s);
    /* All bytes of the source, or nothing: whole and durable when this returns 0. If something has
     * the name it is replaced, or, with `replace` false, stays: -EEXIST. */
    int (*put)(struct shard *s, const char *name, const struct shard_source *source, bool replace);
    /* As shard_range: fewer bytes than `len` at the end alone. The driver may keep files open for
     * it; its own `put` and `remove` make it forget those of that name. */
    ssize_t (*range)(struct shard *s, const char *name, void *buf, size_t len, uint64_t off);
    /* As shard_get. It returns what has the name now, also if another process replaced it: nothing
     * of it may come from a cache. */
    ssize_t (*get)(struct shard *s, const char *name, void *buf, size_t cap);
    int (*stat)(struct shard *s, const char *name, uint64_t *ret_size);
    /* Durable when it returns 0. -ENOENT. */
    int (*remove)(struct shard *s, const char *name);
    /* As shard_list, for each name once. It leaves out the driver's own names in "tmp/". Non-zero
     * from `fn` ends the list and is returned; the name need stay valid only until `fn` returns. */
    int (*list)(struct shard *s, const char *dir, shard_list_fn *fn, void *ctx);
    int (*space)(struct shard *s, struct shard_space *ret);
};
/* A driver embeds this as its first member; shard.c sets all of it. shard.c has checked names,
 * lengths and readonly. */
struct shard {
    const struct shard_driver *driver;
    bool readonly;
    struct place *place; /* shard_ask.h */
    struct shard *next;  /* of those to be closed later */
};
/* For drivers of tests. -EEXIST the scheme is taken. The driver is borrowed for ever. One thread,
 * at start. */
int shard_register(const struct shard_driver *driver);
