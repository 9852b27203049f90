// SPDX-License-Identifier: Apache-2.0
/*
 * utab: reads all lines, writes those that stay to a new file, and renames it over the old one.
 */
#include "utab.h"

#include "io.h"
#include "mountinfo.h"
#include "mounts.h"
#include "run.h"
#include "strbuf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define UMOUNT_HELPER "/sbin/umount.fuse.tally"
#define UTAB "/run/mount/utab"
#define NAP_MS 20

/* Copies the value of `key` in a line, unescaped, into `out`. False: there is none, or it is too
 * long. */
static bool value_of(const char *line, const char *key, char out[PATH_MAX])
{
    const size_t len = strlen(key);
    for (const char *at = line; *at; at += strspn(at, " \n")) {
        const size_t word = strcspn(at, " \n");
        if (word > len && strncmp(at, key, len) == 0 && at[len] == '=') {
            if (word - len - 1 >= PATH_MAX) {
                return false;
            }
            memcpy(out, at + len + 1, word - len - 1);
            out[word - len - 1] = '\0';
            mounts_unescape(out);
            return true;
        }
        at += word;
    }
    return false;
}

/* Is the line about a mount of `source` that does not exist any more? */
static bool is_stale(const char *line, const char *source)
{
    char src[PATH_MAX], target[PATH_MAX];
    return value_of(line, "SRC", src) && strcmp(src, source) == 0 &&
           value_of(line, "TARGET", target) && !mountinfo_is_mounted(source, target);
}

/* Copies the lines that stay into `out`. Returns how many do not, or -errno. */
static int read_rest(const char *source, struct strbuf *out)
{
    CLEANUP_FREE char *line = NULL;
    size_t room = 0;
    int stale = 0;
    FILE *f = fopen(UTAB, "re");
    if (!f) {
        return -errno;
    }
    while (getline(&line, &room, f) >= 0) {
        if (is_stale(line, source)) {
            stale++;
        } else {
            strbuf_adds(out, line);
        }
    }
    int err = ferror(f) ? -EIO : strbuf_error(out);
    fclose(f);
    return err < 0 ? err : stale;
}

/* Replaces the file by one with this text, under the lock. */
static int replace(const struct strbuf *text)
{
    char path[] = UTAB ".XXXXXX";
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    int err = io_write(fd, text->s, text->len);
    if (err == 0 && (fchmod(fd, 0644) < 0 || rename(path, UTAB) < 0)) {
        err = -errno;
    }
    close(fd);
    if (err < 0) {
        unlink(path);
    }
    return err;
}

/* Takes the lock. Returns its descriptor, or -errno. Every user who can read the lock file can hold
 * the lock, so the wait is limited. */
static int lock(void)
{
    const struct timespec nap = {.tv_nsec = NAP_MS * 1000000L};
    int fd = open(UTAB ".lock", O_RDONLY | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) {
        return -errno;
    }
    for (int left = UTAB_PATIENCE * 1000 / NAP_MS; flock(fd, LOCK_EX | LOCK_NB) < 0; left--) {
        if ((errno != EWOULDBLOCK && errno != EINTR) || left == 0) {
            close(fd);
            return -EWOULDBLOCK;
        }
        nanosleep(&nap, NULL);
    }
    return fd;
}

void utab_clean(const char *source)
{
    CLEANUP_STRBUF struct strbuf before = STRBUF_INIT, rest = STRBUF_INIT;
    /* In most cases there is nothing to do, and then nothing is locked or made. */
    if (geteuid() != 0 || read_rest(source, &before) <= 0) {
        return;
    }
    int fd = lock();
    if (fd < 0) {
        return;
    }
    if (read_rest(source, &rest) > 0) {
        (void)replace(&rest);
    }
    close(fd);
}

/* Adds a word "KEY=VALUE" as mount(8) escapes it. */
static void add_word(struct strbuf *line, const char *key, const char *value)
{
    strbuf_addf(line, "%s%s=", line->len ? " " : "", key);
    for (; *value; value++) {
        strbuf_addf(line, strchr(" \t\n\\", *value) ? "\\%03o" : "%c", (unsigned char)*value);
    }
}

/* mount(8) itself notes the root of a mount of a part only if it made it. A line with another root
 * is none of this mount for umount(8). */
void utab_note_part(const char *source, const char *target, const char *root)
{
    CLEANUP_STRBUF struct strbuf line = STRBUF_INIT, rest = STRBUF_INIT;
    if (geteuid() != 0 || access(UMOUNT_HELPER, X_OK) < 0) {
        return;
    }
    add_word(&line, "SRC", source);
    add_word(&line, "TARGET", target);
    add_word(&line, "ROOT", root);
    add_word(&line, "OPTS", "uhelper=fuse.tally");
    strbuf_adds(&line, "\n");
    int fd = lock();
    if (fd < 0) {
        return;
    }
    const int stale = read_rest(source, &rest);
    if ((stale >= 0 || stale == -ENOENT) && !strstr(rest.s, line.s)) {
        strbuf_add(&rest, line.s, line.len);
        if (strbuf_error(&rest) == 0 && strbuf_error(&line) == 0) {
            (void)replace(&rest);
        }
    }
    close(fd);
}

/* Is there a line for the mount already, left by an earlier one? */
static bool is_noted(const char *source, const char *target)
{
    CLEANUP_FREE char *line = NULL;
    char src[PATH_MAX], at[PATH_MAX], opts[PATH_MAX];
    size_t room = 0;
    bool noted = false;
    FILE *f = fopen(UTAB, "re");
    while (f && !noted && getline(&line, &room, f) >= 0) {
        noted = value_of(line, "SRC", src) && strcmp(src, source) == 0 &&
                value_of(line, "TARGET", at) && strcmp(at, target) == 0 &&
                value_of(line, "OPTS", opts) && strstr(opts, "uhelper=fuse.tally");
    }
    if (f) {
        fclose(f);
    }
    return noted;
}

void utab_note(const char *source, const char *target)
{
    char *argv[] = {"mount",
                    "-i",
                    "-f",
                    "-t",
                    "fuse.tally",
                    "-o",
                    "uhelper=fuse.tally",
                    "--",
                    (char *)(uintptr_t)source,
                    (char *)(uintptr_t)target,
                    NULL};
    if (geteuid() != 0 || access(UMOUNT_HELPER, X_OK) < 0) {
        return;
    }
    utab_clean(source);
    if (!is_noted(source, target)) {
        (void)tally_run(argv);
    }
}
