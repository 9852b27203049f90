// SPDX-License-Identifier: Apache-2.0
/*
 * control_log: the verb log. It reads the segments that exist while others append to them. A change
 * that returned before the command was given is complete in them. So an incomplete frame is one
 * that is being written just now, and no damage.
 */
#include "control_impl.h"
#include "log_list.h"
#include "ns_restore.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define U(x) ((unsigned long long)(x))
#define LINES_MAX 10000 /* lines of one list */
#define WORDS_MAX 4     /* operations that one line describes */

struct lookup {
    uint32_t ns;
    uint64_t until;        /* the number of the last change that is listed */
    int64_t until_time;    /* the time of the last change that is listed, ns since the epoch */
    uint64_t frames;       /* frames found so far */
    struct log_frame last; /* the newest frame found; its payload is not valid any more */
    char **lines;          /* a ring of LINES_MAX malloc'd lines; NULL: none are kept */
};

/* ---- what is there ---- */

/* Keeps the line of a frame in the ring, over the oldest one. */
static void keep_line(struct lookup *l, const struct log_frame *f)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    char **line = &l->lines[l->frames % LINES_MAX], time[LOG_TIME];

    strbuf_addf(&text, "segment=%llu offset=%llu seq=%llu time=%s ", U(f->pos.segment),
                U(f->pos.offset), U(f->seq), log_time(f->time, time));
    (void)log_describe(f, WORDS_MAX, &text);
    free(*line);
    *line = strbuf_detach(&text, NULL);
}

/* Called for each frame: takes those of the namespace, up to the number and the time. */
static int on_frame(const struct log_frame *f, void *ctx)
{
    struct lookup *l = ctx;

    if (f->sync || f->ns != l->ns || f->seq > l->until || f->time > l->until_time)
        return 0;
    if (l->lines)
        keep_line(l, f);
    l->frames++;
    l->last = *f;
    return 0;
}

static void on_segment(const struct log_file *f, void *ctx)
{
    (void)f, (void)ctx;
}

/* Reads the log. Damage ends the reading, and is no error of this verb: what comes before it is
 * listed. */
static int look_up(struct call *call, struct lookup *l)
{
    const struct log_list_options o = {.segment = on_segment, .frame = on_frame, .ctx = l};
    struct log_report report;
    int err = log_list(call->p->config.disk, &o, &report);

    return err == -EUCLEAN ? 0 : err;
}

/* ---- list, find ---- */

/* log list NS [until=SEQ]: the newest LINES_MAX frames, in the order of the log. */
static int list_frames(struct call *call, struct lookup *l)
{
    const char *until = command_option(call->c, "until");

    if (call->c->nargs != 2)
        return control_misuse(call, "log list NS [until=SEQ]");
    if (until && command_number(until, &l->until) < 0)
        return control_fail_word(call, -EINVAL, "%s is not a sequence number", until);
    l->lines = calloc(LINES_MAX, sizeof *l->lines);
    if (!l->lines)
        return -ENOMEM;
    int err = look_up(call, l);
    uint64_t shown = l->frames < LINES_MAX ? l->frames : LINES_MAX;

    if (err == 0)
        strbuf_addf(&call->head, " frames=%llu shown=%llu", U(l->frames), U(shown));
    for (uint64_t i = l->frames - shown; i < l->frames; i++) {
        if (err == 0 && l->lines[i % LINES_MAX])
            control_line(call, "%s", l->lines[i % LINES_MAX]);
        free(l->lines[i % LINES_MAX]);
    }
    free(l->lines);
    return err;
}

/* log find NS SEQ|TIME: the newest frame of the namespace up to that change or time. */
static int find_frames(struct call *call, struct lookup *l)
{
    char time[LOG_TIME];

    if (call->c->nargs != 3 || call->c->noptions)
        return control_misuse(call, "log find NS SEQ|TIME");
    const char *what = control_arg(call, 2);

    if (command_number(what, &l->until) < 0 && command_time(what, &l->until_time) < 0) {
        int64_t age;

        if (command_duration(what, &age) < 0)
            return control_fail_word(call, -EINVAL, "%s is not " RESTORE_MOMENTS, what);
        l->until_time = now(call->p) - age;
    }
    int err = look_up(call, l);

    if (err < 0)
        return err;
    if (l->frames == 0)
        return control_fail_word(call, -ENOENT, "the log has no change of that namespace up to %s",
                                 what);
    strbuf_addf(&call->head, " segment=%llu offset=%llu seq=%llu time=%s", U(l->last.pos.segment),
                U(l->last.pos.offset), U(l->last.seq), log_time(l->last.time, time));
    return 0;
}

int control_log(struct call *call)
{
    struct lookup l = {.until = UINT64_MAX, .until_time = INT64_MAX};
    const struct command_word *word = call->c->args;
    struct ns *ns;
    int err = ns_get_by_name(call->p, control_arg(call, 1), &ns);

    if (err < 0)
        return control_fail_word(call, err, "there is no namespace %s", control_arg(call, 1));
    l.ns = ns->number;
    ns_put(call->p, ns);
    if (!word->quoted && strcmp(word->text, "list") == 0)
        return list_frames(call, &l);
    if (!word->quoted && strcmp(word->text, "find") == 0)
        return find_frames(call, &l);
    return control_fail_word(call, -EINVAL, "it is `log list` or `log find`, not log %s",
                             word->text);
}
