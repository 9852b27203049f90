// SPDX-License-Identifier: Apache-2.0
#include "jobs.h"

#include "array.h"
#include "client.h"
#include "clock.h"
#include "command.h"
#include "io.h"
#include "json_text.h"
#include "lock.h"
#include "say.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REDRAW_NS (200 * NSEC_PER_MSEC)
#define BAR_CELLS 24      /* characters, at most */
#define BAR_CELLS_LEAST 4 /* with less there is no bar */

/* A value as JSON: as a number if it is one. "detail" is text, even if it looks like a number. */
static json_t *value_of(const char *key, const char *text)
{
    char *end;
    double x = strtod(text, &end);
    if (end == text || *end || strcmp(key, "detail") == 0) {
        return json_text(text);
    }
    return strchr(text, '.') ? json_real(x) : json_integer(strtoll(text, NULL, 10));
}

/* Adds a key to the object. One that a job may have in several lines (view_jobs.c) becomes an
 * array, even if there is one line. */
static void add_key(json_t *job, const char *key, const char *text)
{
    if (strcmp(key, "would_collect") != 0 && strcmp(key, "ghost") != 0) {
        json_object_set_new(job, key, value_of(key, text));
        return;
    }
    if (!json_object_get(job, key)) {
        json_object_set_new(job, key, json_array());
    }
    json_array_append_new(json_object_get(job, key), json_text(text));
}

/* Adds a line "key=value" to the object. The value may be quoted as a word of the control file is,
 * so the parser of commands reads it. */
static void add_line(json_t *job, const char *line, size_t len)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT, why = STRBUF_INIT;
    struct command_list list;
    strbuf_adds(&text, "job ");
    strbuf_add(&text, line, len);
    if (command_parse(text.s, text.len, &list, &why) < 0) {
        return;
    }
    for (size_t i = 0; list.count > 0 && i < list.items[0].noptions; i++) {
        const struct command_option *o = &list.items[0].options[i];
        add_key(job, o->key, o->value);
    }
    command_list_release(&list);
}

json_t *jobs_read(const char *mnt, uint64_t number)
{
    char name[64], *line = NULL;
    size_t room = 0;
    ssize_t n;
    snprintf(name, sizeof(name), ".tally/jobs/%llu", (unsigned long long)number);
    int fd = client_open_file(mnt, name, O_RDONLY);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
    if (!f) {
        int err = fd < 0 ? -fd : errno;
        io_cleanup_close(&fd);
        errno = err;
        return NULL;
    }
    json_t *job = json_object();
    while ((n = getline(&line, &room, f)) > 0) {
        add_line(job, line, (size_t)n);
    }
    free(line);
    fclose(f);
    return job;
}

static int by_number(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

/* Lists the numbers of all jobs in order; the caller frees *ret. 0 or -errno. */
static int list_numbers(const char *mnt, uint64_t **ret, size_t *ret_count)
{
    struct dirent *e;
    size_t room = 0;
    int fd = client_open_file(mnt, ".tally/jobs", O_RDONLY | O_DIRECTORY);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        int err = fd < 0 ? fd : -errno;
        io_cleanup_close(&fd);
        return err;
    }
    *ret = NULL;
    *ret_count = 0;
    while ((e = readdir(dir))) {
        uint64_t n;
        if (command_number(e->d_name, &n) < 0) {
            continue;
        }
        if (ARRAY_RESERVE(*ret, room, *ret_count + 1) < 0) {
            break;
        }
        (*ret)[(*ret_count)++] = n;
    }
    closedir(dir);
    if (*ret_count) {
        qsort(*ret, *ret_count, sizeof(**ret), by_number);
    }
    return 0;
}

json_t *jobs_read_all(const char *mnt)
{
    uint64_t *numbers = NULL;
    size_t count = 0;
    int err = list_numbers(mnt, &numbers, &count);
    if (err < 0) {
        errno = -err;
        return NULL;
    }
    json_t *all = json_array();
    for (size_t i = 0; i < count; i++) {
        json_t *job = jobs_read(mnt, numbers[i]); /* NULL: the mount has forgotten it */
        if (job) {
            json_array_append_new(all, job);
        }
    }
    free(numbers);
    return all;
}

static double number_of(const json_t *job, const char *key)
{
    return json_number_value(json_object_get(job, key));
}

const char *jobs_text(const json_t *job, const char *key)
{
    const char *text = json_string_value(json_object_get(job, key));
    return text ? text : "";
}

__attribute__((format(printf, 3, 4))) static void append(char *out, size_t room, const char *fmt,
                                                         ...)
{
    size_t len = strlen(out);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(out + len, room - len, fmt, ap);
    va_end(ap);
}

void jobs_describe(const json_t *job, char *out, size_t room)
{
    double left = number_of(job, "left_seconds");
    *out = '\0';
    append(out, room, "%s %.1f%%", jobs_text(job, "verb"), number_of(job, "percent"));
    if (json_object_get(job, "total")) {
        append(out, room, ", %.0f of %.0f", number_of(job, "done"), number_of(job, "total"));
    }
    if (json_object_get(job, "per_second")) {
        append(out, room, ", %.0f/s", number_of(job, "per_second"));
    }
    if (json_object_get(job, "left_seconds")) {
        append(out, room, ", %d:%02d left", (int)(left / 60), (int)left % 60);
    }
}

/* ---- the bar ---- */

struct bar {
    pthread_t thread;
    struct mutex lock;
    struct cond wake;
    char mnt[PATH_MAX];
    uint64_t number; /* of the job; 0: there is none */
    int64_t begun;   /* without a job */
    bool stop;       /* guarded by: lock */
};

void bar_line(double percent, const char *text, size_t width, char *out, size_t room)
{
    const size_t used = strlen(text) + 3, rest = width > used ? width - used : 0;
    const int cells = rest < BAR_CELLS ? (int)rest : BAR_CELLS;
    const int full = (int)(percent * cells / 100);
    static const char all[] = "########################", none[] = "........................";
    _Static_assert(sizeof(all) == BAR_CELLS + 1 && sizeof(none) == BAR_CELLS + 1, "cells");
    if (cells < BAR_CELLS_LEAST) {
        snprintf(out, room, "%s", text);
    } else {
        snprintf(out, room, "[%.*s%.*s] %s", full, all, cells - full, none, text);
    }
}

static void draw_clock(const struct bar *b)
{
    const int64_t seconds = (clock_ticks(clock_real()) - b->begun) / NSEC_PER_SEC;
    if (seconds > 0) {
        tally_progress("waiting for the mount, %lld s", (long long)seconds);
    }
}

/* Draws the bar once. A job that cannot be read any more leaves the last one. */
static void draw_job(const struct bar *b)
{
    char text[128], line[sizeof(text) + BAR_CELLS + 4];
    json_t *job = jobs_read(b->mnt, b->number);
    if (!job) {
        return;
    }
    jobs_describe(job, text, sizeof(text));
    bar_line(number_of(job, "percent"), text, tally_progress_width(), line, sizeof(line));
    tally_progress("%s", line);
    json_decref(job);
}

/* The thread: draws the bar until it must stop. It reads the job without the lock, since that asks
 * the mount. */
static void *bar_main(void *arg)
{
    struct bar *b = arg;
    mutex_lock(&b->lock);
    while (!b->stop) {
        mutex_unlock(&b->lock);
        if (b->number) {
            draw_job(b);
        } else {
            draw_clock(b);
        }
        mutex_lock(&b->lock);
        if (!b->stop) {
            (void)cond_wait_for(&b->wake, &b->lock, REDRAW_NS);
        }
    }
    mutex_unlock(&b->lock);
    return NULL;
}

static struct bar *start(const char *mnt, uint64_t number, int64_t begun)
{
    struct bar *b = isatty(STDERR_FILENO) ? calloc(1, sizeof(*b)) : NULL;
    if (!b) {
        return NULL;
    }
    snprintf(b->mnt, sizeof(b->mnt), "%s", mnt);
    b->number = number;
    b->begun = begun;
    mutex_init(&b->lock, "bar");
    cond_init(&b->wake);
    if (pthread_create(&b->thread, NULL, bar_main, b) != 0) {
        free(b);
        return NULL;
    }
    return b;
}

struct bar *bar_start(const char *mnt, uint64_t number)
{
    return start(mnt, number, 0);
}

struct bar *bar_start_clock(void)
{
    static int64_t begun;
    begun = begun ? begun : clock_ticks(clock_real());
    return start("", 0, begun);
}

void bar_stop(struct bar *b)
{
    if (!b) {
        return;
    }
    mutex_lock(&b->lock);
    b->stop = true;
    cond_signal(&b->wake);
    mutex_unlock(&b->lock);
    pthread_join(b->thread, NULL);
    cond_destroy(&b->wake);
    mutex_destroy(&b->lock);
    free(b);
    tally_progress("%s", "");
}
