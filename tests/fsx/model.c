// SPDX-License-Identifier: Apache-2.0
/*
 * model: the tree that should be there: inodes, their names and bytes.
 */
#include "fsx.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct run run;

/* ---- chance ---- */

uint64_t chance(uint64_t *state) /* splitmix64 */
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

uint64_t pick(uint64_t n)
{
    return chance(&run.rng) % n;
}

void fill(void *buf, size_t len)
{
    uint64_t state = pick(4) ? chance(&run.rng) : pick(3);
    uint8_t *p = buf;

    for (size_t i = 0; i < len; i += 8) {
        uint64_t word = chance(&state);
        memcpy(p + i, &word, len - i < 8 ? len - i : 8);
    }
}

int64_t now_coarse(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME_COARSE, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ---- nodes ---- */

static void *must(void *p)
{
    if (!p) {
        fputs("out of memory\n", stderr);
        exit(2);
    }
    return p;
}

struct node *node_new(enum kind kind, uint32_t mode)
{
    struct node *n = must(calloc(1, sizeof *n));

    n->kind = kind;
    n->mode = mode;
    n->mtime = run.started;
    return n;
}

static void node_free(struct node *n)
{
    map_release(n);
    bytes_release(&n->bytes);
    free(n->target);
    free(n->log);
    free(n);
}

void node_settle(struct node *n)
{
    if (n->names == 0 && n->handles == 0)
        node_free(n);
}

void node_attach(struct node *dir, unsigned name, struct node *n)
{
    dir->child[name] = n;
    n->names++;
    if (n->kind == KIND_DIR)
        n->parent = dir;
}

void node_detach(struct space *s, const struct entry *e)
{
    struct node *n = e->node;

    e->dir->child[e->name] = NULL;
    n->names--;
    if (n->names == 0 && n->handles > 0) {
        if (s->orphans == ORPHANS_MAX) {
            struct node *old = s->orphan[0];
            memmove(s->orphan, s->orphan + 1, (ORPHANS_MAX - 1) * sizeof(struct node *));
            s->orphans--;
            handle_close_all(old);
            node_settle(old);
        }
        s->orphan[s->orphans++] = n;
    }
    node_settle(n);
}

bool dir_is_empty(const struct node *dir)
{
    for (unsigned i = 0; i < NAMES; i++)
        if (dir->child[i])
            return false;
    return true;
}

unsigned dir_subdirs(const struct node *dir)
{
    unsigned n = 0;
    for (unsigned i = 0; i < NAMES; i++)
        n += dir->child[i] && dir->child[i]->kind == KIND_DIR;
    return n;
}

bool is_below(const struct node *n, const struct node *top)
{
    for (; n; n = n->parent)
        if (n == top)
            return true;
    return false;
}

void node_touch(struct node *n)
{
    n->mtime = run.started;
    n->mtime_known = false;
}

void node_touch_perhaps(struct node *n)
{
    n->mtime_known = false;
    if (n->mtime > run.started) /* set to the future before */
        n->mtime = 0;
}

void node_write_back(struct node *n)
{
    if (!n->mapped)
        return;
    if (fsync(handle_get(n, O_RDWR)) < 0)
        fail(n, "fsync: %s", strerror(errno));
    n->mapped = false;
}

/* ---- spaces ---- */

void space_init(struct space *s, const char *name)
{
    *s = (struct space){.live = true, .root = node_new(KIND_DIR, 0755)};
    s->root->names = 1;
    snprintf(s->name, sizeof s->name, "%s", name);
}

static struct node *clone_tree(struct node *from)
{
    struct node *n;

    if (from->copy) /* its second name */
        return from->copy;
    n = must(malloc(sizeof *n));
    *n = *from;
    n->names = from->parent || from->kind != KIND_DIR ? 0 : 1;
    n->handles = 0;
    n->mapped = false;
    n->held.at = NULL;
    n->parent = NULL;
    bytes_clone(&from->bytes, &n->bytes);
    n->target = from->target ? must(strdup(from->target)) : NULL;
    if (from->log) {
        n->log = must(malloc(LOG * sizeof *n->log));
        memcpy(n->log, from->log, LOG * sizeof *n->log);
    }
    from->copy = n;
    for (unsigned i = 0; i < NAMES; i++)
        if (from->child[i])
            node_attach(n, i, clone_tree(from->child[i]));
    return n;
}

void space_clone(const struct space *from, const char *name, struct space *ret)
{
    struct entry all[ENTRIES_MAX];
    size_t count = space_entries(from, ~0u, all);

    *ret = (struct space){.live = true, .root = clone_tree(from->root)};
    snprintf(ret->name, sizeof ret->name, "%s", name);
    from->root->copy = NULL;
    for (size_t i = 0; i < count; i++)
        all[i].node->copy = NULL;
}

static void release_tree(struct node *dir)
{
    for (unsigned i = 0; i < NAMES; i++) {
        struct node *n = dir->child[i];
        if (!n)
            continue;
        if (n->kind == KIND_DIR)
            release_tree(n);
        dir->child[i] = NULL;
        n->names--;
        if (n->names == 0)
            handle_close_all(n);
        node_settle(n);
    }
}

void space_release(struct space *s)
{
    for (unsigned i = 0; i < s->orphans; i++) {
        handle_close_all(s->orphan[i]);
        node_settle(s->orphan[i]);
    }
    release_tree(s->root);
    node_free(s->root);
    *s = (struct space){0};
}

/* ---- choosing ---- */

static size_t entries_below(struct node *dir, unsigned want, struct entry *out, size_t n)
{
    for (unsigned i = 0; i < NAMES; i++) {
        struct node *c = dir->child[i];
        if (!c)
            continue;
        if (want & 1u << c->kind)
            out[n++] = (struct entry){dir, i, c};
        if (c->kind == KIND_DIR)
            n = entries_below(c, want, out, n);
    }
    return n;
}

size_t space_entries(const struct space *s, unsigned want, struct entry out[ENTRIES_MAX])
{
    return entries_below(s->root, want, out, 0);
}

bool pick_entry(const struct space *s, unsigned want, struct entry *ret)
{
    struct entry all[ENTRIES_MAX];
    size_t n = space_entries(s, want, all);

    if (n == 0)
        return false;
    *ret = all[pick(n)];
    return true;
}

struct entry pick_name(const struct space *s)
{
    struct entry e;
    struct node *dir = s->root;

    if (pick(3) && pick_entry(s, 1u << KIND_DIR, &e))
        dir = e.node;
    e = (struct entry){.dir = dir, .name = (unsigned)pick(NAMES)};
    e.node = dir->child[e.name];
    return e;
}

struct node *pick_file(const struct space *s)
{
    struct entry e;

    if (s->orphans && pick(10) == 0)
        return s->orphan[pick(s->orphans)];
    return pick_entry(s, 1u << KIND_FILE, &e) ? e.node : NULL;
}

/* ---- paths ---- */

const char *name_text(unsigned name)
{
    static const char *const text[NAMES] = {
        "a",   "b",        "c",        "data.bin", ".hidden", "with blank", "Ünïcode", "x\ty",
        "e.c", "Makefile", "lock.tmp", "#g#",      "h~",      "ij",         "-k",      NULL};
    static char longest[256];

    if (text[name])
        return text[name];
    if (!longest[0])
        memset(longest, 'L', sizeof longest - 1);
    return longest;
}

void dir_path(const struct space *s, const struct node *dir, char out[PATH_MAX])
{
    const struct node *up = dir->parent;
    size_t len;

    if (!up) {
        snprintf(out, PATH_MAX, "%s/%s/p%u", run.opt.top, s->name, run.proc);
        return;
    }
    dir_path(s, up, out);
    len = strlen(out);
    for (unsigned i = 0; i < NAMES; i++)
        if (up->child[i] == dir)
            snprintf(out + len, PATH_MAX - len, "/%s", name_text(i));
}

void entry_path(const struct space *s, const struct entry *e, char out[PATH_MAX])
{
    size_t len;

    dir_path(s, e->dir, out);
    len = strlen(out);
    snprintf(out + len, PATH_MAX - len, "/%s", name_text(e->name));
}

bool node_path(const struct space *s, const struct node *n, char out[PATH_MAX])
{
    struct entry all[ENTRIES_MAX];
    size_t count = space_entries(s, 1u << n->kind, all), match = 0;

    for (size_t i = 0; i < count; i++)
        if (all[i].node == n)
            all[match++] = all[i];
    if (match == 0)
        return false;
    entry_path(s, &all[pick(match)], out);
    return true;
}

/* ---- telling ---- */

void note(struct node *n, const char *format, ...)
{
    struct log_line *line;
    va_list args;

    if (!n->log)
        n->log = must(calloc(LOG, sizeof *n->log));
    line = &n->log[n->logged++ % LOG];
    line->op = run.op;
    va_start(args, format);
    vsnprintf(line->text, sizeof line->text, format, args);
    va_end(args);
}

static void tell_log(const struct node *n)
{
    unsigned first = n->logged > LOG ? n->logged - LOG : 0;

    printf("  its last operations (those before a branch are its source's):\n");
    for (unsigned i = first; n->log && i < n->logged; i++)
        printf("    op %llu: %s\n", (unsigned long long)n->log[i % LOG].op, n->log[i % LOG].text);
}

void fail(const struct node *n, const char *format, ...)
{
    static bool failing;
    char path[PATH_MAX] = "(no name)";
    uint64_t rng = run.rng;
    va_list args;

    if (failing)
        _exit(1);
    failing = true;
    printf("\nMISMATCH: seed %llu, process %u, operation %llu, in %s: ",
           (unsigned long long)run.opt.seed, run.proc, (unsigned long long)run.op,
           run.in ? run.in->name : "-");
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
    if (n && run.in) {
        if (n->kind == KIND_DIR)
            dir_path(run.in, n, path);
        else
            (void)node_path(run.in, n, path);
        printf("  %s, mode %o, %u names, %llu bytes, %u open\n", path, n->mode, n->names,
               (unsigned long long)n->bytes.size, n->handles);
        tell_log(n);
    }
    run.rng = rng;
    printf("  again: %s\n", run.opt.replay);
    fflush(stdout);
    _exit(1);
}

void expect(const struct node *n, int got, int want, const char *what)
{
    if (got != want)
        fail(n, "%s: got \"%s\", not \"%s\"", what, got ? strerror(got) : "success",
             want ? strerror(want) : "success");
}

static void tell_bytes(const char *what, const uint8_t *p, size_t len)
{
    printf("  %s", what);
    for (size_t i = 0; i < len; i++)
        printf(" %02x", p[i]);
    printf("\n");
}

void compare(const struct node *n, const void *got, size_t len, uint64_t off, const char *how)
{
    size_t at = bytes_differ(&n->bytes, got, len, off), wrong = 0, show;
    const uint8_t *p = got;
    uint8_t want[32] = {0};

    if (at == len)
        return;
    for (size_t i = at; i < len; i++)
        wrong += bytes_differ(&n->bytes, p + i, 1, off + i) == 0;
    show = len - at < sizeof want ? len - at : sizeof want;
    (void)bytes_read(&n->bytes, want, show, off + at);
    printf("\n%zu of %zu bytes at offset %llu are wrong, the first at %llu\n", wrong, len,
           (unsigned long long)off, (unsigned long long)(off + at));
    tell_bytes("expected", want, show);
    tell_bytes("got     ", p + at, show);
    fail(n, "%s: wrong bytes", how);
}
