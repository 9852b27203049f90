// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_control: the verbs that are one line to the control file. Options become its words
 * ("--idle 30d" and "--idle=30d" → idle=30d, "--force" → force), arguments are quoted so that
 * no name is taken for a keyword, and paths become what they are called in the mount.
 */
#include "tally.h"

#include "client.h"
#include "command.h"
#include "jobs.h"
#include "mountinfo.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

/* How arguments of a verb are to be understood. */
enum arg_kind {
    ARG_TEXT,
    ARG_NS,   /* a namespace, perhaps with the slash that a shell's completion adds */
    ARG_PATH, /* a path in the mount, or an id */
    ARG_ID,   /* an id, or a path to the file whose object is meant */
    ARG_WORD, /* a keyword, then texts */
    ARG_LOG,  /* a keyword, then a namespace, then a text */
    ARG_MOVE, /* paths and ids, then a number */
    ARG_SHARD, /* a keyword, a number, a URL */
};

enum option_bits {
    OPT_FORCE = 1 << 0,
    OPT_IDLE = 1 << 1,
    OPT_WAIT = 1 << 2,
    OPT_UNTIL = 1 << 3,
    OPT_DRY_RUN = 1 << 4,
    OPT_GRACE = 1 << 5,
    OPT_IDLE_FOR = 1 << 6,
    OPT_LARGER = 1 << 7,
    OPT_LIST = 1 << 8,
};

struct shape {
    const char *verb;
    int min, max; /* arguments */
    enum arg_kind kind;
    unsigned options;
};

static const struct shape shapes[] = {
    {"help", 0, 1, ARG_TEXT, 0},
    {"status", 0, 0, ARG_TEXT, 0},
    {"get", 0, 1, ARG_TEXT, 0},
    {"set", 2, 2, ARG_TEXT, 0},
    {"branch", 2, 2, ARG_NS, 0},
    {"drop", 1, 1, ARG_NS, OPT_FORCE},
    {"drain", 0, 1, ARG_TEXT, OPT_IDLE},
    {"du", 0, 1000, ARG_NS, 0},
    {"refs", 1, 1, ARG_PATH, 0},
    {"object", 1, 1, ARG_ID, 0},
    {"why", 1, 1, ARG_ID, 0},
    {"pin", 1, 1, ARG_ID, 0},
    {"unpin", 1, 1, ARG_ID, 0},
    {"rebuild", 0, 0, ARG_TEXT, OPT_WAIT},
    {"compact", 0, 0, ARG_TEXT, OPT_WAIT},
    {"gc", 0, 0, ARG_TEXT, OPT_WAIT | OPT_DRY_RUN | OPT_GRACE},
    {"scrub", 0, 0, ARG_TEXT, OPT_WAIT},
    {"sweep", 0, 0, ARG_TEXT, OPT_WAIT | OPT_DRY_RUN | OPT_LIST},
    {"resolve", 1, 1, ARG_ID, 0},
    {"node", 1, 2, ARG_WORD, 0},
    {"shard", 1, 3, ARG_SHARD, OPT_WAIT},
    {"move", 1, 1000, ARG_MOVE, OPT_WAIT | OPT_IDLE_FOR | OPT_LARGER},
    {"recall", 1, 1000, ARG_PATH, OPT_WAIT},
    {"flush", 0, 1, ARG_TEXT, 0},
    {"wait", 1, 4, ARG_TEXT, 0},
    {"cancel", 1, 1, ARG_TEXT, 0},
    {"log", 2, 3, ARG_LOG, OPT_UNTIL},
};
#define SHAPES (sizeof(shapes) / sizeof(*shapes))

static const struct option long_options[] = {
    {"json", no_argument, NULL, 'j'},        {"wait", no_argument, NULL, 'w'},
    {"force", no_argument, NULL, 'f'},       {"idle", no_argument, NULL, 'i'},
    {"until", required_argument, NULL, 'u'}, {"dry-run", no_argument, NULL, 'n'},
    {"grace", required_argument, NULL, 'g'}, {"larger", required_argument, NULL, 'l'},
    {"list", no_argument, NULL, 'L'},
    {NULL, 0, NULL, 0},
};
#define LONG_IDLE 3 /* of these: with an argument where it is how long */

struct call {
    const struct shape *shape;
    bool json;
    unsigned options;  /* enum option_bits */
    const char *until; /* with OPT_UNTIL */
    const char *grace; /* with OPT_GRACE */
    const char *idle;   /* with OPT_IDLE_FOR */
    const char *larger; /* with OPT_LARGER */
};

static const struct shape *find_shape(const char *verb)
{
    for (size_t i = 0; i < SHAPES; i++) {
        if (strcmp(shapes[i].verb, verb) == 0) {
            return &shapes[i];
        }
    }
    return NULL;
}

static int take_options(int argc, char **argv, struct call *c)
{
    struct option options[sizeof(long_options) / sizeof(*long_options)];
    const bool idle_for = (c->shape->options & OPT_IDLE_FOR) != 0;
    int o;
    memcpy(options, long_options, sizeof(options));
    options[LONG_IDLE].has_arg = idle_for ? required_argument : no_argument;
    while ((o = tally_getopt(argc, argv, "C:", options)) >= 0) {
        unsigned bit = o == 'w'   ? OPT_WAIT
                       : o == 'f' ? OPT_FORCE
                       : o == 'i' ? (idle_for ? OPT_IDLE_FOR : OPT_IDLE)
                       : o == 'l' ? OPT_LARGER
                       : o == 'L' ? OPT_LIST
                       : o == 'u' ? OPT_UNTIL
                       : o == 'n' ? OPT_DRY_RUN
                       : o == 'g' ? OPT_GRACE
                                  : 0;
        if (o == 'C') {
            tally_mount = optarg;
        } else if (o == 'j') {
            c->json = true;
        } else if (bit & c->shape->options) {
            c->options |= bit;
            c->until = bit == OPT_UNTIL ? optarg : c->until;
            c->grace = bit == OPT_GRACE ? optarg : c->grace;
            c->idle = bit == OPT_IDLE_FOR ? optarg : c->idle;
            c->larger = bit == OPT_LARGER ? optarg : c->larger;
        } else {
            return o == '?' ? -EINVAL
                            : (tally_warn("it does not take %s", argv[optind - 1]), -EINVAL);
        }
    }
    int n = argc - optind;
    if (n > c->shape->max) {
        tally_warn("one argument too many: '%s'", argv[optind + c->shape->max]);
    } else if (n < c->shape->min) {
        tally_warn("an argument is missing");
    }
    return n < c->shape->min || n > c->shape->max ? -EINVAL : 0;
}

/* ---- the line ---- */

/* A word that the grammar could take for something else is quoted even if its bytes need not be. */
static bool looks_special(const char *text)
{
    static const char *const keywords[] = {"wait", "force", "dry-run", "list", "idle"};
    for (size_t i = 0; i < sizeof(keywords) / sizeof(*keywords); i++) {
        if (strcmp(text, keywords[i]) == 0) {
            return true;
        }
    }
    return strchr(text, '=') != NULL;
}

static void add_argument(struct strbuf *line, const char *text)
{
    CLEANUP_STRBUF struct strbuf word = STRBUF_INIT;
    command_add_word(&word, text);
    bool quote = word.s[0] != '"' && looks_special(text);
    strbuf_addf(line, quote ? " \"%s\"" : " %s", word.s);
}

/* As it is, where it can be a keyword. */
static void add_keyword(struct strbuf *line, const char *text)
{
    if (*text && text[strspn(text, "abcdefghijklmnopqrstuvwxyz")] == '\0') {
        strbuf_addf(line, " %s", text);
    } else {
        add_argument(line, text);
    }
}

static bool is_id(const char *text)
{
    return strlen(text) == 32 && strspn(text, "0123456789abcdefABCDEF") == 32;
}

/* What `path` is called in the mount at `mnt`, in `inside`; or false: it does not exist there. */
static bool name_inside(const char *mnt, const char *path, char inside[PATH_MAX])
{
    struct tally_mountinfo m;
    return mountinfo_of(path, &m) == 0 && strcmp(m.point, mnt) == 0 &&
           mountinfo_inside(path, inside) == 0 && *inside;
}

static void add_namespace(struct strbuf *line, const char *arg)
{
    CLEANUP_STRBUF struct strbuf name = STRBUF_INIT;
    size_t len = strlen(arg);
    while (len > 1 && arg[len - 1] == '/') {
        len--;
    }
    strbuf_add(&name, arg, len);
    add_argument(line, name.s);
}

static bool takes_paths(const struct call *c)
{
    return c->shape->kind == ARG_PATH || c->shape->kind == ARG_ID || c->shape->kind == ARG_MOVE;
}

/* How many of the arguments are paths, the first ones. */
static int count_paths(const struct call *c, int nargs)
{
    return !takes_paths(c) ? 0 : c->shape->kind == ARG_MOVE ? nargs - 1 : nargs;
}

/* The mount itself knows only ids and NAMESPACE/path. 0, or 1 told. */
static int check_path(const char *mnt, const char *arg)
{
    char inside[PATH_MAX];
    struct stat st;
    if (is_id(arg) || name_inside(mnt, arg, inside) || (*arg != '/' && strchr(arg, '/'))) {
        return 0;
    }
    return lstat(arg, &st) < 0 ? tally_fail("%s: %m", arg)
                               : tally_fail("%s is not a file in %s", arg, mnt);
}

static void add_path(struct strbuf *line, const char *mnt, const char *arg, enum arg_kind kind)
{
    char inside[PATH_MAX], id[33] = "";
    if (is_id(arg) || !name_inside(mnt, arg, inside)) {
        add_argument(line, arg);
        return;
    }
    if (strncmp(inside, ".tally/objects/", 15) == 0 && is_id(strrchr(inside, '/') + 1)) {
        add_argument(line, strrchr(inside, '/') + 1);
        return;
    }
    if (kind == ARG_ID && lgetxattr(arg, "user.tally.object", id, 32) == 32 && is_id(id)) {
        add_argument(line, id);
        return;
    }
    CLEANUP_STRBUF struct strbuf path = STRBUF_INIT;
    strbuf_addf(&path, strchr(inside, '/') ? "%s" : "%s/", inside);
    add_argument(line, path.s);
}

/* The mount's directory is not the caller's. */
static void add_url(struct strbuf *line, const char *url)
{
    char absolute[PATH_MAX];
    CLEANUP_STRBUF struct strbuf whole = STRBUF_INIT;
    if (strncmp(url, "dir:", 4) != 0 || url[4] == '/') {
        add_argument(line, url);
        return;
    }
    if (realpath(url + 4, absolute))
        strbuf_addf(&whole, "dir:%s", absolute);
    else if (getcwd(absolute, sizeof absolute)) /* it is not there, and the answer says where */
        strbuf_addf(&whole, "dir:%s/%s", absolute, url + 4);
    add_argument(line, whole.s ? whole.s : url);
}

static void build_line(struct strbuf *line, const char *mnt, const struct call *c, char **args,
                       int nargs)
{
    strbuf_adds(line, c->shape->verb);
    if (c->options & OPT_IDLE) {
        strbuf_adds(line, " idle");
    }
    for (int i = 0; i < nargs; i++) {
        if (c->shape->kind == ARG_LOG && i == 0) {
            strbuf_addf(line, " %s", args[i]);
        } else if ((c->shape->kind == ARG_WORD || c->shape->kind == ARG_SHARD) && i == 0) {
            add_keyword(line, args[i]);
        } else if (c->shape->kind == ARG_SHARD && i == 2) {
            add_url(line, args[i]);
        } else if (c->shape->kind == ARG_WORD || c->shape->kind == ARG_SHARD ||
                   (c->shape->kind == ARG_MOVE && i + 1 == nargs)) {
            add_argument(line, args[i]);
        } else if (c->shape->kind == ARG_TEXT || (c->shape->kind == ARG_LOG && i == 2)) {
            add_argument(line, args[i]);
        } else if (c->shape->kind == ARG_NS || c->shape->kind == ARG_LOG) {
            add_namespace(line, args[i]);
        } else {
            add_path(line, mnt, args[i], c->shape->kind);
        }
    }
    if (c->options & OPT_FORCE) {
        strbuf_adds(line, " force");
    }
    if (c->options & OPT_DRY_RUN) {
        strbuf_adds(line, " dry-run");
    }
    if (c->options & OPT_LIST) {
        strbuf_adds(line, " list");
    }
    if (c->options & OPT_IDLE_FOR) {
        strbuf_adds(line, " idle=");
        command_add_word(line, c->idle);
    }
    if (c->options & OPT_LARGER) {
        strbuf_adds(line, " larger=");
        command_add_word(line, c->larger);
    }
    if (c->options & OPT_GRACE) {
        strbuf_adds(line, " grace=");
        command_add_word(line, c->grace);
    }
    if (c->options & OPT_UNTIL) {
        strbuf_adds(line, " until=");
        command_add_word(line, c->until);
    }
    if (c->options & OPT_WAIT) {
        strbuf_adds(line, " wait");
    }
}

/* ---- the reply ---- */

static void print_text(const struct reply *r)
{
    if (r->head.len > 0) {
        puts(r->head.s);
    }
    fwrite(r->body.s, 1, r->body.len, stdout);
}

/* Bytes that are no UTF-8 become '?': JSON has no place for them. */
static json_t *json_text(const char *text, size_t len)
{
    json_t *ret = json_stringn(text, len);
    if (ret) {
        return ret;
    }
    CLEANUP_STRBUF struct strbuf plain = STRBUF_INIT;
    for (size_t i = 0; i < len; i++) {
        strbuf_add(&plain, (unsigned char)text[i] < 0x80 ? text + i : "?", 1);
    }
    return json_stringn(plain.s, plain.len);
}

/* A decimal number becomes one, unless the key holds names: a namespace may be called "7". */
static json_t *json_value(const char *key, const char *value)
{
    static const char *const names[] = {"ns", "id", "snapshot", "label", "url", "why"};
    uint64_t n;
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        if (strcmp(key, names[i]) == 0) {
            return json_text(value, strlen(value));
        }
    }
    if (command_number(value, &n) == 0 && n <= INT64_MAX) {
        return json_integer((json_int_t)n);
    }
    return json_text(value, strlen(value));
}

/* The reply's first line has the grammar of a command: "ok key=value …". */
static void add_keys(json_t *root, const char *head)
{
    CLEANUP_STRBUF struct strbuf line = STRBUF_INIT, why = STRBUF_INIT;
    struct command_list list;
    strbuf_addf(&line, "ok %s", head);
    if (command_parse(line.s, line.len, &list, &why) < 0) {
        json_object_set_new(root, "text", json_text(head, strlen(head)));
        return;
    }
    for (size_t i = 0; list.count > 0 && i < list.items[0].noptions; i++) {
        const struct command_option *o = &list.items[0].options[i];
        json_object_set_new(root, o->key, json_value(o->key, o->value));
    }
    command_list_release(&list);
}

static void print_json(const char *verb, int err, const struct reply *r)
{
    json_t *root = json_object(), *lines = json_array();
    json_object_set_new(root, "verb", json_string(verb));
    json_object_set_new(root, "ok", json_boolean(err == 0));
    if (err < 0) {
        json_object_set_new(root, "error", json_string(command_errno_name(-err)));
        json_object_set_new(root, "sentence", json_text(r->head.s, r->head.len));
    } else {
        add_keys(root, r->head.s);
    }
    for (const char *p = r->body.s; *p;) {
        size_t n = strcspn(p, "\n");
        json_array_append_new(lines, json_text(p, n));
        p += n + (p[n] == '\n');
    }
    json_object_set_new(root, "lines", lines);
    json_dumpf(root, stdout, JSON_PRESERVE_ORDER | JSON_INDENT(2));
    putchar('\n');
    json_decref(root);
}

/* ---- the call ---- */

/* The mount meant: -C, the current directory's, or the one that a path argument lies in. */
static int find_mount(const struct call *c, char **args, int nargs, struct tally_mountinfo *ret)
{
    int err = mountinfo_of(tally_mount ? tally_mount : ".", ret);
    for (int i = 0; err < 0 && !tally_mount && i < count_paths(c, nargs); i++) {
        err = mountinfo_of(args[i], ret);
    }
    return err;
}

/* ---- waiting on a terminal ---- */

static bool is_wait(const struct call *c)
{
    return strcmp(c->shape->verb, "wait") == 0;
}

/* Is somebody looking while it waits for a job? */
static bool is_watched(const struct call *c)
{
    return !c->json && ((c->options & OPT_WAIT) || is_wait(c)) && isatty(STDERR_FILENO);
}

/* "… job=7" */
static bool job_of(const char *head, uint64_t *ret)
{
    const char *at = strstr(head, "job=");
    char text[32];
    if (!at) {
        return false;
    }
    snprintf(text, sizeof(text), "%.*s", (int)strspn(at + 4, "0123456789"), at + 4);
    return command_number(text, ret) == 0;
}

static int wait_watched(struct client *client, const char *mnt, const char *line, uint64_t number,
                        struct reply *ret)
{
    struct bar *bar = bar_start(mnt, number);
    int err = client_run(client, line, ret);
    bar_stop(bar);
    return err;
}

/* What the mount does by itself with `wait` in two steps, since the number of the job is needed:
 * the job is started, then waited for. */
static int run_watched(struct client *client, const char *mnt, const struct call *c,
                       const char *line, char **args, int nargs, struct reply *ret)
{
    CLEANUP_STRBUF struct strbuf words = STRBUF_INIT;
    struct reply started = REPLY_INIT;
    struct call start = *c;
    uint64_t number;
    if (is_wait(c)) {
        return nargs > 0 && command_number(args[0], &number) == 0
                   ? wait_watched(client, mnt, line, number, ret)
                   : client_run(client, line, ret);
    }
    start.options &= ~(unsigned)OPT_WAIT;
    build_line(&words, mnt, &start, args, nargs);
    int err = strbuf_error(&words) ? -ENOMEM : client_run(client, words.s, &started);
    if (err < 0 || !job_of(started.head.s, &number)) {
        *ret = started;
        return err;
    }
    strbuf_clear(&words);
    strbuf_addf(&words, "wait %llu", (unsigned long long)number);
    err = wait_watched(client, mnt, words.s, number, ret);
    if (err == 0) {
        strbuf_addf(&ret->head, "%s%s", ret->head.len ? " " : "", started.head.s);
    }
    reply_release(&started);
    return err;
}

/* A mount that is ro takes no commands, but how the store is can be read. */
static int run_readonly(const struct call *c, const char *mnt)
{
    if (strcmp(c->shape->verb, "status") == 0 && !c->json) {
        int err = client_copy_status(mnt);
        return err < 0 ? tally_fail("%s/.tally/status: %s", mnt, strerror(-err)) : 0;
    }
    return tally_fail("%s is mounted ro and takes no commands (`mount -o remount,rw %s`); "
                      "%s/.tally/%s can be read",
                      mnt, mnt, mnt, c->json ? "stats.json" : "status");
}

static int run_in_mount(const struct call *c, const char *mnt, char **args, int nargs)
{
    CLEANUP_STRBUF struct strbuf line = STRBUF_INIT;
    struct reply reply = REPLY_INIT;
    struct client client;
    for (int i = 0; i < count_paths(c, nargs); i++) {
        if (check_path(mnt, args[i])) {
            return 1;
        }
    }
    build_line(&line, mnt, c, args, nargs);
    int err = strbuf_error(&line);
    if (err == 0) {
        err = client_open(mnt, &client);
    }
    if (err == -ENOTCONN || err == -ECONNABORTED) {
        return tally_fail("the daemon of %s is gone; `tally umount %s`, then mount it again", mnt,
                          mnt);
    }
    if (err == -EROFS) {
        return run_readonly(c, mnt);
    }
    if (err < 0) {
        return tally_fail("%s/.tally/control: %s%s", mnt, strerror(-err),
                          err == -EACCES ? " (ctl_group and ctl_mode of tally-mount(1) let others "
                                           "command)"
                                         : "");
    }
    err = is_watched(c) ? run_watched(&client, mnt, c, line.s, args, nargs, &reply)
                        : client_run(&client, line.s, &reply);
    client_close(&client);
    if (c->json) {
        print_json(c->shape->verb, err, &reply);
    } else if (err == 0) {
        print_text(&reply);
    }
    if (err < 0) {
        tally_warn("%s", reply.head.s);
    }
    reply_release(&reply);
    return err < 0;
}

/* `tally help` outside any mount describes the program. */
static int help_outside(char **args, int nargs)
{
    const struct verb *v = nargs > 0 ? tally_find_verb(args[0]) : NULL;
    if (v) {
        return tally_help(v);
    }
    if (nargs > 0) {
        return tally_fail("there is no verb '%s'; `tally --help` lists them", args[0]);
    }
    tally_usage(stdout);
    return 0;
}

int cmd_control_run(int argc, char **argv)
{
    struct call c = {.shape = find_shape(argv[0])};
    struct tally_mountinfo m;
    if (take_options(argc, argv, &c) < 0) {
        return tally_misuse(tally_find_verb(argv[0]));
    }
    char **args = argv + optind;
    int nargs = argc - optind;
    bool help = strcmp(c.shape->verb, "help") == 0;
    const struct verb *asked = help && nargs > 0 ? tally_find_verb(args[0]) : NULL;
    if (asked && asked->run != cmd_control_run) {
        return tally_help(asked); /* no mount knows `mount` */
    }
    int err = find_mount(&c, args, nargs, &m);
    if (err == 0) {
        return run_in_mount(&c, m.point, args, nargs);
    }
    if (help && !tally_mount) {
        return help_outside(args, nargs);
    }
    return tally_no_mount(err, &m);
}

const struct verb cmd_control_verbs[] = {
    {"help", cmd_control_run, "[VERB]", "what the mount's verbs do", NULL},
    {"status", cmd_control_run, "", "how the store is", NULL},
    {"get", cmd_control_run, "[KEY]", "settings, with their ranges and defaults", NULL},
    {"set", cmd_control_run, "KEY VALUE", "change a setting; it stays with the store",
     "ns:NAME.KEY is the setting KEY of the namespace NAME.\n"},
    {"branch", cmd_control_run, "NS NEW", "a new namespace with the content of another, at once",
     NULL},
    {"drop", cmd_control_run, "[--force] NS", "remove a namespace with everything in it",
     "  --force  also when files are open in it\n"},
    {"drain", cmd_control_run, "[--idle] [DUR]", "wait until everything is on disk",
     "  --idle   until nothing at all is pending, not only what came before\n"
     "  DUR      wait at most so long, as 30s or 5m\n"},
    {"flush", cmd_control_run, "[NAME]", "begin to make durable what is there",
     "  NAME     is told by tally wait ticket T, and kept in .tally/flushes\n"},
    {"du", cmd_control_run, "[NS...]", "what namespaces take, and what dropping one gives back",
     NULL},
    {"refs", cmd_control_run, "ID|PATH", "how many references an object has", NULL},
    {"object", cmd_control_run, "ID|PATH", "what is known of an object", NULL},
    {"why", cmd_control_run, "ID|PATH", "why an object is still there", NULL},
    {"pin", cmd_control_run, "ID|PATH", "keep an object, whoever else needs it", NULL},
    {"unpin", cmd_control_run, "ID|PATH", "take the pin away again", NULL},
    {"rebuild", cmd_control_run, "[--wait]", "count all references anew, as a job",
     "  --wait   return when the job has ended\n"},
    {"compact", cmd_control_run, "[--wait]", "rewrite packs of which much is dead, as a job",
     "  --wait   return when the job has ended\n"},
    {"gc", cmd_control_run, "[--dry-run] [--grace DUR] [--wait]",
     "delete what nothing needs, found by an earlier run, as a job",
     "  --dry-run    only say what would happen\n"
     "  --grace DUR  how long something must have been found so before; else grace_period\n"
     "  --wait       return when the job has ended\n"},
    {"shard", cmd_control_run, "list | add N URL | drain N [--wait] | remove N",
     "other places for objects: a second disk",
     "  add N URL  from now on objects can be moved there; URL: dir:PATH, N: 1 to 65535\n"
     "  drain N    bring all home from there, as a job; nothing is moved there any more\n"
     "  remove N   give it up, when nothing of the store is there\n"
     "  --wait     return when the drain has ended\n"},
    {"move", cmd_control_run, "[PATH|ID...] [--idle DUR] [--larger SIZE] N [--wait]",
     "move objects to shard N, as a job",
     "  --idle DUR     only what was not opened for so long: 30d\n"
     "  --larger SIZE  only what is larger: 1G\n"
     "  --wait         return when the job has ended\n"},
    {"recall", cmd_control_run, "PATH|ID... [--wait]",
     "bring objects home from other shards, as a job",
     "  --wait   return when the job has ended\n"},
    {"resolve", cmd_control_run, "ID|PATH", "on which shard an object is; 0: at home", NULL},
    {"sweep", cmd_control_run, "[--dry-run] [--list] [--wait]",
     "ask the other shards whether they have all that was moved there, as a job",
     "  --dry-run  only say what would happen\n"
     "  --list     say each object that is not simply kept (with --wait, or in the job's file)\n"
     "  --wait     return when the job has ended\n"},
    {"scrub", cmd_control_run, "[--wait]",
     "read everything again, and name the files of what is damaged, as a job",
     "  --wait   return when the job has ended\n"},
    {"node", cmd_control_run, "list | retire N | prune", "who uses the store's shard",
     "  retire N  that stale node is gone for good; prune: all stale ones\n"},
    {"jobs", cmd_jobs_run, "[JOB]", "what runs, how far it is, and what has ended", NULL},
    {"wait", cmd_control_run, "JOB [DUR] | ticket T [DUR] | durable NS [SEQ] [DUR]",
     "wait for a job, a flush, or a namespace",
     "  ticket T    until the flush of that ticket is durable (tally flush)\n"
     "  durable NS  until all changes of the namespace are, or those up to number SEQ\n"},
    {"cancel", cmd_control_run, "JOB", "end a job early", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
