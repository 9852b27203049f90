// SPDX-License-Identifier: Apache-2.0
/* control_archive: the verbs of archives: archive, and restore. */
#include "archive_check.h"
#include "control_impl.h"
#include "follow.h"
#include "history_by.h"
#include "job.h"
#include "move.h"
#include "ns_restore.h"
#include "ship.h"
#include "view_archive.h"
#include "view_follow.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define U(x) ((unsigned long long)(x))

int control_archive_errno(int err)
{
    return err == -EHOSTUNREACH || err == -EKEYREVOKED ? -EIO : err;
}

static int said(struct call *call, int err, const char *why)
{
    return *why ? control_fail(call, control_archive_errno(err), "%s", why)
                : control_archive_errno(err);
}

int control_archive_rights(struct call *call)
{
    const struct history_by by = history_by_get();

    return !by.known || by.uid == 0 || by.uid == geteuid()
               ? 0
               : control_fail(call, -EPERM,
                              "only root, and who mounted the store, may use its archives");
}

int control_find_archive(struct call *call, const char *url, bool ships, uint16_t *ret)
{
    int err = ship_find(call->p, url ? url : "", ships, ret);

    if (err == -EINVAL)
        return control_fail(call, err, "the store has several archives: say which, by its URL");
    if (err == -ENOENT && ships && ship_find(call->p, url ? url : "", false, ret) != -ENOENT)
        return control_fail(call, err,
                            "the store only reads its archive: that is for the store that ships "
                            "there");
    if (err == -ENOENT && url)
        return control_fail_word(call, err, "the store has no archive %s", url);
    if (err == -ENOENT)
        return control_fail(call, err, "the store has no archive: `archive add URL` gives it one");
    return err;
}

static const char *url_of(const struct call *call)
{
    return call->c->nargs > 1 ? control_arg(call, 1) : NULL;
}

/* ---- add, remove, fork ---- */

static int add(struct call *call)
{
    struct ship_stats s = {.archive = 0};
    char why[SHARD_WHY] = "";
    uint16_t number = 0;
    int err =
        call->c->nargs == 2 ? control_may_change(call) : control_misuse(call, "archive add URL");

    if (err == 0) {
        err = ship_add(call->p, control_arg(call, 1), &number, why);
        control_name_shard(call, control_arg(call, 1), err, why);
        err = said(call, err, why);
    }
    if (err == 0)
        err = ship_next(call->p, number - 1u, &s);
    if (err < 0)
        return err;
    strbuf_addf(&call->head, " archive=%u lineage=%u url=", number, s.lineage);
    command_add_word(&call->head, s.url);
    return 0;
}

static int remove_archive(struct call *call)
{
    char why[SHARD_WHY] = "";
    uint16_t number;
    int err = control_find_archive(call, url_of(call), false, &number);

    if (err == 0)
        err = control_may_change(call);
    if (err == 0)
        err = said(call, ship_remove(call->p, number, why), why);
    if (err == 0)
        strbuf_addf(&call->head, " archive=%u", number);
    return err;
}

static int fork_archive(struct call *call)
{
    char why[SHARD_WHY] = "";
    uint32_t lineage = 0;
    uint16_t number;
    int err = control_find_archive(call, url_of(call), true, &number);

    if (err == 0)
        err = control_may_change(call);
    if (err == 0)
        err = said(call, ship_fork(call->p, number, &lineage, why), why);
    if (err == 0)
        strbuf_addf(&call->head, " archive=%u lineage=%u", number, lineage);
    return err;
}

/* ---- status, ship ---- */

static void add_one(struct call *call, const struct ship_stats *s)
{
    strbuf_adds(&call->lines, "| ");
    view_archive_line(call->p, s, &call->lines);
    strbuf_adds(&call->lines, "\n");
}

static int status(struct call *call)
{
    CLEANUP_STRBUF struct strbuf follows = STRBUF_INIT;
    struct ship_stats s;
    unsigned count = 0;

    if (call->c->nargs > 1)
        return control_misuse(call, "archive status");
    if (view_follow_line(call->p, &follows))
        control_line(call, "%s", follows.s);
    for (unsigned at = 0; ship_next(call->p, at, &s) == 0; at = s.archive, count++)
        add_one(call, &s);
    view_archive_readers(call->p, "| ", &call->lines);
    strbuf_addf(&call->head, " archives=%u seq=%llu", count, U(state_seq(call->p)));
    return 0;
}

/* archive ship [URL] [DUR]: until what was changed before is there. */
static int ship_now(struct call *call)
{
    const size_t last = call->c->nargs - 1;
    int64_t timeout = -1;
    const bool timed = last >= 1 && command_duration(control_arg(call, last), &timeout) == 0;
    const char *url = last >= 1u + timed ? control_arg(call, 1) : NULL;
    uint16_t number = 0;
    uint64_t seq = state_seq(call->p);
    int err = url && !timed && url[strspn(url, "0123456789")] == '\0'
                  ? control_duration(call, url, &timeout)
              : last > 1u + timed ? control_misuse(call, "archive ship [URL] [DUR]")
                                  : control_find_archive(call, url, true, &number);

    if (err < 0)
        return err;
    ship_kick(call->p);
    err = ship_wait(call->p, number, seq, timed ? timeout : -1, call->interrupted);
    if (err == -EKEYREVOKED)
        return control_fail(
            call, -EIO,
            "the archive is refused: `archive status` says why, and `archive fork` and "
            "`archive remove` are the ways on");
    if (err == -ETIMEDOUT)
        return control_fail(call, err,
                            "the time is over, and the archive does not have all changes "
                            "yet: `archive status` says why");
    if (err == 0)
        strbuf_addf(&call->head, " archive=%u seq=%llu", number, U(seq));
    return err;
}

/* ---- check ---- */

struct check_asked {
    uint16_t archive;
    unsigned read;
};
struct check_job {
    struct state *p;
    struct job *j;
    struct strbuf lines;
};

static void on_found(const char *what, const char *sentence, void *ctx)
{
    struct check_job *at = ctx;

    strbuf_addf(&at->lines, "| key=%s why=", what);
    command_add_word(&at->lines, sentence);
    strbuf_adds(&at->lines, "\n");
}

static int on_checked(uint64_t segments, void *ctx)
{
    struct check_job *at = ctx;

    job_progress(at->p, at->j, segments, 0);
    return job_pause(at->p, at->j, 0);
}

static int check_job(struct state *p, struct job *j, void *arg)
{
    const struct check_asked a = *(struct check_asked *)arg;
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    struct check_job at = {p, j, STRBUF_INIT};
    const struct archive_check_ask ask = {
        .read = a.read, .found = on_found, .progress = on_checked, .ctx = &at};
    struct archive_check_result r;
    int err = archive_check(p, a.archive, &ask, &r);

    free(arg);
    strbuf_addf(
        &text, "found=%llu lost=%llu segments=%llu bodies=%llu entries=%llu places=%llu read=%llu",
        U(r.found), U(r.lost), U(r.segments), U(r.bodies), U(r.items), U(r.places), U(r.read));
    if (strbuf_error(&text) == 0)
        job_result(p, j, text.s);
    job_lines(p, j, strbuf_detach(&at.lines, NULL));
    return control_archive_errno(err);
}

/* archive check [URL] [read=PERCENT] [wait] */
static int check_archive(struct call *call)
{
    const char *read = command_option(call->c, "read");
    uint64_t percent = 0;
    struct check_asked *a;
    uint16_t number;
    char detail[64];
    int err = control_find_archive(call, url_of(call), false, &number);

    if (err == 0 && read && (command_number(read, &percent) < 0 || percent > 100))
        err = control_fail_word(call, -EINVAL, "%s is not a number of percent", read);
    if (err < 0)
        return err;
    a = malloc(sizeof *a);
    if (!a)
        return -ENOMEM;
    *a = (struct check_asked){number, (unsigned)percent};
    snprintf(detail, sizeof detail, "check of archive %u read=%u", number, a->read);
    return control_run_one(call, detail, check_job, a);
}

int control_archive(struct call *call)
{
    static const struct {
        const char *name;
        int (*run)(struct call *call);
    } words[] = {{"add", add},
                 {"status", status},
                 {"ship", ship_now},
                 {"fork", fork_archive},
                 {"remove", remove_archive},
                 {"check", check_archive},
                 {"drill", control_archive_drill},
                 {"prune", control_prune},
                 {"pins", control_list_pins},
                 {"unpin", control_end_pin}};

    if (call->c->nargs > 3 && !control_is_keyword(call, 0, "drill"))
        return control_fail(call, -EINVAL, "that is a word too many; usage: %s", call->verb->usage);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (control_is_keyword(call, 0, words[i].name)) {
            int err = words[i].run == status ? 0 : control_archive_rights(call);

            return err < 0 ? err : words[i].run(call);
        }
    return control_fail_word(call, -EINVAL,
                             "it is `archive add`, `status`, `ship`, `check`, `drill`, `prune`, "
                             "`pins`, `unpin`, `fork` or `remove`, not archive %s",
                             control_arg(call, 0));
}

/* ---- restore ---- */

struct asked {
    struct restore_plan plan;
    char *name; /* of the new namespace; owned */
    bool full;  /* all bytes are brought home, too */
    struct history_by by;
};

static void asked_free(struct asked *a)
{
    restore_plan_release(&a->plan);
    free(a->name);
    free(a);
}

static void not_begun(struct state *p, void *arg, int err)
{
    struct asked *a = arg;

    (void)err;
    restore_unpin(p, &a->plan, NULL);
    asked_free(a);
}

struct progress {
    struct state *p;
    struct job *j;
};

static int on_progress(uint64_t items, uint64_t of, void *ctx)
{
    const struct progress *at = ctx;

    job_progress(at->p, at->j, items, of);
    return job_pause(at->p, at->j, 0);
}

static void say_restored(struct state *p, struct job *j, const struct asked *a,
                         const struct restore_result *r, uint64_t recalled)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;

    strbuf_adds(&text, "ns=");
    command_add_word(&text, a->name);
    strbuf_addf(&text, " lineage=%u from_seq=%llu time=", a->plan.lineage, U(a->plan.seq));
    strbuf_add_time(&text, a->plan.time);
    strbuf_addf(&text, " inodes=%llu entries=%llu ghosts=%llu lost=%llu seq=%llu", U(r->inodes),
                U(r->items), U(r->ghosts), U(r->lost), U(r->seq));
    if (a->plan.last_seq)
        strbuf_addf(&text, " last_seq=%llu", U(a->plan.last_seq));
    if (a->full)
        strbuf_addf(&text, " recalled=%llu", U(recalled));
    if (strbuf_error(&text) == 0)
        job_result(p, j, text.s);
}

static void say_why(struct state *p, struct job *j, const struct strbuf *why)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;

    if (!why->len)
        return;
    strbuf_adds(&text, "why=");
    command_add_word(&text, why->s);
    if (strbuf_error(&text) == 0)
        job_result(p, j, text.s);
}

/* Brings home all bytes of the namespace. It stays also after an error. */
static int bring_home(struct state *p, struct job *j, const struct asked *a, uint64_t *ret_count,
                      struct strbuf *why)
{
    CLEANUP_STRBUF struct strbuf path = STRBUF_INIT;
    struct move_result r;
    char sentence[256];
    int err;

    strbuf_addf(&path, "%s/", a->name);
    err = strbuf_error(&path);
    if (err == 0) {
        const char *words[] = {path.s};
        const struct move_selection s = {.words = words, .count = 1, .idle = -1, .on = -1};

        err = move_home(p, j, &s, &r, sentence);
        *ret_count = r.objects;
    }
    if (err < 0 && err != -ECANCELED)
        strbuf_addf(why,
                    "the namespace is there, and not all is home: `tally recall %s` goes on (%s)",
                    path.s ? path.s : "", strerror(-err));
    return err;
}

static int restore_job(struct state *p, struct job *j, void *arg)
{
    CLEANUP_STRBUF struct strbuf why = STRBUF_INIT;
    struct asked *a = arg;
    struct progress at = {p, j};
    struct restore_result r;
    uint64_t recalled = 0;
    const struct history_by before = history_by_set(&a->by);
    int err = restore_run(p, &a->plan, a->name, on_progress, &at, &r, &why);
    const bool failed = err < 0;

    (void)history_by_set(&before);

    if (err == 0 && a->full)
        err = bring_home(p, j, a, &recalled, &why);
    if (err == 0)
        say_restored(p, j, a, &r, recalled);
    else
        say_why(p, j, &why);
    if (failed)
        restore_unpin(p, &a->plan, &r);
    asked_free(a);
    return control_archive_errno(err);
}

int control_parse_moment(struct call *call, const char *spec, struct restore_ask *ret,
                         char **ret_name)
{
    const char *at = strrchr(spec, '@');

    *ret = (struct restore_ask){.when = RESTORE_LAST};
    if (at && restore_moment(at + 1, now(call->p), ret) < 0)
        return control_fail_word(call, -EINVAL, "%s does not end with " RESTORE_MOMENTS, spec);
    *ret_name = at ? strndup(spec, (size_t)(at - spec)) : strdup(spec);
    ret->name = *ret_name;
    ret->interrupted = call->interrupted;
    return *ret_name ? 0 : -ENOMEM;
}

static void say_plan(struct call *call, const struct restore_plan *plan)
{
    strbuf_addf(&call->head,
                " archive=%u lineage=%u segment=%llu-%llu from_seq=%llu time=", plan->archive,
                plan->lineage, U(plan->at.epoch), U(plan->at.serial), U(plan->seq));
    strbuf_add_time(&call->head, plan->time);
    strbuf_addf(&call->head, " steps=%zu entries=%llu bytes=%llu requests=%llu lost=%llu",
                plan->count, U(plan->items), U(plan->bytes), U(plan->requests), U(plan->lost));
    if (plan->last_seq)
        strbuf_addf(&call->head, " last_seq=%llu", U(plan->last_seq));
}

/* Begins the job that fills the namespace. It takes over `plan`. */
static int start(struct call *call, struct restore_plan *plan, const char *name, bool full)
{
    struct job_work w = {.fn = restore_job, .dropped = not_begun, .prompt = true};
    struct asked *a = calloc(1, sizeof *a);
    struct job *j;
    uint64_t number;
    int err = a && (a->name = strdup(name)) ? 0 : -ENOMEM;

    if (err < 0) {
        free(a);
        restore_unpin(call->p, plan, NULL);
        restore_plan_release(plan);
        return err;
    }
    a->plan = *plan;
    a->full = full;
    a->by = history_by_get();
    err = job_start(call->p, "restore", name, &j);
    if (err < 0) {
        not_begun(call->p, a, err);
        return err;
    }
    number = j->number;
    w.arg = a;
    err = job_run(call->p, j, &w, -1, call->interrupted);
    return err < 0 ? err : control_started(call, number);
}

/* Why a namespace cannot get that name. */
static int check_name(struct call *call, const char *name)
{
    struct ns *ns;
    int err = ns_check_new_name(name);

    if (err < 0)
        return control_fail_word(call, err, "%s cannot be the name of a namespace", name);
    if (ns_get_by_name(call->p, name, &ns) < 0)
        return 0;
    ns_put(call->p, ns);
    return control_fail_word(call, -EEXIST, "there is a namespace %s already", name);
}

/* The words behind NS: NEW, dry-run, full, in any order. */
struct restore_words {
    const char *name;
    bool dry, full;
};

/* Adds them to *ret, which is empty. */
static int take_words(struct call *call, struct restore_words *ret)
{
    for (size_t i = 1; i < call->c->nargs; i++) {
        if (control_is_keyword(call, i, "dry-run"))
            ret->dry = true;
        else if (control_is_keyword(call, i, "full"))
            ret->full = true;
        else if (!ret->name)
            ret->name = control_arg(call, i);
        else
            return control_fail(call, -EINVAL, "that is a word too many; usage: %s",
                                call->verb->usage);
    }
    return ret->name || ret->dry
               ? 0
               : control_fail(call, -EINVAL, "a word is missing; usage: %s", call->verb->usage);
}

static int take_lineage(struct call *call, uint32_t *ret)
{
    const char *word = command_option(call->c, "lineage");
    uint64_t n = 0;

    if (word && (command_number(word, &n) < 0 || n == 0 || n > UINT32_MAX))
        return control_fail_word(call, -EINVAL, "%s is not the number of a lineage", word);
    *ret = (uint32_t)n;
    return 0;
}

/* restore NS[@SEQ|@TIME] NEW|dry-run [full] [archive=URL] [lineage=N] [wait] */
int control_restore(struct call *call)
{
    struct restore_words w = {.name = NULL};
    struct restore_plan plan;
    struct restore_ask ask;
    char *name = NULL;
    uint16_t number = 0;
    int err = control_archive_rights(call);

    if (err == 0)
        err = take_words(call, &w);
    if (err == 0 && w.name)
        err = check_name(call, w.name);
    if (err == 0 && !w.dry)
        err = state_root_writable(call->p);
    if (err == 0 && !w.dry)
        err = control_may_change(call);
    if (err == 0)
        err = control_find_archive(call, command_option(call->c, "archive"), false, &number);
    if (err == 0)
        err = control_parse_moment(call, control_arg(call, 0), &ask, &name);
    if (err == 0)
        err = take_lineage(call, &ask.lineage);
    if (err == 0)
        err = control_archive_errno(restore_plan(call->p, number, &ask, &plan, &call->why));
    if (err == 0 && !w.dry) {
        err = control_archive_errno(restore_pin(call->p, &plan, &call->why));
        if (err < 0)
            restore_plan_release(&plan);
    }
    free(name);
    if (err < 0)
        return err;
    if (!w.dry)
        return start(call, &plan, w.name, w.full);
    say_plan(call, &plan);
    restore_plan_release(&plan);
    return 0;
}

/* ---- promote ---- */

int control_promote(struct call *call)
{
    char why[SHARD_WHY] = "";
    struct follow_promoted r;
    int err = control_archive_rights(call);

    if (err == 0)
        err = control_may_change(call);
    if (err < 0)
        return err;
    err = follow_promote(call->p, &r, why);
    if (err < 0)
        return control_fail(call, err == -EHOSTUNREACH ? -EIO : err, "%s", why);
    strbuf_addf(&call->head,
                " archive=%u lineage=%u parent=%u segment=%llu-%llu from_seq=%llu time=", r.archive,
                r.lineage, r.parent, U(r.parent_at.epoch), U(r.parent_at.serial), U(r.parent_seq));
    strbuf_add_time(&call->head, r.time);
    return 0;
}
