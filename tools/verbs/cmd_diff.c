// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_diff: shows what differs between two namespaces of a mount. The mount finds it; here it is
 * printed: a line for each change, as NUL-separated fields, as JSON, or with the lines of text
 * files, which diff(1) compares.
 */
#include "client.h"
#include "command.h"
#include "ctl.h"
#include "form.h"
#include "io.h"
#include "json_text.h"
#include "own_ns.h"
#include "say.h"
#include "verbs.h"
#include "which_mount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct showing {
    const char *mnt;
    const char *from, *to; /* names of the namespaces, while changes are shown */
    const char *path;      /* only what is there; NULL: all */
    bool stat, names, patch, zero, json;
    int rc;        /* the exit code */
    json_t *array; /* of changes, with `json` */
};

/* A change, as a line of the reply has it. */
struct line {
    const char *status, *path, *from, *type, *attrs;
    bool modified, unread;
};

static const char *text_of(const struct command *c, const char *key)
{
    const char *value = command_option(c, key);
    return value ? value : "";
}

/* ---- patches ---- */

/* Opens a file of a change for the child, which inherits it; /dev/null for "". -1 after a
 * sentence. */
static int open_side(const struct showing *s, const char *ns, const char *path)
{
    CLEANUP_STRBUF struct strbuf name = STRBUF_INIT;
    struct stat st;
    strbuf_addf(&name, "%s/%s", ns, path);
    int fd = *path ? client_open_user_file(s->mnt, name.s, O_RDONLY) : open("/dev/null", O_RDONLY);
    if (fd < 0) {
        tally_warn("%s: %s", name.s, strerror(*path ? -fd : errno));
        return -1;
    }
    if (*path && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || fcntl(fd, F_SETFD, 0) < 0)) {
        tally_warn("%s is not a regular file any more", name.s);
        close(fd);
        return -1;
    }
    return fd;
}

/* Runs in the child: the program that compares. $TALLY_DIFF is words of a shell. */
static void exec_diff(const char *old, const char *new, const char *old_fd, const char *new_fd)
{
    const char *own = getenv("TALLY_DIFF");
    CLEANUP_STRBUF struct strbuf script = STRBUF_INIT;
    if (own && *own) {
        strbuf_addf(&script, "%s \"$@\"", own);
        execlp("sh", "sh", "-c", script.s, "sh", old_fd, new_fd, (char *)NULL);
    } else {
        execlp("diff", "diff", "-u", "--label", old, "--label", new, "--", old_fd, new_fd,
               (char *)NULL);
    }
    _exit(127);
}

/* Waits for the child. 0 and 1 are answers of diff(1): equal, different. */
static void wait_diff(struct showing *s, pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            status = -1;
            break;
        }
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) > 1) {
        s->rc = tally_fail("the program that compares files failed; it is diff(1), or what "
                           "TALLY_DIFF says");
    }
}

/* Compares two files; "" stands for one that is not there. */
static void patch(struct showing *s, const char *from, const char *to)
{
    CLEANUP_STRBUF struct strbuf old = STRBUF_INIT, new = STRBUF_INIT;
    char names[2][32];
    int fds[2] = {open_side(s, s->from, from), -1};
    fds[1] = fds[0] < 0 ? -1 : open_side(s, s->to, to);
    if (fds[1] >= 0) {
        strbuf_addf(&old, *from ? "%s/%s" : "/dev/null", s->from, from);
        strbuf_addf(&new, *to ? "%s/%s" : "/dev/null", s->to, to);
        for (int i = 0; i < 2; i++) {
            snprintf(names[i], sizeof names[i], "/dev/fd/%d", fds[i]);
        }
        fflush(stdout);
        pid_t pid = fork();
        if (pid == 0) {
            exec_diff(old.s, new.s, names[0], names[1]);
        } else if (pid < 0) {
            s->rc = tally_fail("no process could be made: %m");
        } else {
            wait_diff(s, pid);
        }
        close(fds[1]);
    } else {
        s->rc = 1;
    }
    if (fds[0] >= 0) {
        close(fds[0]);
    }
}

static void show_patch(struct showing *s, const struct line *l)
{
    if (strcmp(l->type, "file") != 0) {
        return;
    }
    if (*l->status == 'M' || l->modified) {
        patch(s, *l->from ? l->from : l->path, l->path);
    } else if (*l->status == 'D') {
        patch(s, l->path, "");
    } else if (*l->status == 'A') {
        patch(s, "", l->path);
    }
}

/* ---- one change ---- */

static void add_json(struct showing *s, const struct line *l)
{
    json_t *o = json_object(), *attrs = json_array();
    for (const char *w = l->attrs; *w;) {
        size_t n = strcspn(w, ",");
        json_array_append_new(attrs, json_text_of(w, n));
        w += n + (w[n] == ',');
    }
    json_object_set_new(o, "status", json_text(l->status));
    json_object_set_new(o, "path", json_text(l->path));
    if (*l->from) {
        json_object_set_new(o, "from", json_text(l->from));
    }
    json_object_set_new(o, "type", json_text(l->type));
    json_object_set_new(o, "modified", json_boolean(*l->status == 'M' || l->modified));
    json_object_set_new(o, "attrs", attrs);
    json_object_set_new(o, "unread", json_boolean(l->unread));
    json_array_append_new(s->array, o);
}

/* Adds a path as the user asked for it: as it is with a NUL, or quoted as needed. */
static void add_path(const struct showing *s, struct strbuf *out, const char *path)
{
    if (s->zero) {
        strbuf_add(out, path, strlen(path) + 1);
    } else {
        command_add_word(out, path);
    }
}

static void add_status(const struct showing *s, const struct line *l, struct strbuf *out)
{
    strbuf_addf(out, "%s%s", l->status, l->modified ? "M" : "");
    strbuf_add(out, s->zero ? "" : "\t", 1); /* of "" the NUL */
    if (*l->from) {
        add_path(s, out, l->from);
        strbuf_adds(out, s->zero ? "" : "\t");
    }
}

static void show_text(const struct showing *s, const struct line *l)
{
    CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
    if (!s->names) {
        add_status(s, l, &out);
    }
    add_path(s, &out, l->path);
    if (!s->zero && !s->names && (*l->attrs || l->unread)) {
        strbuf_addf(&out, "\t(%s%s%s)", l->attrs, *l->attrs && l->unread ? "," : "",
                    l->unread ? "unread" : "");
    }
    if (!s->zero) {
        strbuf_adds(&out, "\n");
    }
    if (s->zero) {
        fwrite(out.s, 1, out.len, stdout);
    } else {
        tally_print(out.s, out.len);
    }
}

static void show_line(struct showing *s, const struct command *c)
{
    const struct line l = {c->nargs ? c->args[0].text : "",
                           text_of(c, "path"),
                           text_of(c, "from"),
                           text_of(c, "type"),
                           text_of(c, "attrs"),
                           command_option(c, "modified"),
                           command_option(c, "unread")};
    if (s->json) {
        add_json(s, &l);
        return;
    }
    show_text(s, &l);
    if (s->patch) {
        show_patch(s, &l);
    }
}

/* Parses one line. Behind a verb it has the grammar of a command. False: it has not. */
static bool parse(const char *text, size_t len, struct command_list *ret)
{
    CLEANUP_STRBUF struct strbuf line = STRBUF_INIT, why = STRBUF_INIT;
    strbuf_adds(&line, "ok ");
    strbuf_add(&line, text, len);
    if (strbuf_error(&line) < 0 || command_parse(line.s, line.len, ret, &why) < 0) {
        return false;
    }
    if (ret->count == 1) {
        return true;
    }
    command_list_release(ret);
    return false;
}

/* Shows all lines of the reply. */
static void show_lines(struct showing *s, const struct reply *r)
{
    for (const char *p = r->body.s; *p;) {
        size_t n = strcspn(p, "\n");
        struct command_list list;
        if (!parse(p, n, &list)) {
            s->rc = tally_fail("the mount gave a line that is no change: %.*s", (int)n, p);
        } else {
            show_line(s, list.items);
            command_list_release(&list);
        }
        p += n + (p[n] == '\n');
    }
}

/* ---- the whole ---- */

/* The keys of the head as numbers, but for the names of the namespaces. */
static void add_keys(json_t *root, const struct command *head)
{
    for (size_t i = 0; i < head->noptions; i++) {
        const struct command_option *o = &head->options[i];
        uint64_t n;
        bool name = strcmp(o->key, "from") == 0 || strcmp(o->key, "to") == 0;
        json_object_set_new(root, o->key,
                            !name && command_number(o->value, &n) == 0 ? json_integer((json_int_t)n)
                                                                       : json_text(o->value));
    }
}

/* Prints the reply; `head` is its first line. */
static void show_reply(struct showing *s, struct reply *r, const struct command *head)
{
    s->from = text_of(head, "from");
    s->to = text_of(head, "to");
    s->array = json_array();
    show_lines(s, r);
    if (s->json) {
        json_t *root = json_pack("{s:s, s:b}", "verb", "diff", "ok", 1);
        add_keys(root, head);
        json_object_set(root, "changes", s->array);
        tally_print_json(root, JSON_INDENT(2));
        json_decref(root);
    } else if (s->stat) {
        const struct people_call call = form_call("diff", NULL, 0);
        strbuf_clear(&r->body);
        ctl_show(&call, r);
    }
    json_decref(s->array);
}

/* Prints the error of the command. Returns 1. */
static int failed(const struct showing *s, int err, const struct strbuf *sentence)
{
    if (s->json) {
        json_t *root = json_pack("{s:s, s:b, s:s, s:o}", "verb", "diff", "ok", 0, "error",
                                 command_errno_name(-err), "sentence",
                                 json_text_of(sentence->s, sentence->len));
        tally_print_json(root, JSON_INDENT(2));
        json_decref(root);
    }
    return tally_fail("%s", sentence->s);
}

/* Makes the command of the arguments: NS [NS2]. Names are quoted, so that none is taken for a
 * keyword. A shell completes them with a slash. */
static void build(const struct showing *s, int argc, char **argv, struct strbuf *line)
{
    strbuf_adds(line, "diff");
    for (int i = 0; i < argc; i++) {
        CLEANUP_STRBUF struct strbuf word = STRBUF_INIT;
        size_t len = strlen(argv[i]);
        while (len > 1 && argv[i][len - 1] == '/') {
            argv[i][--len] = 0;
        }
        command_add_word(&word, argv[i]);
        strbuf_addf(line, *word.s == '"' ? " %s" : " \"%s\"", word.s);
    }
    if (s->path) {
        strbuf_adds(line, " path=");
        command_add_word(line, s->path);
    }
    if (s->stat) {
        strbuf_adds(line, " stat");
    }
}

static int run(struct showing *s, int argc, char **argv)
{
    CLEANUP_STRBUF struct strbuf line = STRBUF_INIT;
    struct reply reply = REPLY_INIT;
    struct command_list list;
    build(s, argc, argv, &line);
    int fd = strbuf_error(&line) < 0 ? -ENOMEM : client_open(s->mnt);
    if (fd < 0) {
        CLEANUP_STRBUF struct strbuf why = STRBUF_INIT;
        client_explain(s->mnt, fd, &why);
        return tally_fail("%s", why.s);
    }
    int err = ctl_run_command(fd, line.s, &reply);
    close(fd);
    if (err < 0) {
        s->rc = failed(s, err, &reply.head);
    } else if (!parse(reply.head.s, reply.head.len, &list)) {
        s->rc = tally_fail("the mount gave an answer that cannot be read: %s", reply.head.s);
    } else {
        show_reply(s, &reply, list.items);
        command_list_release(&list);
    }
    reply_release(&reply);
    return s->rc;
}

/* Reads the options. False: one is wrong. */
static bool take_options(int argc, char **argv, struct showing *s)
{
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'},       {"stat", no_argument, NULL, 's'},
        {"patch", no_argument, NULL, 'p'},      {"name-only", no_argument, NULL, 'n'},
        {"path", required_argument, NULL, 'P'}, {NULL, 0, NULL, 0}};
    int o;
    while ((o = form_getopt(argc, argv, "C:z", options)) >= 0) {
        if (o == '?') {
            return false;
        }
        if (o == 'C') {
            tally_mount = optarg;
        }
        if (o == 'P') {
            s->path = optarg;
        }
        s->json |= o == 'j';
        s->stat |= o == 's';
        s->patch |= o == 'p';
        s->names |= o == 'n';
        s->zero |= o == 'z';
    }
    if (s->json + s->stat + s->patch + (s->names || s->zero) > 1 && !(s->json && s->stat)) {
        tally_warn("these options do not go together");
        return false;
    }
    return argc - optind == 1 || argc - optind == 2 || (argc == optind && own_ns_for("diff"));
}

int cmd_diff_run(int argc, char **argv)
{
    struct showing s = {0};
    struct tally_mountinfo m;
    if (!take_options(argc, argv, &s)) {
        return verbs_misuse();
    }
    int err = which_mount(&m);
    if (err < 0) {
        return which_mount_fail(err, &m);
    }
    s.mnt = m.point;
    if (argc > optind) {
        return run(&s, argc - optind, argv + optind);
    }
    if (!own_ns_is_in(&m)) {
        return verbs_misuse();
    }
    CLEANUP_FREE char *own = strdup(own_ns_for("diff"));
    return own ? run(&s, 1, &own) : tally_fail("there is no memory");
}
