// SPDX-License-Identifier: Apache-2.0
/*
 * verify: everything compared with the model; and manifests, which say what a tree should be when
 * the model is gone.
 */
#include "fsx.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void *must(void *p)
{
    if (!p)
        fail(NULL, "out of memory");
    return p;
}

/* ---- against the model ---- */

void bytes_check(struct node *n, int fd, bool cold)
{
    uint64_t size = n->bytes.size;

    if (cold)
        (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    for (uint64_t off = 0; off <= size; off += IO_MAX) {
        ssize_t want = (ssize_t)(size - off < IO_MAX ? size - off : IO_MAX);
        ssize_t got = pread(fd, run.buf, IO_MAX, (off_t)off);
        if (got != want)
            fail(n, "verifying: read at %llu: %zd, not %zd", (unsigned long long)off, got, want);
        compare(n, run.buf, (size_t)want, off, cold ? "verifying cold" : "verifying");
    }
}

static void file_check(struct node *n, int fd, bool cold)
{
    struct stat st;

    bytes_check(n, fd, cold);
    if (fstat(fd, &st) < 0)
        fail(n, "fstat: %s", strerror(errno));
    stat_check(n, &st);
}

static void entry_verify(const struct space *s, const struct entry *e, bool cold)
{
    char path[PATH_MAX];
    struct stat st;
    int fd;

    entry_path(s, e, path);
    if (lstat(path, &st) < 0)
        fail(e->node, "lstat: %s", strerror(errno));
    stat_check(e->node, &st);
    if (e->node->kind == KIND_DIR)
        list_check(e->node, path);
    if (e->node->kind != KIND_FILE)
        return;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        fail(e->node, "open: %s", strerror(errno));
    file_check(e->node, fd, cold);
    close(fd);
}

void verify_space(const struct space *s, bool cold)
{
    struct entry all[ENTRIES_MAX];
    size_t n = space_entries(s, ~0u, all);
    char path[PATH_MAX];

    run.in = (struct space *)s;
    dir_path(s, s->root, path);
    list_check(s->root, path);
    for (size_t i = 0; i < n; i++)
        entry_verify(s, &all[i], cold);
    for (unsigned i = 0; i < s->orphans; i++)
        file_check(s->orphan[i], handle_get(s->orphan[i], O_RDONLY), cold);
}

/* ---- manifests ---- */

struct lines {
    char **line;
    size_t count, room;
};

static void lines_add(struct lines *l, const char *path, char kind, unsigned mode, uint64_t size,
                      uint64_t digest, int64_t mtime, bool time)
{
    char text[PATH_MAX + 128], when[32] = "-";

    if (time)
        snprintf(when, sizeof when, "%lld", (long long)mtime);
    snprintf(text, sizeof text, "%s|%c %o %llu %016llx %s", path, kind, mode,
             (unsigned long long)size, (unsigned long long)digest, when);
    if (l->count == l->room) {
        l->room = l->room ? l->room * 2 : 256;
        l->line = must(realloc(l->line, l->room * sizeof *l->line));
    }
    l->line[l->count++] = must(strdup(text));
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorted, one below the other. Empties `l`. */
static char *lines_join(struct lines *l)
{
    size_t len = 1, at = 0;
    char *all;

    for (size_t i = 0; i < l->count; i++)
        len += strlen(l->line[i]) + 1;
    all = must(malloc(len));
    if (l->count)
        qsort(l->line, l->count, sizeof *l->line, by_text);
    for (size_t i = 0; i < l->count; i++) {
        at += (size_t)snprintf(all + at, len - at, "%s\n", l->line[i]);
        free(l->line[i]);
    }
    all[at] = 0;
    free(l->line);
    return all;
}

static uint64_t text_digest(const char *text)
{
    struct bytes b = {0};
    uint64_t digest;

    bytes_write(&b, text, strlen(text), 0);
    digest = bytes_digest(&b);
    bytes_release(&b);
    return digest;
}

static void add_node(struct lines *l, const char *path, const struct node *n, bool times)
{
    static const char kind[] = {[KIND_FILE] = 'f', [KIND_DIR] = 'd', [KIND_LINK] = 'l'};
    const char *below = path + strlen(run.opt.top) + 1;
    uint64_t size = n->kind == KIND_LINK ? strlen(n->target) : n->bytes.size;
    uint64_t digest = n->kind == KIND_LINK   ? text_digest(n->target)
                      : n->kind == KIND_FILE ? bytes_digest(&n->bytes)
                                             : 0;

    lines_add(l, below, kind[n->kind], n->mode, size, digest, n->mtime,
              times && n->mtime_known && run.opt.features & F_TIMES);
}

char *manifest_of_model(const struct space *s, bool times)
{
    struct entry all[ENTRIES_MAX];
    size_t n = space_entries(s, ~0u, all);
    struct lines l = {0};
    char path[PATH_MAX];

    dir_path(s, s->root, path);
    add_node(&l, path, s->root, times);
    for (size_t i = 0; i < n; i++) {
        entry_path(s, &all[i], path);
        add_node(&l, path, all[i].node, times);
    }
    return lines_join(&l);
}

static uint64_t file_digest(const char *path, uint64_t size)
{
    uint64_t digest = 0, off = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        fail(NULL, "%s: %s", path, strerror(errno));
    while ((n = pread(fd, run.buf, IO_MAX, (off_t)off)) > 0) {
        size_t end = ((size_t)n + BYTES_PAGE - 1) / BYTES_PAGE * BYTES_PAGE;
        memset(run.buf + n, 0, end - (size_t)n);
        for (size_t i = 0; i < end; i += BYTES_PAGE)
            digest = digest_page(digest, run.buf + i);
        off += (uint64_t)n;
    }
    if (n < 0)
        fail(NULL, "%s: %s", path, strerror(errno));
    close(fd);
    return digest_end(digest, off == size ? size : ~off);
}

static void add_path(struct lines *l, const char *top, const char *path, bool times)
{
    char target[PATH_MAX + 1];
    uint64_t size = 0, digest = 0;
    char kind = 'd';
    struct stat st;
    ssize_t n;

    if (lstat(path, &st) < 0)
        fail(NULL, "%s: %s", path, strerror(errno));
    if (S_ISREG(st.st_mode)) {
        kind = 'f';
        size = (uint64_t)st.st_size;
        digest = file_digest(path, size);
    } else if (S_ISLNK(st.st_mode)) {
        n = readlink(path, target, PATH_MAX);
        target[n > 0 ? n : 0] = 0;
        kind = 'l';
        size = (uint64_t)st.st_size;
        digest = text_digest(target);
    }
    lines_add(l, path + strlen(top) + 1, kind, st.st_mode & 07777, size, digest,
              (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec, times);
}

/* Depth is bounded by DIRS_MAX. */
static void add_below(struct lines *l, const char *top, const char *dir, bool times)
{
    const struct dirent *d;
    char path[PATH_MAX];
    DIR *stream = opendir(dir);

    if (!stream)
        fail(NULL, "%s: %s", dir, strerror(errno));
    add_path(l, top, dir, times);
    while ((d = readdir(stream))) {
        if (!strcmp(d->d_name, ".") || !strcmp(d->d_name, ".."))
            continue;
        snprintf(path, sizeof path, "%s/%s", dir, d->d_name);
        if (d->d_type == DT_DIR)
            add_below(l, top, path, times);
        else
            add_path(l, top, path, times);
    }
    closedir(stream);
}

char *manifest_of_files(const char *top, const char *dir, bool times)
{
    struct lines l = {0};

    add_below(&l, top, dir, times);
    return lines_join(&l);
}

/* Equal, or but for a time that the manifest does not know? */
static bool lines_match(const char *want, const char *got)
{
    size_t len = strlen(want);

    if (strcmp(want, got) == 0)
        return true;
    return len > 1 && !strcmp(want + len - 2, " -") && !strncmp(want, got, len - 1);
}

/* The directories <space>/p<N> that the manifest speaks of, with all that is in them. */
static void load_tops(const struct lines *want, const char *top, struct lines *got)
{
    char path[PATH_MAX];

    for (size_t i = 0; i < want->count; i++) {
        const char *bar = strchr(want->line[i], '|'), *slash = strchr(want->line[i], '/');
        if (!bar || !slash || memchr(slash + 1, '/', (size_t)(bar - slash - 1)))
            continue;
        snprintf(path, sizeof path, "%s/%.*s", top, (int)(bar - want->line[i]), want->line[i]);
        add_below(got, top, path, true);
    }
}

static void lines_read(FILE *f, struct lines *l)
{
    char text[PATH_MAX + 128];

    while (fgets(text, sizeof text, f)) {
        text[strcspn(text, "\n")] = 0;
        if (l->count == l->room) {
            l->room = l->room ? l->room * 2 : 256;
            l->line = must(realloc(l->line, l->room * sizeof *l->line));
        }
        l->line[l->count++] = must(strdup(text));
    }
}

int manifest_verify(const char *file, const char *top)
{
    struct lines want = {0}, got = {0};
    size_t i = 0, n;
    FILE *f = fopen(file, "r");

    if (!f) {
        perror(file);
        return 2;
    }
    lines_read(f, &want);
    fclose(f);
    load_tops(&want, top, &got);
    if (want.count)
        qsort(want.line, want.count, sizeof *want.line, by_text);
    if (got.count)
        qsort(got.line, got.count, sizeof *got.line, by_text);
    n = want.count < got.count ? want.count : got.count;
    while (i < n && lines_match(want.line[i], got.line[i]))
        i++;
    if (i < n || want.count != got.count) {
        printf("MISMATCH: expected %s\n               got %s\n",
               i < want.count ? want.line[i] : "nothing", i < got.count ? got.line[i] : "nothing");
        return 1;
    }
    printf("all of %zu paths are as they were\n", n);
    free(lines_join(&want));
    free(lines_join(&got));
    return n ? 0 : 1;
}
