// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_exec: makes a branch, runs a command in it (exec_run.h), and then keeps, drops or commits it.
 *
 * The branch is made before the command has mounts of its own, and ended after it, by the control
 * file as any other. So a branch is left only if this process is killed.
 */
#include "client.h"
#include "ctl.h"
#include "exec_run.h"
#include "form.h"
#include "namespaces.h"
#include "own_ns.h"
#include "say.h"
#include "verbs.h"
#include "which_mount.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAMES_MAX 100000 /* of branches with a name of ours that are tried */

enum ending {
    END_NONE, /* there is no branch */
    END_KEEP,
    END_DISCARD,
    END_COMMIT, /* if the command succeeds; else as END_KEEP */
};

struct exec {
    char *ns;
    char **argv; /* the command */
    bool json;
    enum ending ending;
    const char *wanted;        /* the name that --branch= gives; NULL: a name of ours */
    char branch[NAME_MAX + 1]; /* "": none */
    char *shell[2];            /* what `argv` points to if no command is given */
    struct exec_place place;
};

/* ---- commands to the store ---- */

struct command {
    const char *verb;
    const char *args; /* the kinds of its words, as in a row of verbs.c */
    const char *words[2];
    bool force, now;
};

/* Sends a command. 0, or -errno with the sentence in reply->head. */
static int send(const struct exec *e, const struct command *command, struct reply *reply)
{
    CLEANUP_STRBUF struct strbuf line = STRBUF_INIT;
    const struct verb v = {.name = command->verb, .args = command->args};
    char *words[2] = {(char *)(uintptr_t)command->words[0], (char *)(uintptr_t)command->words[1]};
    struct ctl_call c = {.verb = &v, .args = words, .nargs = (int)strlen(command->args)};
    c.options[CTL_FORCE].given = command->force;
    c.options[CTL_NOW].given = command->now;
    ctl_build(&c, e->place.m.point, &line);
    int err = strbuf_error(&line);
    int fd = err < 0 ? err : client_open(e->place.m.point);
    if (fd < 0) {
        client_explain(e->place.m.point, fd, &reply->head);
        return fd;
    }
    err = client_run(fd, line.s, reply);
    close(fd);
    return err;
}

/* The same, and prints the sentence of a failure, unless it is `expected`. */
static int send_or_say(const struct exec *e, const struct command *command, int expected,
                       struct reply *reply)
{
    int err = send(e, command, reply);
    if (err < 0 && err != expected) {
        fwrite(reply->body.s, 1, reply->body.len, stderr); /* such as conflicts */
        tally_warn("%s", reply->head.s);
    }
    return err;
}

/* ---- the branch ---- */

/* Makes a branch of that name. 0 or -errno, after a sentence unless it is `expected`. */
static int branch_as(struct exec *e, const char *name, int expected)
{
    const struct command branch = {.verb = "branch", .args = "nn", .words = {e->ns, name}};
    struct reply reply = REPLY_INIT;
    int err = send_or_say(e, &branch, expected, &reply);
    reply_release(&reply);
    if (err == 0) {
        snprintf(e->branch, sizeof(e->branch), "%s", name);
    }
    return err;
}

/* Makes the branch. A name of ours is NS-exec-N with the first N that is free; of a long NS as much
 * as fits. */
static int make_branch(struct exec *e)
{
    char name[NAME_MAX + 1];
    int err = -EEXIST;
    if (e->wanted) {
        return branch_as(e, e->wanted, 0);
    }
    for (unsigned n = 1; err == -EEXIST && n <= NAMES_MAX; n++) {
        snprintf(name, sizeof(name), "%.230s-exec-%u", e->ns, n);
        err = branch_as(e, name, n < NAMES_MAX ? -EEXIST : 0);
    }
    return err;
}

/* With `now` not into the trash, where what was discarded would take room for a day. */
static int drop_branch(const struct exec *e, bool now)
{
    const struct command drop = {
        .verb = "drop", .args = "n", .words = {e->branch}, .force = true, .now = now};
    struct reply reply = REPLY_INIT;
    int err = send_or_say(e, &drop, 0, &reply);
    reply_release(&reply);
    return err;
}

/* Commits, and says which change did that: undo without a number is about the newest one, which
 * will be the drop of the branch. Names come before seq= in the reply, and may look like it. */
static int commit_branch(const struct exec *e)
{
    struct reply reply = REPLY_INIT;
    int err = send_or_say(e, &(struct command){.verb = "commit", .args = "n", .words = {e->branch}},
                          0, &reply);
    const char *seq = NULL;
    for (const char *at = reply.head.s; err == 0 && (at = strstr(at, " seq=")); at++) {
        seq = at + strlen(" seq=");
    }
    if (seq && !e->json) {
        const int len = (int)strspn(seq, "0123456789");
        tally_warn("'%s' has what was done, by change %.*s; while the state before is kept, `tally "
                   "undo %.*s` takes it back",
                   e->ns, len, seq, len, seq);
    }
    reply_release(&reply);
    return err;
}

/* ---- the end ---- */

struct outcome {
    int code; /* of the command */
    bool run; /* the command was run */
    bool committed, kept;
};

static void say_json(const struct exec *e, const struct outcome *o)
{
    json_t *root = json_object();
    json_object_set_new(root, "verb", json_string("exec"));
    json_object_set_new(root, "ok", json_boolean(o->run));
    json_object_set_new(root, "ns", json_string(e->ns));
    json_object_set_new(root, "branch", *e->branch ? json_string(e->branch) : json_null());
    json_object_set_new(root, "kept", json_boolean(o->kept));
    json_object_set_new(root, "committed", json_boolean(o->committed));
    json_object_set_new(root, "code", json_integer(o->code));
    json_dumpf(root, stderr, JSON_COMPACT | JSON_PRESERVE_ORDER);
    fputc('\n', stderr);
    json_decref(root);
}

static void say_kept(const struct exec *e, const struct outcome *o)
{
    if (e->ending == END_COMMIT && o->code != 0) {
        tally_warn("exit code %d: '%s' is not changed", o->code, e->ns);
    }
    tally_warn("the branch '%s' is kept: `tally diff %s` shows what it changed, `tally commit %s` "
               "takes that into '%s', `tally drop %s` removes it",
               e->branch, e->branch, e->branch, e->ns, e->branch);
}

/* Does with the branch what was asked for. Returns 0, or 1 if that failed. */
static int end_branch(const struct exec *e, struct outcome *o)
{
    int err = 0;
    bool drop = e->ending == END_DISCARD || !o->run;
    if (e->ending == END_COMMIT && o->run && o->code == 0) {
        err = commit_branch(e);
        o->committed = drop = err == 0;
    }
    o->kept = !drop || drop_branch(e, !o->committed) < 0;
    if (o->kept && drop) {
        err = -EBUSY; /* its sentence was printed */
    }
    if (o->kept && !e->json) {
        say_kept(e, o);
    }
    return err < 0;
}

/* ---- the command line ---- */

static int take_options(int argc, char **argv, struct exec *e)
{
    static const struct option options[] = {
        {"branch", optional_argument, NULL, 'b'},
        {"discard", no_argument, NULL, 'd'},
        {"commit-on-success", no_argument, NULL, 'c'},
        {"json", no_argument, NULL, 'j'},
        {NULL, 0, NULL, 0},
    };
    int o, endings = 0;
    /* '-': other words are given as 1. The second one begins the command, whose options follow. */
    while ((o = form_getopt(argc, argv, "-C:", options)) >= 0) {
        if (o == 1 && e->ns) {
            optind--;
            break;
        }
        switch (o) {
        case 1:
            e->ns = optarg;
            break;
        case 'C':
            tally_mount = optarg;
            break;
        case 'j':
            e->json = true;
            break;
        case '?':
            return verbs_misuse();
        default:
            e->ending = o == 'b' ? END_KEEP : o == 'd' ? END_DISCARD : END_COMMIT;
            e->wanted = o == 'b' ? optarg : e->wanted;
            endings++;
        }
    }
    if (endings > 1) {
        tally_warn("--branch, --discard and --commit-on-success exclude each other");
        return verbs_misuse();
    }
    if (!e->ns && optind < argc) {
        e->ns = argv[optind++];
    }
    if (!e->ns) {
        tally_warn("an argument is missing");
        return verbs_misuse();
    }
    e->argv = argv + optind;
    if (optind == argc) {
        const char *shell = getenv("SHELL");
        e->shell[0] = (char *)(uintptr_t)(shell && *shell ? shell : "/bin/sh");
        e->argv = e->shell;
    }
    return 0;
}

/* Removes the slashes at its end, which the completion of a shell adds. */
static void trim_ns(char *ns)
{
    for (size_t len = strlen(ns); len > 1 && ns[len - 1] == '/'; len--) {
        ns[len - 1] = '\0';
    }
}

/* Finds the store and where the namespace stands. 0, or 1 after a sentence. */
static int find_place(struct exec *e)
{
    struct tally_mountinfo m;
    int err = which_mount(&m);
    if (err < 0) {
        return which_mount_fail(err, &m);
    }
    if (ns_check_name(e->ns) < 0) {
        return tally_fail("'%s' is not the name of a namespace", e->ns);
    }
    if (!exec_find_place(&m, e->ns, tally_mount ? tally_mount : ".", &e->place)) {
        return tally_fail("there is no namespace '%s' in %s, or it cannot be seen here", e->ns,
                          m.point);
    }
    if (e->ending != END_NONE && strcmp(e->place.path, "/") == 0) {
        return tally_fail(
            "'%s' is the root directory of this process, so no branch can stand there", e->ns);
    }
    return 0;
}

/* Makes what the command needs, runs it, and ends the branch. Returns the exit code. */
static int run(struct exec *e, struct outcome *o)
{
    int err;
    if (find_place(e) != 0 || (e->ending != END_NONE && make_branch(e) < 0)) {
        return 1;
    }
    err = own_ns_set(&e->place.m, *e->branch ? e->branch : e->ns);
    if (err < 0) {
        tally_warn("the environment cannot be changed: %s", strerror(-err));
    }
    o->run = err == 0 && exec_run(&e->place, *e->branch ? e->branch : NULL, e->argv, &o->code) == 0;
    const int rc = *e->branch ? end_branch(e, o) : 0;
    return o->code != 0 ? o->code : rc;
}

int cmd_exec_run(int argc, char **argv)
{
    struct exec e = {0};
    struct outcome o = {.code = 1};
    int rc = take_options(argc, argv, &e);
    if (rc != 0) {
        return rc;
    }
    trim_ns(e.ns);
    signal(SIGCHLD, SIG_DFL); /* if it is ignored nobody can be waited for */
    rc = run(&e, &o);
    if (e.json) {
        say_json(&e, &o);
    }
    return rc;
}
