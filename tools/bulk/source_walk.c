// SPDX-License-Identifier: Apache-2.0
/*
 * source_walk: see the header. A directory is read and listed by the thread that walks, when its
 * turn has come to be given to the threads: so all that is below it follows it at once, as tar and
 * others expect, and few directories are open at a time, however large the tree is.
 */
#include "source_walk.h"

#include "ahead.h"
#include "io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Names of a directory that are still to be given to the threads. */
struct listing {
    struct listing *below; /* what comes after it */
    struct source_dir *dir;
    char **name; /* each begins with its type, as readdir(3) says it */
    size_t count, next;
};

struct walk {
    struct source_walk *t;
    struct ahead_queue *ahead;
    struct listing *top;
};

static int fail(struct walk *w, int err, const char *path, const char *what)
{
    snprintf(w->t->why, sizeof(w->t->why), "%s: %s: %s", path && *path ? path : "the directory",
             what, strerror(-err));
    return err;
}

/* ---- listing ---- */

static void pop(struct walk *w)
{
    struct listing *l = w->top;
    w->top = l->below;
    for (size_t i = l->next; i < l->count; i++) {
        free(l->name[i]);
    }
    free(l->name);
    source_dir_put(l->dir);
    free(l);
}

static int add_name(struct listing *l, const struct dirent *e)
{
    size_t len = strlen(e->d_name);
    if ((l->count & (l->count - 1)) == 0) {
        size_t room = l->count ? 2 * l->count : 1;
        char **more = reallocarray(l->name, room, sizeof(*more));
        if (!more) {
            return -ENOMEM;
        }
        l->name = more;
    }
    char *name = malloc(len + 2);
    if (!name) {
        return -ENOMEM;
    }
    name[0] = (char)e->d_type;
    memcpy(name + 1, e->d_name, len + 1);
    l->name[l->count++] = name;
    return 0;
}

static int read_names(struct listing *l)
{
    int fd = openat(l->dir->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), err = 0;
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        err = -errno;
        io_cleanup_close(&fd);
        return err;
    }
    for (struct dirent *e; err == 0 && (errno = 0, e = readdir(d));) {
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) {
            err = add_name(l, e);
        }
    }
    err = err == 0 ? -errno : err;
    closedir(d);
    return err;
}

/* Lists a directory; its names are next. It takes `dir` over. */
static int push(struct walk *w, struct source_dir *dir)
{
    struct listing *l = dir ? calloc(1, sizeof(*l)) : NULL;
    if (!l) {
        if (dir) {
            source_dir_put(dir);
        }
        return fail(w, -ENOMEM, NULL, "listing it");
    }
    *l = (struct listing){.below = w->top, .dir = dir};
    w->top = l;
    int err = read_names(l);
    return err < 0 ? fail(w, err, dir->path, "listing it") : 0;
}

/* ---- the walk ---- */

static void read_one(void *work, void *ctx)
{
    struct source_file *f = work;
    (void)ctx;
    if (!f->is_read) {
        source_read(f);
    }
}

/* Lists a directory that was read: the names in it come next. */
static int enter(struct walk *w, struct source_file *f, char *path)
{
    int fd = f->fd;
    if (f->err < 0 || !S_ISDIR(f->st.st_mode)) {
        free(path);
        return 0;
    }
    f->fd = -1;
    return push(w, source_dir_new(fd, path));
}

/* Gives the next name to the threads. */
static int give_next(struct walk *w)
{
    struct listing *l = w->top;
    char *name = l->name[l->next];
    struct source_file *f = source_new(l->dir, name + 1);
    bool may_be_dir = name[0] == DT_DIR || name[0] == DT_UNKNOWN;
    if (!f) {
        return fail(w, -ENOMEM, l->dir->path, "reading it");
    }
    l->next++;
    free(name);
    if (may_be_dir) {
        source_read(f);
    }
    ahead_give(w->ahead, f);
    return may_be_dir ? enter(w, f, source_path(f)) : 0; /* the thread that takes it is this one */
}

/* Gives a file to the visitor. */
static int visit(struct walk *w, struct source_file *f, char *path)
{
    int err = !path        ? fail(w, -ENOMEM, NULL, "reading it")
              : f->err < 0 ? fail(w, f->err, path, f->what)
                           : w->t->visit(f, path, w->t->ctx);
    free(path);
    return err;
}

static int walk(struct walk *w)
{
    int err = 0;
    while (err == 0 && (w->top || ahead_count(w->ahead) > 0)) {
        if (w->top && w->top->next == w->top->count) {
            pop(w);
        } else if (w->top && ahead_has_room(w->ahead)) {
            err = give_next(w);
        } else {
            struct source_file *f = ahead_take(w->ahead);
            err = visit(w, f, source_path(f));
            source_free(f);
        }
    }
    return err;
}

/* The directory itself, under the path "". */
static int visit_top(struct walk *w, int fd)
{
    int again = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    struct source_dir *dir = again < 0 ? NULL : source_dir_new(again, strdup(""));
    struct source_file *f = dir ? source_new(dir, ".") : NULL;
    int err = f ? 0 : fail(w, -ENOMEM, NULL, "reading it");
    if (f) {
        source_read(f);
        err = visit(w, f, strdup(""));
    }
    if (err == 0) {
        err = enter(w, f, strdup(""));
    }
    source_free(f);
    if (dir) {
        source_dir_put(dir);
    }
    return err;
}

int source_walk(struct source_walk *t)
{
    struct walk w = {.t = t};
    t->why[0] = 0;
    int err = ahead_open(read_one, NULL, &w.ahead) < 0 ? fail(&w, -ENOMEM, NULL, "reading it") : 0;
    if (err == 0) {
        err = visit_top(&w, t->fd);
    }
    if (err == 0) {
        err = walk(&w);
    }
    while (w.ahead && ahead_count(w.ahead) > 0) {
        source_free(ahead_take(w.ahead));
    }
    while (w.top) {
        pop(&w);
    }
    ahead_close(w.ahead);
    return err;
}
