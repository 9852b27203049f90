// SPDX-License-Identifier: Apache-2.0
/*
 * shard: a place that keeps bytes under names. It needs no more abilities than an object store has.
 * The home shard is not one of these, but a disk (disk.h).
 *
 *     shard_open("dir:/mnt/hdd/cold", 0, &s, why)
 *     shard_put...(s, name, ...)        whole, and durable when it returns 0
 *     shard_get, shard_range, shard_stat, shard_list
 *     shard_delete(s, name)
 *
 * Names are paths of at most DISK_NAME_MAX bytes, such as "packs/0123", of printable ASCII. A part
 * must not be empty or begin with a dot (-EINVAL). Names in "tmp/" belong to the driver, which also
 * makes directories as it needs them. A file that is put is seen whole or not at all by every
 * process, also after a loss of power in the middle of the put. A file cannot be appended to or
 * changed in place.
 *
 * Errors: 0 or -errno.
 *   -ENOENT        nothing has that name, as far as the driver can know: an empty mount point
 *                  looks the same
 *   -EHOSTUNREACH  the place cannot be asked now (as for any other error but -ENOENT, a sweep takes
 *                  the answer as inconclusive)
 *   -EEXIST        a put-if-absent found the name. A driver that lost the answer to a put, and sent
 *                  it again, says so of the bytes that it has put, too: whoever must know compares
 *   -EROFS, -ENOSPC, -EDQUOT, -EACCES, -EIO, -ENOMEM as of any disk
 * After a failed put or delete the old or the new state may be found. Threads: all calls from any
 * thread, except open and close.
 *
 * A place may never answer: a mount whose server hangs keeps a thread that uses it in the kernel.
 * So every call waits at most for the time of shard_set_patience without a sign of life of the
 * driver (a read of the source, shard_goes_on), and then returns -EHOSTUNREACH. The request is not
 * withdrawn: it may still be done, but before any later request of this process to that place. (Of
 * a place behind a network that holds for what the driver has sent; a server may
 * be late with it, so a claim rests on put-if-absent, and not on a name that is replaced.) Until it
 * has come back the place is silent: every call there returns -EHOSTUNREACH at once.
 *
 * Drivers: a driver provides a struct shard_driver (below). `dir` is built in. Others are made
 * known by shard_register before the first shard_open. Threads of this module call the functions of
 * a driver (shard_ask.h). But the thread that called a function here calls `read` of its source,
 * and the function to which it has a list given.
 */
#pragma once

#include "disk.h"
#include "shard_traffic.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SHARD_WHY 256 /* bytes of a sentence, with the NUL */
#define SHARD_SILENT "it does not answer"
#define SHARD_URL_MAX 700        /* bytes, without the NUL */
#define SHARD_PROBE_DIR "claims" /* where shard_probe puts its name */
/* Bytes of a pack that is put on a shard: one batch, kept in memory. */
#define SHARD_PACK_MAX (UINT32_C(8) << 20)

struct shard;

/* The bytes of a put. `read` fills `buf` with exactly `len` bytes from `off` on, or returns -errno,
 * which the put then returns. The bytes are read once, front to back, and once more if the driver
 * tries again. */
struct shard_source {
    int (*read)(void *ctx, void *buf, size_t len, uint64_t off);
    void *ctx;
    uint64_t size;
    /* Set by shard.c, for drivers: other writers may put other bytes under that name, and one of
     * all must be first. */
    bool decides;
};

enum shard_open_flags {
    SHARD_READONLY = 1 << 0, /* every change fails with -EROFS */
    SHARD_FOREIGN = 1 << 1,  /* as STORE_FOREIGN: other users may own and write it */
};

struct shard_space {
    uint64_t size, avail; /* bytes; both 0: unknown */
};

/* Called by shard_list for each name. It stops at a result other than 0, which shard_list then
 * returns. */
typedef int shard_list_fn(const char *name, uint64_t size, void *ctx);

/* Opens a shard. After an error `why` has a sentence. -EPERM: it does not belong to the user, or
 * other users may write it. -EINVAL: there is no such driver, or it cannot use the URL.
 * -EHOSTUNREACH: there is nothing now; the caller may try again later. */
int shard_open(const char *url, unsigned flags, struct shard **ret_shard, char why[SHARD_WHY]);
/* Closes the shard. No thread uses it, or a disk made of it, any more. NULL is fine. */
void shard_close(struct shard *s);
/* Sets how long one answer may take, in ns, for all shards of this process; the default is 30 s. A
 * put, and a read of a range, may take a second longer for each MiB. The time counts from the call
 * on, and a change applies to calls that wait, too. */
void shard_set_patience(int64_t duration_ns);
int64_t shard_patience(void); /* for drivers: their own time limits are shorter */
/* Is that place silent, or with NULL any place? *ret_url (may be NULL) gets its URL. Then a thread
 * of this process hangs there, and the process should end by _exit, since exit may wait for that
 * thread. */
bool shard_is_silent(const char *url, char ret_url[SHARD_URL_MAX + 1]);
/* Calls `fn` for each driver that is known: its scheme, as "dir", and the form of its URLs, as
 * "dir:PATH". */
typedef void shard_driver_fn(const char *scheme, const char *form, void *ctx);
void shard_drivers(shard_driver_fn *fn, void *ctx);
/* The URL in the form in which it is stored. -EINVAL with a sentence in `why`. */
int shard_normal_url(const char *url, char out[SHARD_URL_MAX + 1], char why[SHARD_WHY]);

/* Puts a file, and replaces the one that has the name. -EFBIG: it has more than SHARD_PACK_MAX
 * bytes. A file that was put by shard_put_stream is deleted first, and not replaced. */
int shard_put(struct shard *s, const char *name, const void *data, size_t len);
/* Puts a file if nothing has the name: else -EEXIST. Of several writers, on any machines, one is
 * the first, if their bytes differ; one whose very bytes are there already may be told 0, too. */
int shard_put_if_absent(struct shard *s, const char *name, const void *data, size_t len);
/* The same of any size with bounded memory, but not between writers: the name is used by one writer
 * alone, since two may both be told 0. */
int shard_put_stream(struct shard *s, const char *name, const struct shard_source *source);
/* Reads a whole small file. Returns the bytes read; -EFBIG: it has more than `cap` bytes. */
ssize_t shard_get(struct shard *s, const char *name, void *buf, size_t cap);
/* Returns the bytes read, fewer than `len` only at the end of the file. */
ssize_t shard_range(struct shard *s, const char *name, void *buf, size_t len, uint64_t off);
/* The same, into memory that the caller frees, so that many bytes are not copied once more. After
 * an error *ret_data is not set. */
ssize_t shard_range_alloc(struct shard *s, const char *name, size_t len, uint64_t off,
                          void **ret_data);
int shard_stat(struct shard *s, const char *name, uint64_t *ret_size);
/* How long ago the file was put, in ns, at least 0, as far as possible by the clock of the place
 * and not by that of this machine. A place that does not say so of a file, or that has put it in
 * the future, answers 0: whoever waits for an age then waits longer. -ENOENT. */
int shard_age(struct shard *s, const char *name, int64_t *ret_ns);
/* Durable. -ENOENT: it does not exist, or a driver that lost the answer deleted it, and tried
 * again. */
int shard_delete(struct shard *s, const char *name);
/* Lists all names that begin with `dir` and '/', or with "" all names, in no order. 0, too, if
 * there are none. An error means that the list is incomplete. Files that other programs have put
 * there are listed, too, even if these functions would refuse their names. */
int shard_list(struct shard *s, const char *dir, shard_list_fn *fn, void *ctx);
int shard_space(struct shard *s, struct shard_space *ret);
/* Has the engine itself compare the bytes of a file with a checksum that was taken when they were
 * put, so that none of them is moved. 0: they are the same. -EUCLEAN: they are not. -EOPNOTSUPP:
 * the engine cannot do that, or has no checksum of that file. -ENOENT. */
int shard_verify(struct shard *s, const char *name);

/* Does this place decide between writers, and show what it has? 16 threads put different bytes
 * under one new name, "claims/probe-" and 32 hex digits, if it is absent. One of them must succeed,
 * and the 15 others must be told -EEXIST (with a lost answer all 16). A get must return the bytes
 * of that one; a list must show the name with its size; and after a delete neither may show it. 0:
 * all of that is so, and nothing is left there. -EOPNOTSUPP: it is not, and `why` has a sentence.
 * Other errors are those of the calls, with an empty `why`. It waits for a few answers of the
 * place. A process that dies in between leaves one file of 64 bytes under that name. */
int shard_probe(struct shard *s, char why[SHARD_WHY]);

/* Is the place slow to ask, by its driver (shard_driver.far)? */
bool shard_is_far(const char *url);

/* How a cache asks for bytes of a file of a shard. The functions return what the shard says, after
 * take_back (below). */
struct shard_fetch {
    ssize_t (*range)(void *ctx, void *buf, size_t len, uint64_t off); /* as shard_range */
    int (*stat)(void *ctx, uint64_t *ret_size);                       /* as shard_stat */
    void *ctx;
};

/* What keeps bytes of the files of one shard nearby (core/cache). It is a value, and may be copied;
 * `tag` tells the shard from others in the same cache. `ops` NULL: nothing is kept. */
struct cache;
struct cache_file;
struct shard_near {
    const struct shard_near_ops *ops;
    struct cache *cache; /* borrowed; it outlives the disk, and all of its files */
    uint32_t tag;
};
/* Called from any thread, with no lock of this room held. Files that are kept, and those whose
 * `size` the caller knows (else UINT64_MAX), are opened without a request; what is lacking is
 * fetched by `from`, in the caller's thread. Errors are those
 * of `from`, and -ENOMEM. */
struct shard_near_ops {
    int (*open)(const struct shard_near *near, const char *name, const struct shard_fetch *from,
                uint64_t size, struct cache_file **ret_file);
    uint64_t (*size)(const struct cache_file *file); /* bytes */
    ssize_t (*read)(struct cache *cache, struct cache_file *file, const struct shard_fetch *from,
                    void *buf, size_t len, uint64_t off); /* as shard_range */
    void (*close)(struct cache *cache, struct cache_file *file);
};

/* Who lends a shard to its disk, for one call at a time. `take_back` is told the result of the
 * call, and returns what it means; both are called with `ctx` and `number`. */
struct shard_lender {
    int (*lend)(void *ctx, uint16_t number, struct shard **ret_shard);
    int (*take_back)(void *ctx, uint16_t number, int err);
    void *ctx;
    uint16_t number;
    struct shard_near near; /* files are read through it */
};
/* The files of a shard as those of a disk that can only be read: they are opened, read and asked
 * for their size, and every change of a name is -EROFS. Nothing else may be called; names are
 * listed by shard_list. An open file is only a name: it may stay open while the shard comes and
 * goes, and longer than the disk. */
int shard_disk_open(const struct shard_lender *lender, struct disk **ret_disk);

/* ---- for drivers ---- */

/* The functions of a driver keep the promises of the functions of a shard above, and these. All of
 * them are called, so none is NULL, except those of a driver whose `open` never succeeds. What a
 * call has answered is seen by the next call of every machine. A single request ends in less than
 * shard_patience(), and shard_goes_on is called between the requests of a call. Calls of one shard
 * may run at the same time. */
struct shard_driver {
    const char *scheme; /* the part of a URL before the colon: "dir" */
    const char *form;   /* what a user writes, at most 60 bytes: "dir:PATH" */
    /* An answer takes much longer than one of a disk of this machine, so what is read there is
     * worth keeping nearby. */
    bool far;
    /* `rest` is the part of a URL behind the colon. `out` gets the form of it that is stored: a
     * string of at most `cap` bytes with the NUL, which means the same in every current directory.
     * The place need not exist. -EINVAL with a sentence in `why`. */
    int (*normal)(const char *rest, char *out, size_t cap, char why[SHARD_WHY]);
    /* `rest` is as the caller of shard_open wrote it. After an error `why` has a sentence, and
     * there is no shard. */
    int (*open)(const char *rest, unsigned flags, struct shard **ret_shard, char why[SHARD_WHY]);
    /* Frees `s`. No other call of this shard runs, and none follows; but the call may come long
     * after shard_close, and by another thread, if the place was silent meanwhile. */
    void (*close)(struct shard *s);
    /* Puts all bytes of the source, or none: the file is whole and durable when this returns 0. If
     * something has the name it is replaced; with `replace` false it stays: -EEXIST. At most
     * SHARD_PACK_MAX bytes replace a file. */
    int (*put)(struct shard *s, const char *name, const struct shard_source *source, bool replace);
    /* As shard_range: fewer bytes than `len` only at the end. The driver may keep files open for
     * it; `put` and `remove` then forget those of that name. */
    ssize_t (*range)(struct shard *s, const char *name, void *buf, size_t len, uint64_t off);
    /* As shard_get. It returns the file that has the name now, also if another process has
     * replaced it: no byte may come from a cache. */
    ssize_t (*get)(struct shard *s, const char *name, void *buf, size_t cap);
    int (*stat)(struct shard *s, const char *name, uint64_t *ret_size);
    /* As shard_age, but it may be negative. */
    int (*age)(struct shard *s, const char *name, int64_t *ret_ns);
    /* Durable when it returns 0. -ENOENT. */
    int (*remove)(struct shard *s, const char *name);
    /* As shard_list, for each name once, without the driver's own names in "tmp/". A result of
     * `fn` other than 0 ends the list and is returned. The name is valid until `fn` returns. */
    int (*list)(struct shard *s, const char *dir, shard_list_fn *fn, void *ctx);
    int (*space)(struct shard *s, struct shard_space *ret);
    int (*verify)(struct shard *s, const char *name);
};
/* An open shard. A driver embeds this as its first member; shard.c sets all of its fields. shard.c
 * has checked names, lengths and readonly before it calls the driver. */
struct shard {
    const struct shard_driver *driver;
    bool readonly;
    struct place *place; /* shard_ask.h */
    struct shard *next;  /* in place.to_close (shard_ask.c) */
};
/* Called by a driver in the midst of a call that takes long, by the thread that was given the call:
 * the time of the one who waits begins anew. -ECANCELED: nobody waits any more, and the driver
 * gives up as soon as it can. It costs little if it was called less than a second ago. */
int shard_goes_on(void);
/* Makes a driver known that is not built into this room: one of an engine (core/engine), or of a
 * test. -EEXIST: the scheme is taken; -EINVAL: it has no form, or there
 * are too many. The driver is borrowed for ever. Called by one thread, at the start. */
int shard_register(const struct shard_driver *driver);
