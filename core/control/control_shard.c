// SPDX-License-Identifier: Apache-2.0
/*
 * control_shard: the verbs about other shards: shard add, list, drain, remove; move; recall.
 *
 * A move is a job. It selects the objects twice: once to count them for the progress, and once to
 * move them. If it did not move all, its result has a sentence (why=) and the job has failed. The
 * same command, given again, moves the rest.
 */
#include "control_impl.h"
#include "durability.h"
#include "job.h"
#include "move.h"
#include "shards.h"
#include "view_sweep.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define U(x) ((unsigned long long)(x))

/* ---- the job ---- */

struct asked {
    struct move_selection s;
    char **words;     /* copies that belong to this struct */
    uint16_t to;      /* the target shard; 0: home */
    uint16_t drain;   /* the shard that is drained, or 0 */
    bool drains_anew; /* no earlier drain has set the shard to draining */
};

static void asked_free(struct asked *a)
{
    if (!a)
        return;
    for (size_t i = 0; i < a->s.count; i++)
        free(a->words[i]);
    free(a->words);
    free(a);
}

struct counting {
    struct state *p;
    struct job *j;
    const struct asked *a;
    uint64_t objects, bytes;
};

/* Counts an object that is to be moved. It ends when the job is cancelled. */
static int count_one(uint64_t number, void *ctx)
{
    struct counting *c = ctx;
    struct entry e;

    if (atomic_load(&c->j->cancel))
        return -ECANCELED;
    c->objects++;
    if (refs_entry(c->p->refs, number, false, NULL, &e) == 0 && e.shard != c->a->to)
        c->bytes += e.size;
    return 0;
}

static int move_selected(uint64_t number, void *ctx)
{
    return move_one(ctx, number, NULL);
}

/* Makes the sentence for a move that ended before all was moved. */
static void say_why(struct state *p, uint16_t to, int err, char why[256])
{
    struct shards_info info;

    if (*why || err == -ECANCELED || err == -ESHUTDOWN)
        return;
    if (to == 0 && (err == -ENOSPC || err == -EDQUOT))
        snprintf(why, 256, "the store's own disk is full");
    else if (to == 0 && err == -EROFS)
        snprintf(why, 256, "the store is read-only");
    else if (to == 0)
        snprintf(why, 256, "%s", strerrordesc_np(-err));
    else if (err == -ENOSPC || err == -EDQUOT)
        snprintf(why, 256, "shard %u is full", to);
    else if (err == -EBUSY)
        snprintf(why, 256, "shard %u is being drained", to);
    else if (shards_info_get(p->shards, to, &info) < 0)
        snprintf(why, 256, "there is no shard %u", to);
    else if (info.state != SHARDS_OK)
        snprintf(why, 256, "shard %u is %s: %.180s", to, shards_state_name(info.state), info.why);
    else
        snprintf(why, 256, "shard %u: %s", to, strerrordesc_np(-err));
}

/* Makes the sentence for objects that could not be moved while the others were. */
static void say_failed(const struct move_result *r, char why[256])
{
    if (*why || r->failed == 0)
        return;
    snprintf(why, 256, "%llu stayed where they are, the first because of: %s", U(r->failed),
             r->error == -EUCLEAN        ? "their bytes are damaged, or gone"
             : r->error == -EHOSTUNREACH ? "their shard cannot be asked"
                                         : strerrordesc_np(-r->error));
}

/* Makes the words of the result of the job. */
static void say_result(struct state *p, struct job *j, const struct asked *a,
                       const struct move_result *r, const char *why)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    uint64_t left = 0, bytes = 0;

    strbuf_addf(&text, "objects=%llu bytes=%llu skipped=%llu failed=%llu", U(r->objects),
                U(r->bytes), U(r->skipped), U(r->failed));
    if (a->drain) {
        (void)refs_ghosts_on(p->refs, a->drain, &left, &bytes);
        strbuf_addf(&text, " left=%llu", U(left));
    }
    if (*why) {
        strbuf_adds(&text, " why=");
        command_add_word(&text, why);
    }
    if (strbuf_error(&text) == 0)
        job_result(p, j, text.s);
}

/* Counts what will be moved, for the progress. Damage that hides a part is reported by the second
 * selection. */
static int count_all(struct state *p, struct job *j, const struct asked *a, char why[256])
{
    struct counting c = {.p = p, .j = j, .a = a};
    int err = move_select(p, &a->s, count_one, &c, why);

    if (err < 0 && err != -EUCLEAN)
        return err;
    job_progress(p, j, 0, c.objects);
    job_progress_bytes(p, j, 0, c.bytes);
    return 0;
}

/* Counts, and then moves. The move is ended also after an error, so that what was done is
 * committed. */
static int move_all(struct state *p, struct job *j, const struct asked *a, struct move_result *ret,
                    char why[256])
{
    struct move *m;
    int end, err = count_all(p, j, a, why);

    if (err == 0)
        err = move_begin(p, j, a->to, &m);
    if (err < 0)
        return err;
    err = move_select(p, &a->s, move_selected, m, why);
    end = move_end(m, ret);
    return err < 0 ? err : end;
}

/* Ends a drain. After a cancel the shard accepts objects again: whoever cancels a drain wants to
 * keep the shard. */
static void end_drain(struct state *p, uint16_t shard, int err)
{
    uint64_t left;

    if (err == -ECANCELED && !atomic_load(&p->closing))
        (void)shards_set_draining(p->shards, shard, false);
    (void)release_pass(p, shard, &left);
}

/* The job_fn of a move. It frees `arg`. An unreachable shard becomes -EIO, because a job's error is
 * the errno of a write. */
static int move_job(struct state *p, struct job *j, void *arg)
{
    struct asked *a = arg;
    struct move_result r = {0};
    char why[256] = "";
    int err;

    shards_look_now(p, SHARDS_LOOK_MOST);
    /* again: another drain of the shard, which never began, may have left it as it was before */
    err = a->drain ? shards_set_draining(p->shards, a->drain, true) : 0;
    if (err == 0)
        err = move_all(p, j, a, &r, why);
    if (err < 0)
        say_why(p, a->to, err, why);
    else
        say_failed(&r, why);
    if (atomic_load(&j->cancel) && (err < 0 || r.failed)) /* whatever it met before it saw that */
        err = -ECANCELED;
    if (a->drain)
        end_drain(p, a->drain, err);
    else
        shards_thread_kick(p); /* bytes may be dead on a shard now */
    say_result(p, j, a, &r, why);
    asked_free(a);
    err = err == 0 && r.failed ? r.error : err;
    return err == -EHOSTUNREACH || err == -ENXIO ? -EIO : err;
}

/* Called if the job never began. A drain then leaves its shard as it was, and one that was
 * cancelled leaves it usable. The end of the store leaves it draining. */
static void not_moved(struct state *p, void *arg, int err)
{
    struct asked *a = arg;

    if (a->drain && (err == -ECANCELED || (a->drains_anew && err != -ESHUTDOWN)))
        (void)shards_set_draining(p->shards, a->drain, false);
    asked_free(a);
}

/* The key of the job: moves of one namespace must not overtake each other, so its number is their
 * key. 0: the words do not name files of one namespace alone. */
static uint64_t key_of(struct state *p, const struct asked *a)
{
    const char *rest;
    size_t len = 0, next = 0;
    struct ns *ns;
    uint64_t key;

    for (size_t i = 0; i < a->s.count; i++, len = next) {
        if (command_path(a->words[i], &next, &rest) < 0)
            return 0;
        if (i > 0 && (next != len || memcmp(a->words[i], a->words[0], len) != 0))
            return 0;
    }
    char *name = strndup(a->words ? a->words[0] : "", len);
    int err = name ? ns_get_by_name(p, name, &ns) : -ENOMEM;
    free(name);
    if (err < 0)
        return 0;
    key = ns->number;
    ns_put(p, ns);
    return key;
}

/* Begins the job. It takes over `a`. */
static int start(struct call *call, const char *verb, const char *detail, struct asked *a)
{
    const struct job_work w = {.fn = move_job,
                               .dropped = not_moved,
                               .arg = a,
                               .key = key_of(call->p, a),
                               .prompt = call->verb->job == JOB_PROMPT};
    uint64_t number;
    struct job *j;
    int err = job_start(call->p, verb, detail, &j);

    if (err < 0) {
        not_moved(call->p, a, err);
        return err;
    }
    number = j->number;
    err = job_run(call->p, j, &w, -1, call->interrupted);
    return err < 0 ? err : control_started(call, number);
}

/* ---- words ---- */

/* Parses the number of a shard, 1 to 65535. */
static int parse_shard(struct call *call, const char *word, uint16_t *ret)
{
    uint64_t n;

    if (command_number(word, &n) < 0)
        return control_fail_word(call, -EINVAL, "%s is not the number of a shard: 1 to 65535",
                                 word);
    if (n == 0)
        return control_fail(call, -EINVAL,
                            "0 is the store itself; other shards have the numbers 1 to 65535, and "
                            "`tally recall` brings objects home");
    if (n > UINT16_MAX)
        return control_fail(call, -EINVAL, "%llu is too high: shards have the numbers 1 to 65535",
                            U(n));
    *ret = (uint16_t)n;
    return 0;
}

/* Finds the shard that a word names. -ENOENT, -EINVAL, with a sentence: archives are not moved to,
 * drained or removed as shards are. */
static int find_shard(struct call *call, const char *word, struct shards_info *ret)
{
    uint16_t n = 0;
    int err = parse_shard(call, word, &n);

    if (err < 0)
        return err;
    err = shards_info_get(call->p->shards, n, ret);
    if (err == -ENXIO)
        return control_fail(call, -ENOENT, "there is no shard %u; `tally shard list` lists them",
                            n);
    if (err == 0 && ret->archive)
        return control_fail(call, -EINVAL,
                            "%u is an archive: nothing is moved there, and it is no shard to drain "
                            "or remove",
                            n);
    return err;
}

static int cannot_use(struct call *call, uint16_t shard, int err)
{
    char why[256] = "";

    say_why(call->p, shard, err, why);
    if (err == -EHOSTUNREACH || err == -ENXIO)
        err = -EIO;
    return *why ? control_fail(call, err, "%s", why) : err;
}

/* Checks that a shard can be used, before a job is begun. */
static int check_use(struct call *call, uint16_t shard, enum shards_use use)
{
    struct shard *s;
    int err;

    shards_look_now(call->p, SHARDS_LOOK_MOST);
    err = shards_get(call->p->shards, shard, use, &s, NULL);

    if (err < 0)
        return cannot_use(call, shard, err);
    shards_put_back(call->p->shards, shard);
    return 0;
}

/* Copies the first `count` arguments into `a`. */
static int copy_words(struct call *call, size_t count, struct asked *a)
{
    a->words = count ? calloc(count, sizeof *a->words) : NULL;
    if (count && !a->words)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        a->words[i] = strdup(control_arg(call, i));
        if (!a->words[i])
            return -ENOMEM;
        a->s.count++;
    }
    a->s.words = (const char *const *)a->words;
    return 0;
}

/* Parses idle=DUR and larger=SIZE. */
static int parse_options(struct call *call, struct move_selection *s)
{
    const char *idle = command_option(call->c, "idle");
    const char *larger = command_option(call->c, "larger");

    if (idle && control_duration(call, idle, &s->idle) < 0)
        return -EINVAL;
    if (larger && command_size(larger, &s->larger) < 0)
        return control_fail_word(
            call, -EINVAL, "%s is not a size: a decimal number and perhaps K, M, G or T", larger);
    return 0;
}

static int check_words(struct call *call, const struct asked *a)
{
    char why[256];
    int err = move_select(call->p, &a->s, NULL, NULL, why);

    return err < 0 && *why ? control_fail(call, err, "%s", why) : err;
}

/* Makes the selection of `move` and `recall` from the first `words` arguments and the options, and
 * checks it. The caller owns *ret. */
static int ask(struct call *call, size_t words, uint16_t to, struct asked **ret)
{
    struct asked *a = calloc(1, sizeof *a);
    int err = a ? 0 : -ENOMEM;

    if (err == 0) {
        a->to = to;
        a->s.idle = -1;
        a->s.on = -1;
        err = copy_words(call, words, a);
    }
    if (err == 0)
        err = parse_options(call, &a->s);
    if (err == 0)
        err = check_words(call, a);
    if (err < 0) {
        asked_free(a);
        return err;
    }
    *ret = a;
    return 0;
}

/* ---- move, recall ---- */

int control_move(struct call *call)
{
    size_t words = call->c->nargs - 1;
    struct shards_info info;
    struct asked *a;
    char detail[64];
    int err;

    /* one word that is no number is a path, and find_shard says what it lacks */
    if (words == 0 && call->c->noptions == 0 &&
        command_number(control_arg(call, words), &(uint64_t){0}) == 0)
        return control_fail(call, -EINVAL, "it does not say what is to be moved; usage: %s",
                            call->verb->usage);
    err = find_shard(call, control_arg(call, words), &info);
    if (err == 0)
        err = control_may_change(call);
    if (err == 0 && info.draining)
        err = cannot_use(call, info.number, -EBUSY);
    if (err == 0)
        err = check_use(call, info.number, SHARDS_WRITE);
    if (err == 0)
        err = ask(call, words, info.number, &a);
    if (err < 0)
        return err;
    snprintf(detail, sizeof detail, "to shard %u", info.number);
    return start(call, "move", detail, a);
}

int control_recall(struct call *call)
{
    struct asked *a;
    int err = control_may_change(call);

    if (err == 0)
        err = ask(call, call->c->nargs, 0, &a);
    return err < 0 ? err : start(call, "recall", "", a);
}

/* ---- shard ---- */

void control_name_shard(struct call *call, const char *url, int err, char *why)
{
    struct shards_info info;

    for (unsigned at = 0; err == -EINVAL && shards_next(call->p->shards, at, &info) == 0;
         at = info.number) {
        const size_t len = strlen(info.url);

        if (!info.archive && !strncmp(info.url, "dir:", 4) && !strncmp(url, info.url, len) &&
            url[len] == '/') {
            snprintf(why, SHARD_WHY,
                     "%.80s is in shard %u of this store, %.80s: use a directory that is in no "
                     "shard",
                     url, info.number, info.url);
            return;
        }
    }
}

/* shard add N URL. An unreachable place becomes -EIO, because this is the errno of a write. */
static int add_shard(struct call *call)
{
    const char *url = control_arg(call, 2);
    struct shards_info info;
    char why[SHARD_WHY] = "";
    uint16_t n = 0;
    int err = parse_shard(call, control_arg(call, 1), &n);

    if (err == 0)
        err = control_may_change(call);
    if (err < 0)
        return err;
    err = shards_add(call->p->shards, n, url, why);
    control_name_shard(call, url, err, why);
    if (err == -EEXIST && !*why)
        return control_fail(call, err, "there is a shard %u already; `tally shard list` lists them",
                            n);
    if (err == -EHOSTUNREACH)
        err = -EIO;
    if (err < 0)
        return *why ? control_fail(call, err, "%s", why) : err;
    shards_thread_kick(call->p);
    err = shards_info_get(call->p->shards, n, &info);
    if (err < 0)
        return err;
    strbuf_addf(&call->head, " shard=%u url=", n);
    command_add_word(&call->head, info.url);
    return 0;
}

/* Appends the line of one shard. */
static void list_one(struct call *call, const struct shards_info *s)
{
    uint64_t objects = 0, bytes = 0;
    struct strbuf *out = &call->lines;
    int err = refs_ghosts_on(call->p->refs, s->number, &objects, &bytes);

    strbuf_addf(out, "| shard=%u state=%s url=", s->number, shards_state_name(s->state));
    command_add_word(out, s->url);
    if (err < 0) /* what counts them is damaged */
        strbuf_adds(out, " objects=unknown bytes=unknown");
    else
        strbuf_addf(out, " objects=%llu bytes=%llu", U(objects), U(bytes));
    if (s->space.size)
        strbuf_addf(out, " disk=%llu avail=%llu", U(s->space.size), U(s->space.avail));
    if (s->draining)
        strbuf_adds(out, " draining=1");
    if (s->archive)
        strbuf_addf(out, " archive=yes lineage=%u", s->lineage);
    if (*s->why) {
        strbuf_adds(out, " why=");
        command_add_word(out, s->why);
    }
    view_traffic(&s->traffic, out);
    strbuf_adds(out, "\n");
}

/* shard list. It asks unreachable shards again first, so that their states are of now. */
static int list_shards(struct call *call)
{
    struct shards_info info;
    unsigned count = 0;

    shards_look_now(call->p, SHARDS_LOOK_MOST);
    for (unsigned at = 0; shards_next(call->p->shards, at, &info) == 0; at = info.number) {
        list_one(call, &info);
        count++;
    }
    strbuf_addf(&call->head, " shards=%u", count);
    return 0;
}

/* shard drain N: the shard is set to draining first, so that no move puts anything there any
 * more. */
static int drain_shard(struct call *call)
{
    struct shards_info info;
    struct asked *a = NULL;
    char detail[64];
    int err = find_shard(call, control_arg(call, 1), &info);

    if (err == 0)
        err = control_may_change(call);
    if (err == 0)
        err = check_use(call, info.number, SHARDS_READ);
    if (err == 0 && !(a = calloc(1, sizeof *a)))
        err = -ENOMEM;
    if (err == 0)
        err = shards_set_draining(call->p->shards, info.number, true);
    if (err < 0) {
        asked_free(a);
        return err;
    }
    a->s = (struct move_selection){.idle = -1, .on = info.number};
    a->drain = info.number;
    a->drains_anew = !info.draining;
    snprintf(detail, sizeof detail, "of shard %u", info.number);
    return start(call, "shard drain", detail, a);
}

/* Checks, in this order, all that may still need the shard: a move in progress, objects, dead
 * ghosts, packs without live records. The shard is draining, so no new move begins there meanwhile.
 * -EBUSY, with a sentence. */
static int is_needed(struct call *call, uint16_t n)
{
    struct state *p = call->p;
    uint64_t objects, bytes, left;
    struct pack_info k = {.number = 0};
    int err;

    if (move_in_flight(p, n) != UINT64_MAX)
        return control_fail(call, -EBUSY, "a move to it is at work; `tally cancel` ends it");
    err = flush_now(p); /* commits what died just now */
    if (err == 0)
        err = refs_ghosts_on(p->refs, n, &objects, &bytes);
    if (err == 0 && objects)
        return control_fail(call, -EBUSY,
                            "%llu object%s with %llu bytes live%s there; "
                            "`tally shard drain %u` brings them home",
                            U(objects), objects == 1 ? "" : "s", U(bytes), objects == 1 ? "s" : "",
                            n);
    if (err == 0)
        err = release_pass(p, n, &left);
    while (err == 0 && (err = packs_next_closed(p->packs, n, k.number, &k)) == 0)
        left++;
    if (err == -ENOENT) /* those were all */
        err = 0;
    if (err == 0 && left)
        return control_fail(call, -EBUSY,
                            "%llu file%s that nothing needs any more wait%s for deletion there; it "
                            "comes by itself when the shard can be written",
                            U(left), left == 1 ? "" : "s", left == 1 ? "s" : "");
    /* The flush commits that no record of the dying names the shard any more. */
    return err < 0 ? err : flush_now(p);
}

/* shard remove N. It drains the shard in the sense that nothing new is put there; if it is still
 * needed that is undone. */
static int remove_shard(struct call *call)
{
    struct shards_info info;
    char why[SHARD_WHY] = "";
    int err = find_shard(call, control_arg(call, 1), &info);

    if (err == 0)
        err = control_may_change(call);
    if (err == 0)
        err = shards_set_draining(call->p->shards, info.number, true);
    if (err < 0)
        return err;
    err = is_needed(call, info.number);
    if (err == 0) {
        err = shards_remove(call->p->shards, info.number, why);
        if (err == -EBUSY && !*why)
            snprintf(why, sizeof why, "it is in use just now; try again");
        if (err < 0 && *why)
            (void)control_fail(call, err, "%s", why);
    }
    if (err < 0 && !info.draining)
        (void)shards_set_draining(call->p->shards, info.number, false);
    if (err == 0)
        strbuf_addf(&call->head, " shard=%u", info.number);
    return err;
}

int control_shard(struct call *call)
{
    const char *what = call->c->args[0].quoted ? "" : control_arg(call, 0);
    size_t nargs = call->c->nargs;

    if (!strcmp(what, "drain") && nargs == 2)
        return drain_shard(call);
    if (call->c->wait)
        return control_fail(call, -EINVAL,
                            "only `tally shard drain` is a job that can be waited for");
    if (!strcmp(what, "add") && nargs == 3)
        return add_shard(call);
    if (!strcmp(what, "list") && nargs == 1)
        return list_shards(call);
    if (!strcmp(what, "remove") && nargs == 2)
        return remove_shard(call);
    return control_misuse(call, call->verb->usage);
}
