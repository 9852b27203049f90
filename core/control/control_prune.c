// SPDX-License-Identifier: Apache-2.0
/* control_prune: the verbs archive prune, archive pins and archive unpin. */
#include "archive_pins.h"
#include "control_impl.h"
#include "job.h"
#include "ns_restore.h"
#include "prune.h"
#include "shards.h"
#include "ship.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define U(x) ((unsigned long long)(x))

struct prune_job {
    struct state *p;
    struct job *j;
};

static int on_pruned(uint64_t segments, void *ctx)
{
    const struct prune_job *at = ctx;

    job_progress(at->p, at->j, segments, 0);
    return job_pause(at->p, at->j, 0);
}

static void say(const struct prune_result *r, struct strbuf *out)
{
    strbuf_addf(out, "catalogue=%u states=%llu oldest=", r->catalogue, U(r->states));
    if (r->oldest)
        strbuf_add_time(out, r->oldest);
    else
        strbuf_adds(out, "all");
    strbuf_addf(out,
                " deleted=%llu deleted_bytes=%llu thinned=%llu marked=%llu "
                "marked_bytes=%llu wait=%lld",
                U(r->deleted), U(r->deleted_bytes), U(r->thinned), U(r->marked), U(r->marked_bytes),
                (long long)(r->wait / NSEC_PER_SEC));
}

struct pruning {
    uint16_t archive;
    char with[SHARD_URL_MAX + 1]; /* "": none */
};

static int prune_job(struct state *p, struct job *j, void *arg)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT, why = STRBUF_INIT;
    struct prune_job at = {p, j};
    struct pruning *a = arg;
    const struct prune_ask ask = {
        .with = *a->with ? a->with : NULL, .progress = on_pruned, .ctx = &at};
    struct prune_result r;
    int err = prune_run(p, a->archive, &ask, &r, &why);

    free(a);
    if (err < 0 && why.len) { /* a result is short */
        strbuf_adds(&text, "why=");
        command_add_word(&text, why.s);
    } else {
        say(&r, &text);
    }
    if (strbuf_error(&text) == 0)
        job_result(p, j, text.s);
    return control_archive_errno(err);
}

static const char *url_at(const struct call *call, size_t i)
{
    return call->c->nargs > i ? control_arg(call, i) : NULL;
}

/* archive prune [URL] [with=URL] [wait] */
int control_prune(struct call *call)
{
    const char *with = command_option(call->c, "with");
    struct pruning *a;
    uint16_t number = 0;
    char detail[32];
    int err = control_find_archive(call, url_at(call, 1), true, &number);

    if (err == 0 && with && strlen(with) > SHARD_URL_MAX)
        err = control_fail(call, -EINVAL, "the URL is too long");
    if (err == 0)
        err = control_may_change(call);
    if (err < 0)
        return err;
    a = calloc(1, sizeof *a);
    if (!a)
        return -ENOMEM;
    a->archive = number;
    snprintf(a->with, sizeof a->with, "%s", with ? with : "");
    snprintf(detail, sizeof detail, "prune of archive %u", number);
    return control_run_one(call, detail, prune_job, a);
}

static void add_pin(struct call *call, const struct archive_pin *pin)
{
    char token[2 * ARCHIVE_TOKEN_LEN + 1];

    archive_token_format(pin->token, token);
    strbuf_addf(&call->lines, "| pin=%s lineage=%u segment=", token, pin->lineage);
    if (pin->at.epoch)
        strbuf_addf(&call->lines, "%llu-%llu", U(pin->at.epoch), U(pin->at.serial));
    else
        strbuf_adds(&call->lines, pin->behind.epoch ? "none" : "all");
    strbuf_adds(&call->lines, " time=");
    strbuf_add_time(&call->lines, pin->time);
    strbuf_adds(&call->lines, " who=");
    command_add_word(&call->lines, pin->who);
    strbuf_adds(&call->lines, "\n");
}

static int pins_of(struct call *call, uint16_t number, struct archive_pins *ret)
{
    char token[2 * ARCHIVE_TOKEN_LEN + 1];
    struct shard *shard;
    int err = shards_get(call->p->shards, number, SHARDS_READ, &shard, NULL);

    if (err < 0)
        return control_archive_errno(err);
    err = archive_pins_read(shard, ret);
    archive_token_format(ret->bad, token);
    if (err != -EUCLEAN && err != -EPROTO)
        err = shards_said(call->p->shards, number, err);
    shards_put_back(call->p->shards, number);
    return err == -EUCLEAN || err == -EPROTO
               ? control_fail(call, err, "the pin %s cannot be read", token)
               : control_archive_errno(err);
}

/* archive pins [URL] */
int control_list_pins(struct call *call)
{
    struct archive_pins pins = {.count = 0};
    uint16_t number = 0;
    int err = control_find_archive(call, url_at(call, 1), false, &number);

    if (err == 0)
        err = pins_of(call, number, &pins);
    if (err < 0)
        return err;
    for (size_t i = 0; i < pins.count; i++)
        add_pin(call, &pins.v[i]);
    strbuf_addf(&call->head, " archive=%u pins=%zu", number, pins.count);
    free(pins.v);
    return 0;
}

/* It need not be readable. */
static int end_pin(struct call *call, uint16_t number, struct shard *shard,
                   const uint8_t token[ARCHIVE_TOKEN_LEN])
{
    char name[ARCHIVE_NAME_MAX + 1];
    uint64_t size;
    int err;

    archive_pin_name(token, name);
    err = shard_stat(shard, name, &size);
    if (err == 0)
        err = restore_needs_pin(call->p, number, shard, token);
    return err == 1 ? -EBUSY : err < 0 ? err : archive_pin_end(shard, token);
}

static int unpin(struct call *call, uint16_t number, const uint8_t token[ARCHIVE_TOKEN_LEN])
{
    struct shard *shard;
    int err = shards_get(call->p->shards, number, SHARDS_READ, &shard, NULL);

    if (err < 0)
        return control_archive_errno(err);
    err = end_pin(call, number, shard, token);
    if (err != -ENOENT && err != -EBUSY)
        err = shards_said(call->p->shards, number, err);
    shards_put_back(call->p->shards, number);
    if (err == -EBUSY)
        return control_fail(call, err,
                            "this store has put that pin, and uses contents that it keeps: it ends "
                            "with `archive remove` here");
    return err == -ENOENT
               ? control_fail(call, err, "there is no such pin: `archive pins` lists them")
               : control_archive_errno(err);
}

/* archive unpin TOKEN [URL] */
int control_end_pin(struct call *call)
{
    uint8_t token[ARCHIVE_TOKEN_LEN];
    uint16_t number = 0;
    int err = call->c->nargs >= 2 ? control_may_change(call)
                                  : control_misuse(call, "archive unpin TOKEN [URL]");

    if (err == 0 && archive_token_parse(control_arg(call, 1), token) < 0)
        err =
            control_fail_word(call, -EINVAL, "%s is not the token of a pin", control_arg(call, 1));
    if (err == 0)
        err = control_find_archive(call, url_at(call, 2), false, &number);
    return err < 0 ? err : unpin(call, number, token);
}
