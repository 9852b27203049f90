// SPDX-License-Identifier: Apache-2.0
/*
 * control_verbs: the table of verbs, with one function for each verb. A verb that is not in the
 * table does not exist, also for `help`. The other control_*.c files have larger verbs.
 */
#include "control_impl.h"
#include "durability.h"
#include "flush.h"
#include "job.h"
#include "rebuild.h"
#include "ticket.h"
#include "view.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define U(x) ((unsigned long long)(x))
/* how often a drop looks whether the last file is closed */
#define RELEASE_LOOKS 60
/* ns between two such looks */
#define RELEASE_LOOK_NS (5 * NSEC_PER_MSEC)

/* ---- saying things ---- */

int control_fail(struct call *call, int err, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    strbuf_clear(&call->why);
    strbuf_vaddf(&call->why, fmt, ap);
    va_end(ap);
    return err;
}

int control_fail_word(struct call *call, int err, const char *fmt, const char *word)
{
    const char *at = strstr(fmt, "%s");

    strbuf_clear(&call->why);
    strbuf_add(&call->why, fmt, (size_t)(at - fmt));
    command_add_word(&call->why, word);
    strbuf_adds(&call->why, at + 2);
    return err;
}

void control_line(struct call *call, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    strbuf_adds(&call->lines, "| ");
    strbuf_vaddf(&call->lines, fmt, ap);
    strbuf_adds(&call->lines, "\n");
    va_end(ap);
}

int control_may_change(struct call *call)
{
    int err = state_writable(call->p);

    return err < 0 ? err : flush_throttle(call->p);
}

/* Says which job is at other work of this verb. -EBUSY */
static int busy_with(struct call *call, uint64_t number)
{
    struct job other;

    if (job_get(call->p, number, &other) < 0 || !*other.detail)
        return control_fail(call, -EBUSY, "one is running already: job %llu", U(number));
    return control_fail(call, -EBUSY, "one is %s already: job %llu (%s)",
                        job_state_name(other.state), U(number), other.detail);
}

int control_run_one(struct call *call, const char *detail, job_fn *fn, void *arg,
                    uint64_t *ret_number)
{
    const struct job_work w = {.fn = fn, .arg = arg};
    struct job *j;
    int err = job_start_one(call->p, call->verb->name, detail, &j, ret_number);

    if (err == 0)
        err = job_run(call->p, j, &w, -1, call->interrupted);
    else
        free(arg);
    if (err == -EBUSY)
        return busy_with(call, *ret_number);
    return err < 0 ? err : control_started(call, *ret_number);
}

void control_text(struct call *call, const char *text)
{
    while (*text) {
        size_t n = strcspn(text, "\n");
        control_line(call, "%.*s", (int)n, text);
        text += n + (text[n] == '\n');
    }
}

/* Can this be the name of a namespace? -ENAMETOOLONG, -EINVAL, with a sentence. */
static int check_namespace(struct call *call, const char *name)
{
    int err = command_namespace(name);

    if (err == -ENAMETOOLONG)
        return control_fail(call, err, "the name of a namespace has at most 255 bytes");
    return err < 0 ? control_fail_word(call, err, "%s cannot be the name of a namespace", name) : 0;
}

bool control_is_keyword(const struct call *call, size_t i, const char *word)
{
    return i < call->c->nargs && !call->c->args[i].quoted && !strcmp(control_arg(call, i), word);
}

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
    int err = view_render(p, VIEW_STATUS, event_describe(p, &edge) ? &edge : NULL, &text);

    if (err < 0)
        return err;
    durable = flush_durable(p);
    strbuf_addf(&call->head, " state=%s seq=%llu durable=%llu unsealed=%zu", view_state(p, NULL),
                U(state_seq(p)), U(durable), seal_waiting(p));
    control_text(call, text.s);
    return 0;
}

/* ---- get, set ---- */

/* The settings of a namespace: each has two values, and the first one is the default. */
static const struct ns_setting {
    const char *key, *off, *on, *what;
    int (*set)(struct state *p, const char *name, bool on);
} ns_settings[] = {
    {"frozen", "no", "yes", "frozen yes: nothing in the namespace can be changed", ns_set_frozen},
    {"verify", "never", "open",
     "verify open: what the kernel will read by itself is verified when it is opened",
     ns_set_verify},
};
#define NS_SETTINGS (sizeof ns_settings / sizeof *ns_settings)

/* Splits "ns:NAME.KEY". The caller frees *ret_name. -ENOENT: the key has another form, and is a
 * setting of the store; -EINVAL, with a sentence. */
static int split_ns_key(struct call *call, const char *key, char **ret_name,
                        const struct ns_setting **ret_setting)
{
    const char *dot;

    if (strncmp(key, "ns:", 3) != 0)
        return -ENOENT;
    dot = strrchr(key, '.');
    if (!dot || dot == key + 3)
        return control_fail_word(call, -EINVAL, "%s is not of the form ns:NAME.KEY", key);
    *ret_setting = NULL;
    for (size_t i = 0; i < NS_SETTINGS && !*ret_setting; i++)
        if (!strcmp(dot + 1, ns_settings[i].key))
            *ret_setting = &ns_settings[i];
    if (!*ret_setting)
        return control_fail_word(
            call, -EINVAL, "a namespace has no setting %s; there are: frozen, verify", dot + 1);
    *ret_name = strndup(key + 3, (size_t)(dot - key - 3));
    return *ret_name ? 0 : -ENOMEM;
}

int control_find_ns(struct call *call, const char *name, struct ns **ret_ns)
{
    int err = ns_get_by_name(call->p, name, ret_ns);

    if (err < 0)
        return control_fail_word(call, err, "there is no namespace %s", name);
    if (!(*ret_ns)->target)
        return 0;
    ns_put(call->p, *ret_ns);
    return control_fail_word(call, -EINVAL, "%s is a symbolic link, not a namespace", name);
}

/* get ns:NAME.KEY */
static int get_of_ns(struct call *call, const char *key, const char *name,
                     const struct ns_setting *s)
{
    struct ns *ns;
    bool on;
    int err = control_find_ns(call, name, &ns);

    if (err < 0)
        return err;
    {
        READ_GUARD(&ns->lock);
        on = s->set == ns_set_frozen ? ns->frozen : ns->verify;
    }
    ns_put(call->p, ns);
    strbuf_adds(&call->head, " ");
    command_add_word(&call->head, key);
    strbuf_addf(&call->head, "=%s default=%s", on ? s->on : s->off, s->off);
    control_line(call, "%s", s->what);
    return 0;
}

static void get_all(struct call *call)
{
    for (int i = 0; i < SETTING_COUNT; i++) {
        CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
        setting_describe((enum setting)i, settings_get(&call->p->settings, (enum setting)i), &text);
        control_line(call, "%s", text.s);
    }
}

/* get KEY, for a setting of the store. */
static void get_one(struct call *call, enum setting which)
{
    const struct setting_info *info = &setting_infos[which];
    char value[32], standard[32], min[32], max[32];

    setting_format(which, settings_get(&call->p->settings, which), value);
    setting_format(which, info->standard, standard);
    setting_format(which, info->min, min);
    setting_format(which, info->max, max);
    strbuf_addf(&call->head, " %s=%s default=%s min=%s max=%s", info->key, value, standard, min,
                max);
    control_line(call, "%s", info->what);
}

/* get [KEY]: all settings of the store, or one, or one of a namespace. */
static int get(struct call *call)
{
    const char *key = call->c->nargs ? control_arg(call, 0) : NULL;
    const struct ns_setting *s;
    char *name;
    int err;

    if (!key) {
        get_all(call);
        return 0;
    }
    err = split_ns_key(call, key, &name, &s);
    if (err == 0) {
        err = get_of_ns(call, key, name, s);
        free(name);
        return err;
    }
    if (err != -ENOENT)
        return err;
    err = setting_find(key);
    if (err < 0)
        return control_fail_word(call, err, "there is no setting %s; `tally get` lists them", key);
    get_one(call, (enum setting)err);
    return 0;
}

/* set ns:NAME.KEY VALUE */
static int set_of_ns(struct call *call, const char *name, const struct ns_setting *s,
                     const char *value)
{
    bool on = !strcmp(value, s->on);
    struct ns *ns;
    int err;

    if (!on && strcmp(value, s->off) != 0) {
        strbuf_addf(&call->why, "%s is %s or %s, not ", s->key, s->on, s->off);
        command_add_word(&call->why, value);
        return -EINVAL;
    }
    err = control_find_ns(call, name, &ns);
    if (err < 0)
        return err;
    ns_put(call->p, ns);
    return s->set(call->p, name, on);
}

/* set KEY VALUE, for the store or a namespace. */
static int set(struct call *call)
{
    const char *key = control_arg(call, 0), *value = control_arg(call, 1);
    const struct ns_setting *s;
    char *name, text[32];
    int64_t number;
    /* not control_may_change: that waits for a flush, and this setting may be what lets it go on */
    int which, err = state_writable(call->p);

    if (err < 0)
        return err;
    err = split_ns_key(call, key, &name, &s);
    if (err == 0) {
        err = set_of_ns(call, name, s, value);
        free(name);
        if (err == 0)
            strbuf_addf(&call->head, " seq=%llu", U(state_seq(call->p)));
        return err;
    }
    if (err != -ENOENT)
        return err;
    which = setting_find(key);
    if (which < 0)
        return control_fail_word(call, which, "there is no setting %s; `tally get` lists them",
                                 key);
    err = setting_parse((enum setting)which, value, &number, &call->why);
    if (err < 0)
        return -EINVAL;
    err = settings_set(call->p, (enum setting)which, number);
    if (err < 0)
        return err;
    setting_format((enum setting)which, number, text);
    strbuf_addf(&call->head, " %s=%s", key, text);
    return 0;
}

/* ---- branch, drop ---- */

/* branch NS NS2: a new namespace that is as NS is at this moment. */
static int branch(struct call *call)
{
    const char *from = control_arg(call, 0), *to = control_arg(call, 1);
    uint32_t number;
    uint64_t seq;
    int err = check_namespace(call, from);

    if (err == 0)
        err = check_namespace(call, to);
    if (err == 0)
        err = control_may_change(call);
    if (err < 0)
        return err;
    err = ns_branch(call->p, from, to, &seq, &number);
    if (err == -ENOENT)
        return control_fail_word(call, err, "there is no namespace %s", from);
    if (err == -EEXIST)
        return control_fail_word(call, err, "%s exists already", to);
    if (err == -EINVAL)
        return control_fail_word(call, err, "%s is a symbolic link, not a namespace", from);
    if (err == -EMFILE)
        return control_fail(call, err, "there are as many namespaces as there can be");
    if (err == 0) {
        strbuf_adds(&call->head, " ns=");
        command_add_word(&call->head, to);
        strbuf_addf(&call->head, " seq=%llu", U(seq));
    }
    return err;
}

/* Drops a namespace. The kernel reports the close of a file after close(2) has returned. So right
 * after the last close a file may still seem to be open. A drop without `force` waits for that a
 * short time. */
static int drop_when_closed(struct call *call, const char *name, bool force, uint32_t *ret_open)
{
    int err = ns_drop(call->p, name, force, false, false, ret_open);

    if (err != -EBUSY || force)
        return err;
    for (unsigned i = 0; i < RELEASE_LOOKS && ns_open_files(call->p, name); i++) {
        if (call->interrupted && atomic_load(call->interrupted))
            return control_fail(call, -EINTR, "interrupted; nothing was dropped");
        (void)nanosleep(&(struct timespec){.tv_nsec = RELEASE_LOOK_NS}, NULL);
    }
    return ns_drop(call->p, name, force, false, false, ret_open);
}

/* Drops the namespace, with a sentence for each error. */
static int drop_now(struct call *call, const char *name, bool force)
{
    uint32_t open = 0;
    int err = drop_when_closed(call, name, force, &open);

    if (err == -ENOENT)
        return control_fail_word(call, err, "there is no namespace %s", name);
    if (err == -ENOTDIR)
        return control_fail_word(call, -EINVAL, "%s is a symbolic link, not a namespace: use rm",
                                 name);
    if (err == -EBUSY)
        return control_fail(call, err,
                            "%u file%s open in it; `tally drop --force` drops it "
                            "nevertheless (in .tally/control: drop NS force)",
                            open, open == 1 ? " is" : "s are");
    return err;
}

/* drop NS [force]: the job exists before the drop, so that it can be shown from the first
 * moment. */
static int drop(struct call *call)
{
    const char *name = control_arg(call, 0);
    bool force = control_is_keyword(call, 1, "force");
    uint64_t number;
    struct job *j;
    int err = check_namespace(call, name);

    if (err == 0 && call->c->nargs == 2 && !force)
        err = control_fail_word(call, -EINVAL, "after the namespace comes force, not %s",
                                control_arg(call, 1));
    if (err == 0)
        err = control_may_change(call);
    if (err == 0)
        err = job_start(call->p, "drop", name, &j);
    if (err < 0)
        return err;
    number = j->number;
    err = drop_now(call, name, force);
    if (err < 0) {
        job_withdraw(call->p, j, err);
        return err;
    }
    job_drop_queued(call->p, j);
    strbuf_addf(&call->head, " queued_bytes=%zu job=%llu",
                drops_left(call->p->drops) * PAGE_SIZE_BYTES, U(number));
    /* the dropper may be done already, and then nothing else would end the job */
    jobs_drops_done(call->p);
    return 0;
}

/* ---- jobs ---- */

static const char *why_failed(int error)
{
    if (error == -EBUSY)
        return "another job was at the same work";
    if (error == -ETIMEDOUT)
        return "the time for it ran out";
    return ticket_describe(error);
}

/* Makes the sentence of a failed job: that of its result (why=), or a general one. */
static int job_failed(struct call *call, uint64_t number, int error, char result[256])
{
    char *why = strstr(result, " why=\"");
    size_t n;

    if (!why)
        return control_fail(call, error, "job %llu failed: %s", U(number), why_failed(error));
    *why = 0;
    why += strlen(" why=\"");
    n = strlen(why);
    if (n && why[n - 1] == '"')
        why[n - 1] = 0;
    return control_fail(call, error, "job %llu: %s (%s)", U(number), why, result);
}

/* Waits for a job, and returns its error. Its result becomes words of the reply. */
static int wait_number(struct call *call, uint64_t number, int64_t timeout)
{
    char result[256];
    int error, err = job_wait(call->p, number, timeout, call->interrupted, &error, result);

    if (err == -ENOENT)
        return control_fail(call, err, "there is no job %llu", U(number));
    if (err == -ETIMEDOUT)
        return control_fail(call, err, "job %llu goes on", U(number));
    if (err == -EINTR)
        return control_fail(call, err, "interrupted; job %llu goes on", U(number));
    if (err < 0)
        return err;
    if (error == -ECANCELED)
        return control_fail(call, error, "job %llu was cancelled", U(number));
    if (error < 0)
        return job_failed(call, number, error, result);
    if (*result)
        strbuf_addf(&call->head, " %s", result);
    return 0;
}

static int job_number(struct call *call, uint64_t *ret)
{
    if (command_number(control_arg(call, 0), ret) < 0)
        return control_fail_word(call, -EINVAL, "%s is not the number of a job",
                                 control_arg(call, 0));
    return 0;
}

/* wait N [DUR], or one of the two other forms, which control_flush.c has. */
static int wait_job(struct call *call)
{
    int64_t timeout = -1;
    uint64_t number;
    int err;

    if (control_is_keyword(call, 0, "ticket"))
        return control_wait_ticket(call);
    if (control_is_keyword(call, 0, "durable"))
        return control_wait_durable(call);
    if (call->c->nargs > 2)
        return control_fail(call, -EINVAL, "that is a word too many; usage: wait N [DUR]");
    err = job_number(call, &number);
    if (err < 0)
        return err;
    if (call->c->nargs > 1 && command_duration(control_arg(call, 1), &timeout) < 0)
        return control_fail_word(call, -EINVAL,
                                 "%s is not a duration: a decimal number and ms, s, m, h or d",
                                 control_arg(call, 1));
    return wait_number(call, number, timeout);
}

/* cancel N. A drop cannot be cancelled: what was dropped cannot come back. */
static int cancel(struct call *call)
{
    uint64_t number;
    int err = job_number(call, &number);

    if (err == 0)
        err = job_cancel(call->p, number);
    if (err == -ENOENT)
        return control_fail(call, err, "there is no job %llu", U(number));
    if (err == -EPERM)
        return control_fail(call, err, "job %llu is a drop: what is dropped cannot come back",
                            U(number));
    return err;
}

int control_started(struct call *call, uint64_t number)
{
    int err = call->c->wait ? wait_number(call, number, -1) : 0;

    if (err == 0)
        strbuf_addf(&call->head, " job=%llu", U(number));
    return err;
}

/* The job_fn of a rebuild. */
static int rebuild_job(struct state *p, struct job *j, void *arg)
{
    char text[64];
    uint64_t changed;
    int err = rebuild_store(p, j, &changed);

    (void)arg;
    if (err == 0) {
        snprintf(text, sizeof text, "changed=%llu", U(changed));
        job_result(p, j, text);
    }
    return err;
}

static int rebuild(struct call *call)
{
    uint64_t number;
    int err = control_may_change(call);

    return err < 0 ? err : control_run_one(call, "", rebuild_job, NULL, &number);
}

/* ---- the table ---- */

const struct verb control_verbs[] = {
    {"help", "help [VERB]", "say what can be commanded", false, false, 0, 1, help},
    {"status", "status", "say how the store is", false, true, 0, 0, status},
    {"get", "get [KEY]", "show settings: value, default, range", false, false, 0, 1, get},
    {"set", "set KEY VALUE",
     "change a setting, also ns:NAME.frozen yes|no, ns:NAME.verify never|open", false, false, 2, 2,
     set},
    {"branch", "branch NS NS2", "make NS2 as NS is at this instant", false, false, 2, 2, branch},
    {"drop", "drop NS [force]", "remove a namespace and all in it", false, true, 1, 2, drop},
    {"drain", "drain [idle] [DUR]", "wait until all is durable and the dead are deleted", false,
     true, 0, 2, control_drain},
    {"flush", "flush [NAME]", "begin to make durable what is there, under a name", false, true, 0,
     1, control_flush},
    {"du", "du [NS...]", "count what namespaces take, and what dropping one would give back", false,
     true, 0, COMMAND_WORDS_MAX, control_du},
    {"refs", "refs ID|PATH", "count who needs an object", false, true, 1, 1, control_refs},
    {"object", "object ID|PATH", "say where an object is and how it stands", false, true, 1, 1,
     control_object},
    {"why", "why ID|PATH", "list what keeps an object", false, true, 1, 1, control_why},
    {"pin", "pin ID|PATH", "keep an object, whoever else lets it go", false, true, 1, 1,
     control_pin},
    {"unpin", "unpin ID|PATH", "undo a pin", false, true, 1, 1, control_unpin},
    {"rebuild", "rebuild [wait]", "recount all references and put counts right", true, false, 0, 0,
     rebuild},
    {"gc", "gc [dry-run] [grace=DUR] [wait]",
     "find what nothing needs, and delete what an earlier cycle found", true, false, 0, 1,
     control_gc},
    {"compact", "compact [wait]", "rewrite packs until little in them is dead", true, false, 0, 0,
     control_compact},
    {"scrub", "scrub [wait]", "read all objects and pages again, and name what is damaged", true,
     false, 0, 0, control_scrub},
    {"node", "node list | node retire N | node prune",
     "list who uses the store's shard, or give up one that is stale, or all", false, false, 1, 2,
     control_node},
    {"shard", "shard add N URL | shard list | shard drain N [wait] | shard remove N",
     "add a shard, list the shards, bring all objects home from one, or forget it", true,
     true, 1, 3, control_shard},
    {"move", "move [PATH|ID...] [idle=DUR] [larger=SIZE] N [wait]",
     "move objects to shard N: of files and directories, or by their last open and size", true,
     true, 1, COMMAND_WORDS_MAX, control_move},
    {"recall", "recall PATH|ID... [wait]", "bring objects home from other shards", true, true, 1,
     COMMAND_WORDS_MAX, control_recall},
    {"sweep", "sweep [dry-run] [list] [wait]",
     "ask the shards whether they have all that was moved to them, or say what that would find",
     true, true, 0, 2, control_sweep},
    {"resolve", "resolve ID|PATH", "on which shard an object is; 0: at home", false, true, 1, 1,
     control_resolve},
    {"wait", "wait N|ticket T|durable NS [SEQ] [DUR]",
     "wait until job N has ended, flush T is durable, or so is NS, up to change SEQ", false, true,
     1, 4, wait_job},
    {"cancel", "cancel N", "ask job N to stop", false, false, 1, 1, cancel},
    {"log", "log list NS [until=SEQ] | log find NS SEQ|TIME",
     "list the changes of a namespace that the log still has, or find one", false, false, 2, 3,
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
    return strstr(v->usage, form) != NULL;
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

    return err < 0 ? err : call->verb->run(call);
}
