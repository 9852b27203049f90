// SPDX-License-Identifier: Apache-2.0
/*
 * control_verbs: the table of verbs, with the verbs help and status. A verb that is not in the
 * table does not exist, also for `help`. The other verbs are in the other control_*.c files.
 */
#include "control_impl.h"
#include "durability.h"
#include "flush.h"
#include "view.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define U(x) ((unsigned long long)(x))

/* ---- help, status ---- */

/* A line of help. A long usage has its explanation on a line of its own. */
static void help_line(struct call *call, const struct verb *v)
{
    if (strlen(v->usage) > 30) {
        control_line(call, "%s", v->usage);
        control_line(call, "%-30s %s", "", v->help);
    } else {
        control_line(call, "%-30s %s", v->usage, v->help);
    }
}

/* help [VERB] */
static int help(struct call *call)
{
    const struct verb *v;

    if (call->c->nargs) {
        v = control_verb(control_arg(call, 0));
        if (!v)
            return control_fail_word(call, -EINVAL, "there is no verb %s", control_arg(call, 0));
        control_line(call, "%s", v->usage);
        control_line(call, "%s", v->help);
        return 0;
    }
    for (v = control_verbs; v->name; v++)
        help_line(call, v);
    return 0;
}

/* status: the text of .tally/status, with the most important words in the head. */
static int status(struct call *call)
{
    struct state *p = call->p;
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    struct view_edge edge = {0};
    uint64_t durable;
    const struct view_edge *served = event_describe(p, &edge) ? &edge : NULL;
    int err = view_render(p, VIEW_STATUS, served, &text);

    if (err < 0)
        return err;
    durable = flush_durable(p);
    strbuf_addf(&call->head, " state=%s seq=%llu durable=%llu unsealed=%zu",
                view_state(p, served, NULL), U(state_seq(p)), U(durable), seal_waiting(p));
    control_text(call, text.s);
    return 0;
}

/* ---- the table ---- */

const struct verb control_verbs[] = {
    {"help", "help [VERB]", "say what can be commanded", NO_JOB, false, 0, 1, help},
    {"status", "status", "say how the store is", NO_JOB, true, 0, 0, status},
    {"get", "get [KEY]", "show settings: value, default, range", NO_JOB, false, 0, 1, control_get},
    {"set", "set KEY VALUE",
     "change a setting, also ns:NAME.KEY of a namespace: frozen yes|no, verify never|open, "
     "snapshots \"DUR*N...\"|off, ttl DUR|off, snapdir on|off, archive async|sync|off, quota "
     "SIZE|off, quota_files N|off, compression store|off|rest|write",
     NO_JOB, false, 2, 2, control_set},
    {"branch", "branch NS NS2 [ttl=DUR]",
     "make NS2 as NS is at this instant; with ttl= it is dropped when that time is over", NO_JOB,
     false, 2, 2, control_branch},
    {"snapshot", "snapshot NS [NAME] | snapshot list [NS]",
     "keep a namespace as it is at this instant, to read it as NS@NAME, or list what is kept so",
     NO_JOB, true, 1, 2, control_snapshot},
    {"diff", "diff NS [NS2] [path=PATH] [stat]",
     "list what changed from NS to NS2; of NS alone, from what it was branched from", NO_JOB, true,
     1, 3, control_diff},
    {"digest", "digest NS[/PATH] [wait]",
     "make one sha256 of a tree, which is the same on any machine for equal trees", JOB_PROMPT,
     true, 1, 1, control_digest},
    {"merge",
     "merge NS into NS2 [conflicts=fail|ours|theirs|both] [set=PATTERN=RULE]... [base=NS@NAME] "
     "[paths=all] [if_seq=SEQ]",
     "give NS2 what NS has changed since both were one", NO_JOB, true, 3, 3, control_merge},
    {"commit",
     "commit NS [into NS2] [conflicts=fail|ours|theirs|both] [set=PATTERN=RULE]... [base=NS@NAME] "
     "[paths=all] [if_seq=SEQ]",
     "merge a branch into what it was made of", NO_JOB, true, 1, 3, control_commit},
    {"history", "history [NS] [last=N]",
     "list what was done to namespaces, the newest first: when, by whom, and whether it is undone",
     NO_JOB, true, 0, 1, control_history},
    {"growth", "growth [since=DUR]",
     "list how the store has grown: samples of a few numbers, the oldest first", NO_JOB, true, 0, 0,
     control_growth},
    {"undo", "undo [SEQ|NS] [ns=NS] [conflicts=fail|ours|theirs|both]",
     "take back the newest operation on namespaces, or that of change SEQ, or the last merge "
     "into NS",
     NO_JOB, true, 0, 1, control_undo},
    {"redo", "redo [SEQ|NS] [ns=NS] [conflicts=fail|ours|theirs|both]",
     "do again what was undone last, or change SEQ, or the last merge into NS that was undone",
     NO_JOB, true, 0, 1, control_redo},
    {"hold", "hold NS@NAME", "protect a snapshot from being dropped", NO_JOB, false, 1, 1,
     control_hold},
    {"unhold", "unhold NS@NAME", "take that protection away", NO_JOB, false, 1, 1, control_unhold},
    {"detach", "detach NS", "give up what a branch was made of", NO_JOB, true, 1, 1,
     control_detach},
    {"drop", "drop NS [force] [now]",
     "move a namespace into the trash, or delete a snapshot; now: delete it and all in it", NO_JOB,
     true, 1, 3, control_drop},
    {"undrop", "undrop NS [as=NEW]", "take back a namespace that was dropped", NO_JOB, false, 1, 1,
     control_undrop},
    {"trash", "trash list | trash empty",
     "list what was dropped and what branches were made of, or delete what was dropped", NO_JOB,
     true, 1, 1, control_trash},
    {"drain", "drain [idle] [DUR] | drain archive [DUR]",
     "wait until all is durable and the dead are deleted, or until the archives have all", NO_JOB,
     true, 0, 2, control_drain},
    {"durable", "durable [NS] [archive]",
     "say up to which change all, or NS, is durable, and is in each archive; archive: ask them",
     NO_JOB, true, 0, 2, control_durable},
    {"flush", "flush [NAME]", "begin to make durable what is there, under a name", NO_JOB, true, 0,
     1, control_flush},
    {"du", "du [NS...]", "count what namespaces take, and what dropping one would give back",
     NO_JOB, true, 0, COMMAND_WORDS_MAX, control_du},
    {"profile", "profile DUR",
     "record for so long what requests cost, by program, namespace and kind", NO_JOB, true, 1, 1,
     control_profile},
    {"refs", "refs ID|PATH", "count who needs an object", NO_JOB, true, 1, 1, control_refs},
    {"object", "object ID|PATH", "say where an object is and how it stands", NO_JOB, true, 1, 1,
     control_object},
    {"why", "why ID|PATH", "list what keeps an object", NO_JOB, true, 1, 1, control_why},
    {"pin", "pin ID|PATH", "keep an object, whoever else lets it go", NO_JOB, true, 1, 1,
     control_pin},
    {"unpin", "unpin ID|PATH", "undo a pin", NO_JOB, true, 1, 1, control_unpin},
    {"rebuild", "rebuild [wait]", "recount all references and put counts right", JOB_PROMPT, false,
     0, 0, control_rebuild},
    {"gc", "gc [dry-run] [grace=DUR] [wait]",
     "find what nothing needs, and delete what an earlier cycle found", JOB, false, 0, 1,
     control_gc},
    {"compact", "compact [wait]", "rewrite packs until little in them is dead", JOB, false, 0, 0,
     control_compact},
    {"scrub", "scrub [wait]", "read all objects and pages again, and name what is damaged", JOB,
     false, 0, 0, control_scrub},
    {"node", "node list | node retire N | node prune",
     "list who uses the store's shard, or give up one that is stale, or all", NO_JOB, true, 1, 2,
     control_node},
    {"shard", "shard add N URL | shard list | shard drain N [wait] | shard remove N",
     "add a shard, list the shards, bring all objects home from one, or forget it", JOB, true, 1, 3,
     control_shard},
    {"move", "move [PATH|ID...] [idle=DUR] [larger=SIZE] N [wait]",
     "move objects to shard N: of files and directories, or by their last open and size", JOB, true,
     1, COMMAND_WORDS_MAX, control_move},
    {"recall", "recall PATH|ID... [wait]", "bring objects home from other shards", JOB_PROMPT, true,
     1, COMMAND_WORDS_MAX, control_recall},
    {"sweep", "sweep [dry-run] [list] [wait]",
     "ask the shards whether they have all that was moved to them, or say what that would find",
     JOB, true, 0, 2, control_sweep},
    {"archive",
     "archive add URL | archive status | archive ship [URL] [DUR] | archive check [URL] "
     "[read=PERCENT] [wait] | archive drill [NS[@SEQ|@TIME]...] [archive=URL] [read=PERCENT] [wait]"
     " | archive prune [URL] [with=URL] [wait] | archive pins [URL] | archive unpin TOKEN [URL]"
     " | archive fork [URL] | archive remove [URL]",
     "ship every change to an object store, say how far that is, ship what is left now, restore to "
     "see whether that works, delete what is not kept, list and end pins, go on in a history of "
     "its "
     "own, or ship no more",
     JOB_PROMPT, true, 1, COMMAND_WORDS_MAX, control_archive},
    {"restore", "restore NS[@SEQ|@TIME] NEW|dry-run [full] [archive=URL] [lineage=N] [wait]",
     "make a namespace of what an archive has of one, as it was after a change or at a time; or "
     "say what that would read; full: and bring home all its bytes",
     JOB_PROMPT, true, 2, 4, control_restore},
    {"promote", "promote",
     "take over from the store that ships what is followed: it is fenced, and this one ships from "
     "now on",
     NO_JOB, true, 0, 0, control_promote},
    {"resolve", "resolve ID|PATH", "on which shard an object is; 0: at home", NO_JOB, true, 1, 1,
     control_resolve},
    {"wait", "wait N|ticket T|durable NS [SEQ] [DUR]",
     "wait until job N has ended, flush T is durable, or so is NS, up to change SEQ", NO_JOB, true,
     1, 4, control_wait},
    {"cancel", "cancel N", "ask job N to stop", NO_JOB, true, 1, 1, control_cancel},
    {"log", "log list NS [until=SEQ] | log find NS SEQ|TIME",
     "list the changes of a namespace that the log still has, or find one", NO_JOB, true, 2, 3,
     control_log},
    {.name = NULL},
};

const struct verb *control_verb(const char *name)
{
    for (const struct verb *v = control_verbs; v->name; v++)
        if (!strcmp(v->name, name))
            return v;
    return NULL;
}

/* Does the usage of the verb have "[key="? */
static bool takes_option(const struct verb *v, const char *key)
{
    char form[64];

    snprintf(form, sizeof form, "[%s=", key);
    return strstr(v->usage, form);
}

int control_check(struct call *call)
{
    const struct command *c = call->c;
    const struct verb *v = control_verb(c->verb);

    call->verb = v;
    if (!v)
        return control_fail(call, -EINVAL, "there is no such verb; `tally help` lists them");
    if (c->nargs < v->min_args || c->nargs > v->max_args)
        return control_fail(
            call, -EINVAL, "%s; usage: %s",
            c->nargs < v->min_args ? "a word is missing" : "that is a word too many", v->usage);
    for (size_t i = 0; i < c->noptions; i++)
        if (!takes_option(v, c->options[i].key))
            return control_fail(call, -EINVAL,
                                "unknown option %s=; a word with '=' in it must be quoted",
                                c->options[i].key);
    if (c->wait && !v->job)
        return control_fail(call, -EINVAL, "it is not a job, so it does not take `wait`");
    return 0;
}

int control_run(struct call *call)
{
    int err = control_check(call);

    if (err == 0)
        err = call->verb->run(call);
    if (err == -EROFS && call->why.len == 0 && atomic_load(&call->p->follows))
        return control_fail(call, err,
                            "the store follows an archive, so its namespaces cannot be changed: "
                            "`promote` has it take over");
    return err;
}
