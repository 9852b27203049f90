// SPDX-License-Identifier: Apache-2.0
/* merge_with: see the header. The program gets copies, since it may be given the names of files
 * only. */
#include "merge_with.h"

#include "array.h"
#include "client.h"
#include "command.h"
#include "io.h"
#include "say.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BASE, OURS, THEIRS, SIDES };
static const char *const keys[SIDES] = {"base", "ours", "theirs"};

struct merge_with_file {
    char *path;         /* of the conflict */
    char *place[SIDES]; /* NAMESPACE/path */
    struct strbuf text[SIDES], merged;
};

/* ---- the conflicts ---- */

/* Takes one line, as a command. False: it is not about a content, or a place is missing. */
static bool take_line(struct merge_with *w, const struct command *c)
{
    struct merge_with_file *f;
    const char *seq = command_option(c, "seq"), *path = command_option(c, "path");
    if (strcmp(c->verb, "seq") == 0) {
        w->seq = seq ? strdup(seq) : NULL;
        return w->seq;
    }
    if (strcmp(c->verb, "content") != 0 || !path || w->count == MERGE_WITH_MAX ||
        ARRAY_RESERVE(w->files, w->room, w->count + 1) < 0) {
        return false;
    }
    f = &w->files[w->count++];
    *f = (struct merge_with_file){.path = strdup(path), .merged = STRBUF_INIT};
    bool good = f->path;
    for (int i = 0; i < SIDES; i++) {
        const char *place = command_option(c, keys[i]);
        f->text[i] = (struct strbuf)STRBUF_INIT;
        f->place[i] = place ? strdup(place) : NULL;
        good = good && f->place[i];
    }
    return good;
}

bool merge_with_read(struct merge_with *w, const char *lines)
{
    CLEANUP_STRBUF struct strbuf why = STRBUF_INIT;
    struct command_list list;
    if (!lines || command_parse(lines, strlen(lines), &list, &why) < 0) {
        return false;
    }
    bool good = true;
    for (size_t i = 0; good && i < list.count; i++) {
        good = take_line(w, &list.items[i]);
    }
    command_list_release(&list);
    return good && w->seq && w->count;
}

/* ---- bytes ---- */

/* Reads a file. Its time of access would be a change of the namespace, so it stays as it is where
 * that is allowed. -EUCLEAN: it is no regular file, or not a text. */
static int read_place(const struct merge_with *w, const char *place, struct strbuf *ret)
{
    struct stat st;
    strbuf_clear(ret);
    int fd = client_open_user_file(w->mnt, place, O_RDONLY | O_NOATIME);
    if (fd == -EPERM) {
        fd = client_open_user_file(w->mnt, place, O_RDONLY);
    }
    if (fd < 0) {
        return fd;
    }
    int err = fstat(fd, &st) < 0 ? -errno : S_ISREG(st.st_mode) ? 0 : -EUCLEAN;
    if (err == 0) {
        err = io_read_rest(fd, MERGE_WITH_BYTES, ret);
    }
    if (err == 0 && ret->len && memchr(ret->s, 0, ret->len)) {
        err = -EUCLEAN;
    }
    close(fd);
    return err;
}

static int write_place(const struct merge_with *w, const char *place, const struct strbuf *text)
{
    int fd = client_open_user_file(w->mnt, place, O_WRONLY | O_TRUNC);
    if (fd < 0) {
        return fd;
    }
    int err = text->len ? io_write(fd, text->s, text->len) : 0;
    return close(fd) < 0 && err == 0 ? -errno : err;
}

/* ---- the program ---- */

/* Copies a text into a file without a name, for the program. -1 after a sentence. */
static int make_copy(const struct strbuf *text)
{
    char name[] = "/tmp/tally-merge-XXXXXX";
    int fd = mkstemp(name);
    if (fd < 0 || unlink(name) < 0 || (text->len && io_write(fd, text->s, text->len) < 0) ||
        lseek(fd, 0, SEEK_SET) < 0) {
        tally_warn("%s: %m", name);
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    return fd;
}

/* Runs in the child. */
static void exec_program(const struct merge_with *w, const int fds[SIDES], int out)
{
    char names[SIDES][32];
    CLEANUP_STRBUF struct strbuf script = STRBUF_INIT;
    strbuf_addf(&script, "%s \"$@\"", w->program);
    for (int i = 0; i < SIDES; i++) {
        snprintf(names[i], sizeof names[i], "/dev/fd/%d", fds[i]);
    }
    if (strbuf_error(&script) == 0 && dup2(out, STDOUT_FILENO) >= 0) {
        execlp("sh", "sh", "-c", script.s, "sh", names[OURS], names[BASE], names[THEIRS],
               (char *)NULL);
    }
    _exit(127);
}

/* Runs the program, and waits for it. Its exit code, or 128 and more. */
static int run_program(const struct merge_with *w, const int fds[SIDES], int out)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        exec_program(w, fds, out);
    }
    while (pid > 0 && waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            return 128;
        }
    }
    return pid < 0 || !WIFEXITED(status) ? 128 : WEXITSTATUS(status);
}

/* Lets the program merge one file. -EEXIST after a sentence. */
static int merge_file(const struct merge_with *w, struct merge_with_file *f)
{
    const struct strbuf none = STRBUF_INIT;
    int fds[SIDES], out = make_copy(&none), err = out < 0 ? -EEXIST : 0, code;
    for (int i = 0; i < SIDES; i++) {
        fds[i] = err < 0 ? -1 : make_copy(&f->text[i]);
        err = fds[i] < 0 ? -EEXIST : err;
    }
    code = err < 0 ? 0 : run_program(w, fds, out);
    if (code) {
        tally_warn("%s: the program did not merge it (exit code %d)", f->path, code);
        err = -EEXIST;
    }
    if (err == 0 && (lseek(out, 0, SEEK_SET) < 0 ||
                     io_read_rest(out, MERGE_WITH_BYTES, &f->merged) < 0)) {
        tally_warn("%s: what the program wrote cannot be read", f->path);
        err = -EEXIST;
    }
    for (int i = 0; i < SIDES; i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
    if (out >= 0) {
        close(out);
    }
    return err;
}

int merge_with_run(struct merge_with *w)
{
    int all = 0;
    for (size_t n = 0; n < w->count; n++) {
        struct merge_with_file *f = &w->files[n];
        int err = 0;
        for (int i = 0; i < SIDES && err == 0; i++) {
            err = read_place(w, f->place[i], &f->text[i]);
            if (err < 0) {
                tally_warn("%s: %s", f->place[i],
                           err == -EUCLEAN ? "it is not a text" : strerror(-err));
            }
        }
        err = err < 0 ? -EEXIST : merge_file(w, f);
        all = err < 0 ? err : all;
    }
    return all;
}

/* ---- the branch ---- */

/* Is the file in the branch as it was read? */
static bool is_unchanged(const struct merge_with *w, const struct merge_with_file *f,
                         const struct strbuf *was)
{
    CLEANUP_STRBUF struct strbuf now = STRBUF_INIT;
    return read_place(w, f->place[THEIRS], &now) == 0 && now.len == was->len &&
           (!now.len || memcmp(now.s, was->s, now.len) == 0);
}

void merge_with_restore(struct merge_with *w)
{
    while (w->written > 0) {
        struct merge_with_file *f = &w->files[--w->written];
        int err = is_unchanged(w, f, &f->merged)
                      ? write_place(w, f->place[THEIRS], &f->text[THEIRS])
                      : -ECANCELED;
        if (err < 0) {
            tally_warn("%s has the merged text: %s", f->place[THEIRS],
                       err == -ECANCELED ? "it was changed since" : strerror(-err));
        }
    }
}

int merge_with_write(struct merge_with *w)
{
    int err = 0;
    for (size_t n = 0; n < w->count && err == 0; n++) {
        struct merge_with_file *f = &w->files[n];
        err = is_unchanged(w, f, &f->text[THEIRS]) ? 0 : -ECANCELED;
        if (err == 0) {
            err = write_place(w, f->place[THEIRS], &f->merged);
            w->written = n + (err == 0);
            if (err < 0) {
                tally_warn("%s: %s", f->place[THEIRS], strerror(-err));
                (void)write_place(w, f->place[THEIRS], &f->text[THEIRS]);
            }
        }
    }
    if (err < 0) {
        merge_with_restore(w);
    }
    return err;
}

void merge_with_add(const struct merge_with *w, struct strbuf *line)
{
    for (size_t n = 0; n < w->count; n++) {
        CLEANUP_STRBUF struct strbuf set = STRBUF_INIT;
        strbuf_adds(&set, "/");
        for (const char *c = w->files[n].path; *c; c++) {
            strbuf_addf(&set, strchr("\\*?[", *c) ? "\\%c" : "%c", *c);
        }
        strbuf_adds(&set, "=theirs");
        strbuf_adds(line, " set=");
        command_add_word(line, set.s);
    }
    strbuf_addf(line, " if_seq=%s", w->seq);
}

void merge_with_release(struct merge_with *w)
{
    for (size_t n = 0; n < w->count; n++) {
        struct merge_with_file *f = &w->files[n];
        free(f->path);
        for (int i = 0; i < SIDES; i++) {
            free(f->place[i]);
            strbuf_release(&f->text[i]);
        }
        strbuf_release(&f->merged);
    }
    free(w->files);
    free(w->seq);
    *w = (struct merge_with){.mnt = w->mnt, .program = w->program};
}
