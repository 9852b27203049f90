// SPDX-License-Identifier: Apache-2.0
/*
 * chain_model: all interleavings of the requests of several claimants of one history (chain.h).
 *
 *     chain_model [--scene NAME] [--break RULE] [--max-states N] [--whole]
 *
 * An actor is a program: it claims, puts some segments, and goes on until it is fenced. What it
 * does next follows from the answers that it has had. So a state of the world is what stands in the
 * store, the answers of each actor, and the puts that are under way. A step of an actor runs its
 * program from the start, with the answers that are known, then does one request more, and stops it
 * at the one after that: that request, and all that follow, are answered by -ECANCELED. This takes
 * no threads. Two ways that lead to the same state are gone on from once; of the answers only those
 * count that came since the actor last called a function of chain.h (know). The store is that of this
 * file: the linker puts it in the place of core/shard (--wrap), and each of its calls is atomic.
 *
 * In each state an actor may stop for ever: the others then go on without it, which is one of the
 * ways that are tried; and what must hold is checked in every state, not only at the ends. Faults
 * (a number of them in each way, by the scene):
 *
 *     late       a put is told -EHOSTUNREACH; it is done at any time from then on, or never
 *     repeated   a put is done, its answer lost, and the driver sends it again: -EEXIST
 *     unread     a stat or a read is told -EHOSTUNREACH
 *
 * What must hold:
 *
 *     at each put    claims and serials have no gaps; nothing is put behind a terminator; a segment
 *                    only when every earlier epoch has its terminator; nothing is replaced
 *     at a claim     the end that it was told is that of the history before it
 *     in each state  chain_next reads one sequence, in it is each segment whose put was told 0, and
 *                    chain_last finds the last one
 *     of an actor    once it was fenced it is told nothing else, and asks nothing
 *
 * With --break one rule is off, and it is a failure if nothing is noticed. A failure prints the way
 * that leads to it.
 */
#include "chain_model.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *rule_off;

static const char *const rules[] = {
    "put-if-absent",        /* the store replaces what has the name */
    "ends",                 /* a claimant does not end earlier epochs */
    "empty-ends",           /* a claimant does not end earlier epochs that are empty */
    "ends-after-claim",     /* a claimant ends earlier epochs, and then claims */
    "ascending-if-trusted", /* a claimant stops at the first terminator, and ends downwards */
    NULL,
};

/* `segments` are those of each actor, and `faults` those of one way. `live`: actor 1 has epoch 1
 * already, and epoch 2 was claimed by one that died; else all begin with nothing. */
static const struct scene {
    const char *name;
    unsigned actors, segments;
    uint8_t faults;
    bool live;
    enum claim_way way;
} scenes[] = {
    {"two", 2, 3, 0, false, CLAIM_REAL},
    {"two-faults", 2, 2, 2, false, CLAIM_REAL},
    {"three", 3, 2, 0, false, CLAIM_REAL},
    {"three-fault", 3, 1, 1, false, CLAIM_REAL},
    {"live", 3, 2, 0, true, CLAIM_REAL},
    {"live-fault", 3, 1, 1, true, CLAIM_REAL},
    {"live-descending", 3, 2, 0, true, CLAIM_DESCENDING},
    {"live-trusting", 3, 1, 0, true, CLAIM_TRUSTING},
};
#define SCENES (sizeof scenes / sizeof *scenes)

static const struct scene *scene;
static bool whole; /* no answer is forgotten */
static uint64_t states_most = UINT64_C(20) << 20;

/* ---- a way, for people ---- */

static struct {
    unsigned len;
    struct {
        unsigned actor; /* from 1; 0: a late put */
        const char *call, *name, *answer;
    } step[STEPS_MAX];
} way;

_Noreturn void fail(const char *what)
{
    for (unsigned i = 0; i < way.len; i++)
        fprintf(stderr, "%3u  %s %u: %s %s -> %.*s\n", i + 1, way.step[i].actor ? "actor" : "late",
                way.step[i].actor, way.step[i].call, way.step[i].name,
                (int)strcspn(way.step[i].answer, "\n"), way.step[i].answer);
    fprintf(stderr, "scene %s: %s\n", scene->name, what);
    if (!rule_off)
        abort();
    printf("caught without %s: %s, in scene %s, after %u steps\n", rule_off, what, scene->name,
           way.len);
    fflush(stdout);
    _Exit(0);
}

void tell(unsigned actor, const char *call, const char *name, const char *answer)
{
    way.step[way.len - 1].actor = actor;
    way.step[way.len - 1].call = call;
    way.step[way.len - 1].name = name;
    way.step[way.len - 1].answer = answer;
}

/* ---- actors ---- */

static bool is_off(const char *rule)
{
    return rule_off && strcmp(rule_off, rule) == 0;
}

static enum claim_way claim_way(void)
{
    return is_off("ends-after-claim")       ? CLAIM_AFTER_ENDS
           : is_off("ascending-if-trusted") ? CLAIM_TRUSTING_DESCENDING
                                            : scene->way;
}

static struct chain chain_of(unsigned actor)
{
    struct archive_claim who = {.token = {(uint8_t)(actor + 1)}, .host = "host", .boot = "boot"};
    struct chain c;

    chain_init(&c, NULL, LINEAGE, &who, 0);
    return c;
}

/* Claims until it is known whether that was done. False: the actor was stopped. */
static bool actor_claims(struct chain *c)
{
    struct segment_pos end;
    char why[SHARD_WHY];
    int err;

    do {
        know(c, false);
        err = model_claim(c, claim_way(), &end, why);
    } while (err == -EHOSTUNREACH);
    if (run.stopped)
        return false;
    if (err < 0)
        fail("a claim fails");
    check_claim(c->epoch, end);
    return true;
}

/* The program of an actor. It returns when it has ended, or was stopped. */
static void actor_runs(unsigned actor)
{
    struct chain c = chain_of(actor);
    int err = 0;

    if (scene->live && actor == 0) {
        c.epoch = 1;
        c.claimed = c.ready = true;
    } else if (!actor_claims(&c)) {
        return;
    }
    for (unsigned i = 0; i < scene->segments && err == 0; i++) {
        char text[32];
        int len = snprintf(text, sizeof text, "segment %u of actor %u", i + 1, actor + 1);

        do {
            know(&c, false);
            err = chain_put(&c, text, (size_t)len);
        } while (err == -EHOSTUNREACH);
        if (run.stopped)
            return;
        if (err == 0)
            acknowledge(actor, (struct segment_pos){c.epoch, c.serial}, text, (size_t)len);
        else if (err != -EKEYREVOKED)
            fail("a put fails");
    }
    if (err == -EKEYREVOKED && (run.quiet = true, chain_put(&c, "more", 4) != -EKEYREVOKED))
        fail("a writer that was fenced is told something else");
    run.quiet = false;
    know(&c, true);
}

/* One step of an actor in `w`. False: it has no step of that kind. */
static bool step(struct world *w, unsigned actor, enum fault_kind fault)
{
    if (w->actor[actor].ended || (fault != FAULT_NONE && w->faults == 0))
        return false;
    run_begin(w, actor, fault);
    actor_runs(actor);
    w->actor[actor].ended = !run.stopped;
    if (run.refused)
        return false;
    if (fault != FAULT_NONE)
        w->faults--;
    drop_lates(w);
    return true;
}

/* ---- all ways ---- */

static double explore(struct world *w);

/* Explores what follows each step of an actor. Returns the number of ways. */
static double explore_actor(const struct world *from, unsigned actor)
{
    double schedules = 0;

    for (int fault = FAULT_NONE; fault < FAULT_KINDS; fault++) {
        struct world w = *from;

        if (step(&w, actor, (enum fault_kind)fault))
            schedules += explore(&w);
    }
    return schedules;
}

/* Explores what follows when a put that was told an error is done now. */
static double explore_late(const struct world *from, unsigned i)
{
    struct world w = *from;

    do_late(&w, i);
    drop_lates(&w);
    return explore(&w);
}

/* Checks a state and explores all that follows from it, once. Returns the number of ways from there
 * on. */
static double explore(struct world *w)
{
    double schedules = 0, *seen = seen_find(w, scene->actors, whole);

    if (*seen != 0)
        return *seen;
    check_world(w, scene->actors);
    if (seen_count() > states_most)
        fail("there are too many states");
    if (++way.len > STEPS_MAX)
        fail("a way has too many steps");
    for (unsigned i = 0; i < scene->actors; i++)
        schedules += explore_actor(w, i);
    for (unsigned i = 0; i < w->lates; i++)
        schedules += explore_late(w, i);
    way.len--;
    schedules = schedules == 0 ? 1 : schedules;
    *seen_find(w, scene->actors, whole) = schedules; /* the table may have moved */
    return schedules;
}

/* ---- main ---- */

static void begin(struct world *w)
{
    *w = (struct world){.faults = scene->faults};
    if (!scene->live)
        return;
    struct chain a = chain_of(0), dead = chain_of(ACTORS_MAX);

    put_claim_of(w, 1, &a.who);
    put_claim_of(w, 2, &dead.who);
}

static void run_scene(const struct scene *s)
{
    struct world w;

    scene = s;
    seen_clear();
    begin(&w);
    double schedules = explore(&w);

    printf("%-16s %u actors, %u segments each, faults %u: %llu states, %.3g schedules\n", s->name,
           s->actors, s->segments, s->faults, (unsigned long long)seen_count(), schedules);
    fflush(stdout);
}

static bool is_known(const char *rule)
{
    for (size_t i = 0; rules[i]; i++)
        if (strcmp(rules[i], rule) == 0)
            return true;
    return false;
}

static int usage(void)
{
    fprintf(stderr,
            "usage: chain_model [--scene NAME] [--break RULE] [--max-states N] [--whole]\nscenes:");
    for (size_t i = 0; i < SCENES; i++)
        fprintf(stderr, " %s", scenes[i].name);
    fprintf(stderr, "\nrules:");
    for (size_t i = 0; rules[i]; i++)
        fprintf(stderr, " %s", rules[i]);
    fputc('\n', stderr);
    return 2;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"scene", 1, NULL, 's'},
                                            {"break", 1, NULL, 'b'},
                                            {"max-states", 1, NULL, 'm'},
                                            {"whole", 0, NULL, 'w'},
                                            {0}};
    const char *only = NULL;
    unsigned tried = 0;
    int o;

    while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (o == 's')
            only = optarg;
        else if (o == 'b' && is_known(optarg))
            rule_off = optarg;
        else if (o == 'm')
            states_most = strtoull(optarg, NULL, 0);
        else if (o == 'w')
            whole = true;
        else
            return usage();
    }
    for (size_t i = 0; i < SCENES; i++)
        if (!only || strcmp(only, scenes[i].name) == 0) {
            run_scene(&scenes[i]);
            tried++;
        }
    seen_free();
    if (rule_off)
        fprintf(stderr, "not noticed: %s\n", rule_off);
    return tried == 0 ? usage() : rule_off != NULL;
}
