// SPDX-License-Identifier: Apache-2.0
#include "status_facts.h"

#include "client.h"
#include "command.h"
#include "form.h"
#include "io.h"
#include "jobs.h"
#include "say.h"
#include "status_people.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMESPACES_READ 1000 /* of more, the sizes are left out: each is a file to be read */
#define USAGE_MAX 256        /* bytes of such a file */

/* The number behind KEY= in a text of lines. False: it is not there, or not known. */
static bool read_key(const char *text, const char *key, uint64_t *ret)
{
    char value[32];
    const char *at = strstr(text, key);
    if (!at) {
        return false;
    }
    at += strlen(key);
    snprintf(value, sizeof(value), "%.*s", (int)strcspn(at, "\n"), at);
    return command_number(value, ret) == 0;
}

/* Adds what one namespace has. False: that is not known. */
static bool add_usage(const char *mnt, const char *name, struct status_facts *f)
{
    CLEANUP_STRBUF struct strbuf path = STRBUF_INIT, text = STRBUF_INIT;
    uint64_t inodes, bytes;
    strbuf_addf(&path, ".tally/namespaces/%s/usage", name);
    int fd = strbuf_error(&path) < 0 ? -ENOMEM : client_open_file(mnt, path.s, O_RDONLY);
    if (fd < 0) {
        return fd == -ENOENT; /* it was dropped meanwhile */
    }
    int err = io_read_rest(fd, USAGE_MAX, &text);
    io_cleanup_close(&fd);
    if (err < 0 || !read_key(text.s, "inodes=", &inodes) || !read_key(text.s, "bytes=", &bytes)) {
        return false;
    }
    f->inodes += inodes;
    f->bytes += bytes;
    return true;
}

static void sum_usage(const char *mnt, struct status_facts *f)
{
    struct dirent *e;
    unsigned count = 0;
    int fd = client_open_file(mnt, ".tally/namespaces", O_RDONLY | O_DIRECTORY);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        io_cleanup_close(&fd);
        return;
    }
    f->usage_known = true;
    while (f->usage_known && (e = readdir(dir))) {
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) {
            f->usage_known = ++count <= NAMESPACES_READ && add_usage(mnt, e->d_name, f);
        }
    }
    closedir(dir);
}

/* Prints the text, and the word of the state in its colour. */
static void print(struct strbuf *text, const struct status_word *w)
{
    const bool colours = form_has_colours();
    tally_print(text->s, w->at);
    fputs(colours ? w->colour : "", stdout);
    tally_print(text->s + w->at, w->len);
    fputs(colours && *w->colour ? "\033[0m" : "", stdout);
    tally_print(text->s + w->at + w->len, text->len - w->at - w->len);
}

int status_facts_print(const char *mnt, const struct people_call *c)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT, out = STRBUF_INIT;
    int err = client_read_status(mnt, &text);
    if (err < 0) {
        return err;
    }
    json_t *stats = client_load_stats(mnt), *jobs = jobs_read_all(mnt);
    struct status_facts f = {
        .mnt = mnt, .text = text.s, .stats = stats, .jobs = jobs, .now = c->now};
    struct status_word word = {0, 0, ""};
    if (stats) {
        sum_usage(mnt, &f);
        word = status_people_add(&f, &out);
        err = strbuf_error(&out);
    }
    json_decref(stats);
    json_decref(jobs);
    if (!stats || err < 0) {
        return stats ? err : -EIO;
    }
    print(&out, &word);
    return 0;
}
