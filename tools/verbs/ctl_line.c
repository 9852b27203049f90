// SPDX-License-Identifier: Apache-2.0
#include "ctl.h"

#include "command.h"
#include "form.h"
#include "own_ns.h"
#include "say.h"
#include "which_mount.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define ARGS_MAX 1000 /* the most arguments of a verb that takes any number */

static const char *const names[CTL_OPTIONS] = {
    [CTL_FORCE] = "force",     [CTL_NOW] = "now",
    [CTL_AS] = "as",           [CTL_DRY_RUN] = "dry-run",
    [CTL_LIST] = "list",       [CTL_IDLE] = "idle",
    [CTL_LARGER] = "larger",   [CTL_GRACE] = "grace",
    [CTL_UNTIL] = "until",     [CTL_CONFLICTS] = "conflicts",
    [CTL_SET] = "set",         [CTL_BASE] = "base",
    [CTL_TTL] = "ttl",         [CTL_ARCHIVE] = "archive",
    [CTL_READ] = "read",       [CTL_FULL] = "full",
    [CTL_LINEAGE] = "lineage", [CTL_NS] = "ns",
    [CTL_LAST] = "last",       [CTL_WITH] = "with",
    [CTL_WAIT] = "wait",       [CTL_ALL] = "all",
    [CTL_BYTES] = "bytes",     [CTL_SINCE] = "since",
};

/* ---- the command line ---- */

/* How the synopsis has an option: required_argument, no_argument; optional_argument means that it
 * is not there. */
static int find_option(const char *synopsis, const char *name)
{
    const size_t len = strlen(name);
    for (const char *at = strstr(synopsis, "[--"); at; at = strstr(at + 1, "[--")) {
        if (strncmp(at + 3, name, len) == 0 && (at[3 + len] == ']' || at[3 + len] == ' ')) {
            return at[3 + len] == ' ' ? required_argument : no_argument;
        }
    }
    return optional_argument;
}

/* Notes an option. False, after a sentence: there are too many of it. */
static bool note_option(struct ctl_call *c, int option)
{
    if (option == CTL_SET) {
        if (c->set_count == CTL_SETS_MAX) {
            tally_warn("--set is given too often");
            return false;
        }
        c->sets[c->set_count++] = optarg;
    }
    c->options[option].given = true;
    c->options[option].value = optarg;
    return true;
}

/* Reads the options. getopt_long(3) knows those of all verbs, so that the complaint can name an
 * option that this verb does not take. */
static int take_options(int argc, char **argv, struct ctl_call *c)
{
    struct option options[CTL_OPTIONS + 2] = {[CTL_OPTIONS] = {"json", no_argument, NULL, 'j'}};
    int o;
    for (int i = 0; i < CTL_OPTIONS; i++) {
        options[i] = (struct option){names[i], find_option(c->verb->synopsis, names[i]), NULL, i};
    }
    while ((o = form_getopt(argc, argv, "C:n:", options)) >= 0) {
        o = o == 'n' ? CTL_LAST : o;
        if (o == 'C') {
            tally_mount = optarg;
        } else if (o == 'j') {
            c->json = true;
        } else if (o == '?') {
            return -EINVAL;
        } else if (options[o].has_arg == optional_argument) {
            tally_warn("it does not take %s", argv[optind - 1]);
            return -EINVAL;
        } else if (!note_option(c, o)) {
            return -EINVAL;
        }
    }
    return 0;
}

static int max_args(const char *args)
{
    return strchr(args, '*') ? ARGS_MAX : (int)strlen(args);
}

int ctl_parse(int argc, char **argv, struct ctl_call *ret)
{
    *ret = (struct ctl_call){.verb = verbs_find(argv[0])};
    int err = take_options(argc, argv, ret);
    if (err < 0) {
        return err;
    }
    const int max = max_args(ret->verb->args);
    ret->args = argv + optind;
    ret->nargs = argc - optind;
    if (ret->nargs > max) {
        tally_warn("one argument too many: '%s'", ret->args[max]);
        return -EINVAL;
    }
    if (ret->nargs == 0 && !ret->options[CTL_NS].given) {
        ret->own_ns = (char *)(uintptr_t)own_ns_for(ret->verb->name);
    }
    if (ret->nargs < ret->verb->min && !ret->own_ns) {
        tally_warn("an argument is missing");
        return -EINVAL;
    }
    return 0;
}

/* The kind of that argument, from the row of the verb. Behind a repeated kind the last arguments
 * have the kinds that follow it. */
static char kind_of(const struct ctl_call *c, int arg)
{
    const char *args = c->verb->args;
    if (*args && args[1] == '*') {
        const int last = (int)strlen(args + 2), left = c->nargs - arg;
        return left > last ? *args : args[2 + last - left];
    }
    const size_t fixed = strlen(args); /* the last kind may be repeated */
    return fixed > 1 && args[fixed - 1] == '*' && arg + 2 >= (int)fixed ? args[fixed - 2]
                                                                        : args[arg];
}

static bool is_path(const struct ctl_call *c, int arg)
{
    const char kind = kind_of(c, arg);
    return kind == ARG_PATH || kind == ARG_ID;
}

/* ---- the mount ---- */

int ctl_find_mount(const struct ctl_call *c, struct tally_mountinfo *ret)
{
    int err = which_mount(ret);
    for (int i = 0; err < 0 && !tally_mount && i < c->nargs; i++) {
        err = is_path(c, i) ? mountinfo_of(c->args[i], ret) : err;
    }
    return err;
}

int ctl_take_own(struct ctl_call *c, const struct tally_mountinfo *m)
{
    const bool own = c->own_ns && own_ns_is_in(m);
    if (own && find_option(c->verb->synopsis, names[CTL_NS]) == required_argument) {
        c->options[CTL_NS].given = true; /* as an argument a decimal name is a number */
        c->options[CTL_NS].value = c->own_ns;
    } else if (own) {
        c->args = &c->own_ns;
        c->nargs = 1;
    }
    if (c->nargs < c->verb->min) {
        tally_warn("an argument is missing");
        return -EINVAL;
    }
    return 0;
}

static bool is_id(const char *text)
{
    return strlen(text) == 32 && strspn(text, "0123456789abcdefABCDEF") == 32;
}

/* Where the path argument is: below the directory of -C if it is relative and there is such a file,
 * as `git -C` takes it; else as it stands. */
static const char *place_of(const char *arg, char buf[PATH_MAX])
{
    struct stat st;
    if (!tally_mount || *arg == '/' ||
        snprintf(buf, PATH_MAX, "%s/%s", tally_mount, arg) >= PATH_MAX) {
        return arg;
    }
    return lstat(buf, &st) == 0 ? buf : arg;
}

/* The name of `path` in the mount at `mnt`. False: it is not there. */
static bool name_inside(const char *mnt, const char *path, char inside[PATH_MAX])
{
    struct tally_mountinfo m;
    char dev[sizeof(m.dev)];
    return mountinfo_of(path, &m) == 0 && mountinfo_dev(mnt, dev) == 0 && strcmp(m.dev, dev) == 0 &&
           mountinfo_inside(path, inside) == 0 && *inside;
}

/* Checks one path argument. A relative path with a slash may be NAMESPACE/path, which only the
 * mount can check. 0, or 1 after a sentence. */
static int check_path(const char *mnt, const char *arg)
{
    char inside[PATH_MAX], place[PATH_MAX];
    struct stat st;
    if (is_id(arg) || name_inside(mnt, place_of(arg, place), inside) ||
        (*arg != '/' && strchr(arg, '/'))) {
        return 0;
    }
    if (lstat(arg, &st) == 0) {
        return tally_fail("%s is not a file in %s", arg, mnt);
    }
    return client_is_gone(-errno) ? 0 /* then the control file cannot be opened, either */
                                  : tally_fail("%s: %m", arg);
}

int ctl_check_paths(const struct ctl_call *c, const char *mnt)
{
    int rc = 0;
    for (int i = 0; rc == 0 && i < c->nargs; i++) {
        rc = is_path(c, i) ? check_path(mnt, c->args[i]) : 0;
    }
    return rc;
}

/* ---- the line ---- */

/* Could the grammar take the word for something else? Then it is quoted even if its bytes need not
 * be. */
static bool looks_special(const char *text)
{
    for (int i = 0; i < CTL_OPTIONS; i++) {
        if (strcmp(text, names[i]) == 0) {
            return true;
        }
    }
    return strchr(text, '=');
}

static void add_text(struct strbuf *line, const char *text)
{
    CLEANUP_STRBUF struct strbuf word = STRBUF_INIT;
    command_add_word(&word, text);
    bool quote = word.s[0] != '"' && looks_special(text);
    strbuf_addf(line, quote ? " \"%s\"" : " %s", word.s);
}

/* Adds a keyword, without quotes if it looks like one. */
static void add_keyword(struct strbuf *line, const char *text)
{
    if (*text && text[strspn(text, "abcdefghijklmnopqrstuvwxyz")] == '\0') {
        strbuf_addf(line, " %s", text);
    } else {
        add_text(line, text);
    }
}

/* Adds a namespace without the slashes at its end, which the completion of a shell adds. */
static void add_namespace(struct strbuf *line, const char *arg)
{
    CLEANUP_STRBUF struct strbuf name = STRBUF_INIT;
    size_t len = strlen(arg);
    while (len > 1 && arg[len - 1] == '/') {
        len--;
    }
    strbuf_add(&name, arg, len);
    add_text(line, name.s);
}

const char *ctl_absolute_url(const char *url, struct strbuf *buf)
{
    char absolute[PATH_MAX];
    if (strncmp(url, "dir:", 4) != 0 || url[4] == '/') {
        return url;
    }
    if (realpath(url + 4, absolute)) {
        strbuf_addf(buf, "dir:%s", absolute);
    } else if (getcwd(absolute, sizeof absolute)) { /* it does not exist; the error will name it */
        strbuf_addf(buf, "dir:%s/%s", absolute, url + 4);
    }
    return buf->s ? buf->s : url;
}

static void add_url(struct strbuf *line, const char *url)
{
    CLEANUP_STRBUF struct strbuf whole = STRBUF_INIT;
    add_text(line, ctl_absolute_url(url, &whole));
}

/* Adds a path as the mount knows it: as an id if it is an object below .tally, or if the verb wants
 * one, else as NAMESPACE/path. */
static void add_path(struct strbuf *line, const char *mnt, const char *arg, bool wants_id)
{
    char inside[PATH_MAX], id[33] = "", place[PATH_MAX];
    const char *path_to = place_of(arg, place);
    if (is_id(arg) || !name_inside(mnt, path_to, inside)) {
        add_text(line, arg);
        return;
    }
    if (strncmp(inside, ".tally/objects/", 15) == 0 && is_id(strrchr(inside, '/') + 1)) {
        add_text(line, strrchr(inside, '/') + 1);
        return;
    }
    if (wants_id && lgetxattr(path_to, "user.tally.object", id, 32) == 32 && is_id(id)) {
        add_text(line, id);
        return;
    }
    CLEANUP_STRBUF struct strbuf path = STRBUF_INIT;
    strbuf_addf(&path, strchr(inside, '/') ? "%s" : "%s/", inside);
    add_text(line, path.s);
}

/* Adds one argument in the form that its kind needs. */
static void add_argument(struct strbuf *line, const char *mnt, const char *arg, char kind)
{
    switch (kind) {
    case ARG_KEYWORD:
        if (strchr(arg, '/')) /* no keyword has one */
            add_namespace(line, arg);
        else
            add_keyword(line, arg);
        return;
    case ARG_NAMESPACE:
        add_namespace(line, arg);
        return;
    case ARG_PATH:
    case ARG_ID:
        add_path(line, mnt, arg, kind == ARG_ID);
        return;
    case ARG_URL:
        add_url(line, arg);
        return;
    default:
        add_text(line, arg);
    }
}

static void add_option(struct strbuf *line, const struct ctl_call *c, enum ctl_option o)
{
    if (!c->options[o].given || o == CTL_WITH || o == CTL_ALL || o == CTL_BYTES) {
        return;
    }
    for (size_t i = 0; i < (o == CTL_SET ? c->set_count : 1); i++) {
        const char *value = o == CTL_SET ? c->sets[i] : c->options[o].value;
        strbuf_addf(line, " %s", names[o]);
        if (value) {
            CLEANUP_STRBUF struct strbuf url = STRBUF_INIT;
            strbuf_adds(line, "=");
            command_add_word(line, o == CTL_ARCHIVE ? ctl_absolute_url(value, &url) : value);
        }
    }
}

void ctl_build(const struct ctl_call *c, const char *mnt, struct strbuf *line)
{
    bool idle_first = !c->options[CTL_IDLE].value; /* drain [idle] [DUR] */
    strbuf_adds(line, c->verb->name);
    if (idle_first) {
        add_option(line, c, CTL_IDLE);
    }
    for (int i = 0; i < c->nargs; i++) {
        add_argument(line, mnt, c->args[i], kind_of(c, i));
    }
    for (int o = 0; o < CTL_OPTIONS; o++) {
        if (o != CTL_IDLE || !idle_first) {
            add_option(line, c, (enum ctl_option)o);
        }
    }
}
