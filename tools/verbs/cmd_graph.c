// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_graph: draws a store: how its namespaces descend from each other, what takes how much
 * room, and how it has grown. Into a file or a pipe goes a picture (SVG); on a terminal it is text.
 */
#include "branches.h"
#include "graph_read.h"
#include "growth_chart.h"
#include "io.h"
#include "json_text.h"
#include "say.h"
#include "space.h"
#include "verbs.h"
#include "which_mount.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum form { FORM_UNSET, FORM_TEXT, FORM_SVG, FORM_DOT, FORM_JSON };

struct drawing {
    const char *subject; /* a keyword */
    const char *since;   /* of the history, a duration; or NULL */
    const char *of;      /* a namespace, or NULL */
    const char *out;     /* a file, or NULL: standard output */
    enum form form;
    bool all;
    bool clash;  /* the call has options for several forms */
    char *store; /* its label; NULL: it is not known */
};

/* ---- what is drawn ---- */

static void add_json_size(json_t *to, const char *key, uint64_t bytes)
{
    if (bytes != GRAPH_UNKNOWN) {
        json_object_set_new(to, key, json_integer((json_int_t)bytes));
    }
}

static json_t *json_node(const struct graph *g, const struct graph_node *n)
{
    json_t *o = json_object();
    json_object_set_new(o, "name", json_text(n->name));
    json_object_set_new(o, "kind", json_string(graph_kind_word(n->kind)));
    json_object_set_new(
        o, "parent", n->parent == GRAPH_NONE ? json_null() : json_text(g->nodes[n->parent].name));
    add_json_size(o, "seq", n->seq);
    add_json_size(o, "alone", n->alone);
    add_json_size(o, "shared", n->shared);
    add_json_size(o, "logical", n->logical);
    return o;
}

static void add_json(const struct graph *g, struct strbuf *out)
{
    json_t *root = json_object(), *nodes = json_array(), *merges = json_array();
    for (size_t i = 0; i < g->count; i++) {
        json_array_append_new(nodes, json_node(g, &g->nodes[i]));
    }
    for (size_t i = 0; i < g->edge_count; i++) {
        const struct graph_edge *e = &g->edges[i];
        json_t *o = json_object();
        json_object_set_new(o, "from", json_text(g->nodes[e->from].name));
        json_object_set_new(o, "into", json_text(g->nodes[e->to].name));
        add_json_size(o, "seq", e->seq);
        json_object_set_new(o, "undone", json_boolean(e->undone));
        json_array_append_new(merges, o);
    }
    json_object_set_new(root, "nodes", nodes);
    json_object_set_new(root, "merges", merges);
    char *text = json_dumps(root, JSON_INDENT(2));
    out->failed |= !text;
    strbuf_addf(out, "%s\n", text ? text : "");
    free(text);
    json_decref(root);
}

static int draw_branches(const struct drawing *d, const struct graph *g, struct strbuf *out)
{
    struct family f;
    int err = family_build(g, &(struct family_call){.of = d->of, .all = d->all}, &f);
    if (err == -ENOENT) {
        return tally_fail("there is no namespace %s", d->of);
    }
    if (err < 0) {
        return tally_fail("%s", strerror(-err));
    }
    struct branches_view v = branches_view_of(g, &f, d->store);
    if (d->form == FORM_SVG) {
        branches_svg(&v, out);
    } else if (d->form == FORM_DOT) {
        branches_dot(&v, out);
    } else {
        branches_text(&v, out);
    }
    family_release(&f);
    return 0;
}

static int draw_space(const struct drawing *d, const struct graph *g, struct strbuf *out)
{
    struct space_rows rows;
    int err = space_rows_of(g, d->all, &rows);
    if (err < 0) {
        return tally_fail("%s", strerror(-err));
    }
    if (d->form == FORM_SVG) {
        space_svg(g, &rows, d->store, out);
    } else {
        space_text(g, &rows, out);
    }
    space_rows_release(&rows);
    return 0;
}

/* Draws how the store has grown. */
static int draw_growth(const struct drawing *d, const char *mnt, struct strbuf *out)
{
    struct growth_points points;
    int rc = growth_read(mnt, d->since, &points);
    if (rc == 0 && d->form == FORM_JSON) {
        growth_json(&points, out);
    } else if (rc == 0 && d->form == FORM_SVG) {
        growth_svg(&points, d->store, out);
    } else if (rc == 0) {
        growth_text(&points, out);
    }
    growth_points_release(&points);
    return rc;
}

/* Reads the mount and draws it. 0, or 1 after a sentence. */
static int draw(const struct drawing *d, const char *mnt, struct strbuf *out)
{
    struct graph g;
    if (strcmp(d->subject, "history") == 0) {
        return draw_growth(d, mnt, out);
    }
    int rc = graph_read(mnt, &g);
    if (rc == 0 && d->form == FORM_JSON) {
        add_json(&g, out);
    } else if (rc == 0) {
        rc = strcmp(d->subject, "space") == 0 ? draw_space(d, &g, out) : draw_branches(d, &g, out);
    }
    graph_release(&g);
    return rc;
}

/* ---- where it goes ---- */

/* Writes all of the text and closes the file. 0 or -errno */
static int write_and_close(int fd, const struct strbuf *text)
{
    int err = io_write(fd, text->s, text->len);
    return close(fd) < 0 && err == 0 ? -errno : err;
}

/* What is no ordinary file, as /dev/stdout, is written to; so is a symlink. */
static int write_in_place(const char *path, const struct strbuf *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    return fd < 0 ? -errno : write_and_close(fd, text);
}

/* A file appears, or is replaced, when all of it is written. */
static int write_replacing(const char *path, const struct strbuf *text)
{
    CLEANUP_STRBUF struct strbuf part = STRBUF_INIT;
    strbuf_addf(&part, "%s.part-%ld", path, (long)getpid());
    if (strbuf_error(&part) < 0) {
        return -ENOMEM;
    }
    int fd = open(part.s, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) {
        return -errno;
    }
    int err = write_and_close(fd, text);
    if (err == 0 && rename(part.s, path) < 0) {
        err = -errno;
    }
    if (err < 0) {
        unlink(part.s);
    }
    return err;
}

/* Is the directory of the path the root of a mount, where nobody can make a file? */
static bool is_in_root(const char *path)
{
    char dir[PATH_MAX], inside[PATH_MAX];
    snprintf(dir, sizeof(dir), "%s", path);
    return mountinfo_inside(dirname(dir), inside) == 0 && !*inside;
}

static int write_file(const char *path, const struct strbuf *text)
{
    struct stat st;
    bool replace = lstat(path, &st) < 0 || S_ISREG(st.st_mode);
    int err = replace ? write_replacing(path, text) : write_in_place(path, text);
    if (err == -EPERM && is_in_root(path)) {
        return tally_fail("%s: in the root of a mount there are only namespaces: choose another "
                          "directory",
                          path);
    }
    return err < 0 ? tally_fail("%s: %s", path, strerror(-err)) : 0;
}

/* ---- the call ---- */

static int misuse(const char *sentence)
{
    tally_warn("%s", sentence);
    return verbs_misuse();
}

/* What is written if the call does not say it. */
static enum form default_form(const struct drawing *d)
{
    size_t n = d->out ? strlen(d->out) : 0;
    if (n > 4 && strcmp(d->out + n - 4, ".dot") == 0) {
        return FORM_DOT;
    }
    return d->out || !isatty(STDOUT_FILENO) ? FORM_SVG : FORM_TEXT;
}

static int set_form(struct drawing *d, enum form form)
{
    d->clash |= d->form != FORM_UNSET && d->form != form;
    d->form = form;
    return 0;
}

static int take_option(struct drawing *d, int o)
{
    switch (o) {
    case 'C':
        tally_mount = optarg;
        return 0;
    case 'S':
        d->since = optarg;
        return 0;
    case 'a':
        d->all = true;
        return 0;
    case 'o':
        d->out = optarg;
        return 0;
    case 's':
        return set_form(d, FORM_SVG);
    case 'd':
        return set_form(d, FORM_DOT);
    case 't':
        return set_form(d, FORM_TEXT);
    case 'j':
        return set_form(d, FORM_JSON);
    default:
        return verbs_misuse();
    }
}

/* Takes the words that are no options. */
static int take_words(struct drawing *d, int count, char **words)
{
    if (d->clash) {
        return misuse("only one of --svg, --dot, --text and --json can be");
    }
    d->subject = count > 0 ? words[0] : "";
    bool branches = strcmp(d->subject, "branches") == 0;
    bool history = strcmp(d->subject, "history") == 0;
    if (!branches && !history && strcmp(d->subject, "space") != 0) {
        return *d->subject ? misuse("the picture is branches, space or history") : verbs_misuse();
    }
    if (history ? d->all : d->since != NULL) {
        return misuse(history ? "history takes no --all" : "--since is for history");
    }
    if (count > 2 || (count == 2 && !branches)) {
        return verbs_misuse();
    }
    if (count == 2) {
        size_t n = strlen(words[1]);
        while (n > 1 && words[1][n - 1] == '/') {
            words[1][--n] = '\0'; /* the completion of a shell adds it */
        }
        d->of = words[1];
    }
    if (d->form == FORM_UNSET) {
        d->form = default_form(d);
    }
    return d->form == FORM_DOT && !branches ? misuse("--dot is for branches") : 0;
}

static int parse(struct drawing *d, int argc, char **argv)
{
    static const struct option options[] = {
        {"all", no_argument, NULL, 'a'},         {"dot", no_argument, NULL, 'd'},
        {"json", no_argument, NULL, 'j'},        {"out", required_argument, NULL, 'o'},
        {"since", required_argument, NULL, 'S'}, {"svg", no_argument, NULL, 's'},
        {"text", no_argument, NULL, 't'},        {NULL, 0, NULL, 0}};
    int o;
    while ((o = tally_getopt(argc, argv, "C:o:", options)) >= 0) {
        int rc = take_option(d, o);
        if (rc) {
            return rc;
        }
    }
    return take_words(d, argc - optind, argv + optind);
}

/* The label of the store, which the caller frees; NULL: it is not known. */
static char *label_of(const char *mnt)
{
    json_t *stats = client_load_stats(mnt);
    const char *label = json_string_value(json_object_get(stats, "label"));
    char *copy = label ? strdup(label) : NULL;
    json_decref(stats);
    return copy;
}

int cmd_graph_run(int argc, char **argv)
{
    CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
    struct drawing d = {.form = FORM_UNSET};
    struct tally_mountinfo m;
    int rc = parse(&d, argc, argv);
    if (rc) {
        return rc;
    }
    int err = which_mount(&m);
    if (err < 0) {
        return which_mount_fail(err, &m);
    }
    d.store = label_of(m.point);
    rc = draw(&d, m.point, &out);
    free(d.store);
    if (rc == 0 && strbuf_error(&out) < 0) {
        rc = tally_fail("%s", strerror(ENOMEM));
    }
    if (rc == 0 && d.out) {
        return write_file(d.out, &out);
    }
    if (rc == 0) {
        tally_print(out.s, out.len);
    }
    return rc;
}
