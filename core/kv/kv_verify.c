// SPDX-License-Identifier: Apache-2.0
/*
 * kv_verify: is LMDB's file fit to be opened?
 *
 * Whoever closes it leaves a note, "closed", of the last commit and of what the file is to the
 * system; who opens it for writing takes that away first. A file that is still as the note says was
 * walked, or written by LMDB itself, since it was last in doubt. The kernel gives times in ticks,
 * so the note is left only when the tick of the file's last change is over: any later change shows.
 * The note need not be durable: one that is not there, or is of another commit, costs a walk.
 */
#include "beneath.h"
#include "io.h"
#include "kv_impl.h"
#include "lmdb_walk.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NOTE "closed"
#define TICK_LOOKS 30 /* a tick of the kernel is 1 to 10 ms */
#define LOOK_NS 1000000
#define NOTE_MAX 256
#define FILE_NAME "data.mdb"

static int open_file(int at)
{
    return beneath_open(at, FILE_NAME, O_RDONLY, 0);
}

static int note_of(int fd, char out[NOTE_MAX], struct timespec *ret_changed)
{
    struct stat st;
    uint64_t txn;
    int err = lmdb_walk_head(fd, &txn);

    if (err)
        return err;
    if (fstat(fd, &st) < 0)
        return -errno;
    (void)snprintf(out, NOTE_MAX,
                   "commit %" PRIu64 "\ninode %ju:%ju\nsize %jd\nwritten %jd.%09ld %jd.%09ld\n",
                   txn, (uintmax_t)st.st_dev, (uintmax_t)st.st_ino, (intmax_t)st.st_size,
                   (intmax_t)st.st_mtim.tv_sec, st.st_mtim.tv_nsec, (intmax_t)st.st_ctim.tv_sec,
                   st.st_ctim.tv_nsec);
    *ret_changed = st.st_ctim;
    return 0;
}

/* Waits until a change that comes now would have another time than `changed`. False: it would not
 * after TICK_LOOKS ms, since the file system has another clock, or counts in seconds. */
static bool tick_is_over(const struct timespec *changed)
{
    const bool seconds = changed->tv_nsec == 0;
    struct timespec now = {0};

    for (int i = 0; i < TICK_LOOKS; i++) {
        if (clock_gettime(CLOCK_REALTIME_COARSE, &now) < 0)
            return false;
        if (now.tv_sec > changed->tv_sec ||
            (!seconds && now.tv_sec == changed->tv_sec && now.tv_nsec > changed->tv_nsec))
            return true;
        (void)nanosleep(&(struct timespec){.tv_nsec = LOOK_NS}, NULL);
    }
    return false;
}

static bool is_as_noted(int at, int fd)
{
    CLEANUP_FREE char *noted = NULL;
    struct timespec changed = {0};
    char is[NOTE_MAX];
    size_t len;

    return note_of(fd, is, &changed) == 0 && io_read_file(at, NOTE, NOTE_MAX, &noted, &len) == 0 &&
           strcmp(noted, is) == 0;
}

int kv_verify_lmdb(int dirfd, const char *dir, bool always, char why[KV_WHY])
{
    CLEANUP_CLOSE int at = beneath_open_dir(dirfd, dir);
    CLEANUP_CLOSE int fd = at < 0 ? at : open_file(at);
    int err = fd < 0 ? fd : 0;

    (void)snprintf(why, KV_WHY, "%s", err < 0 ? strerror(-err) : "");
    if (err < 0 || (!always && is_as_noted(at, fd)))
        return err;
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED);
    err = lmdb_walk(fd, why, KV_WHY);
    if (err < 0 && err != -EUCLEAN)
        (void)snprintf(why, KV_WHY, "%s", strerror(-err));
    return err;
}

void kv_note_closed(int at)
{
    CLEANUP_CLOSE int fd = open_file(at);
    struct timespec changed = {0};
    char note[NOTE_MAX];

    if (fd >= 0 && note_of(fd, note, &changed) == 0 && tick_is_over(&changed)) {
        CLEANUP_CLOSE int out = beneath_open(at, NOTE, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        if (out >= 0)
            (void)io_pwrite(out, note, strlen(note), 0);
    }
}

int kv_note_opened(int at)
{
    return unlinkat(at, NOTE, 0) < 0 && errno != ENOENT ? -errno : 0;
}
