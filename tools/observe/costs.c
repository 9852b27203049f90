// SPDX-License-Identifier: Apache-2.0
#include "costs.h"

#include "array.h"
#include "client.h"
#include "clock.h"
#include "command.h"
#include "fields.h"
#include "profile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROWS_MAX 4096 /* of one recording, and one more for each kind of request */

/* ---- a reply ---- */

/* The number of a field; 0 if it is missing or none. */
static uint64_t number(const json_t *fields, const char *key)
{
    const char *text = fields_get(fields, key);
    uint64_t n = 0;
    return text && command_number(text, &n) == 0 ? n : 0;
}

/* Reads "12:3,13:40". False: it is of another form. */
static bool read_buckets(const char *text, struct histogram *h)
{
    while (text && *text) {
        char *end;
        const unsigned long bucket = strtoul(text, &end, 10);
        if (end == text || *end != ':' || bucket >= HISTOGRAM_BUCKETS) {
            return false;
        }
        text = end + 1;
        h->of[bucket] += strtoull(text, &end, 10);
        if (end == text || (*end && *end != ',')) {
            return false;
        }
        text = *end ? end + 1 : end;
    }
    return text != NULL;
}

static char *copy(const json_t *fields, const char *key)
{
    const char *text = fields_get(fields, key);
    return strdup(text ? text : "");
}

static void release_row(struct costs_row *r)
{
    free(r->program);
    free(r->ns);
    free(r->op);
}

/* Has a row become one of "(others)", of no namespace. */
static int take_to_others(struct costs_row *r)
{
    free(r->program);
    free(r->ns);
    r->pid = 0;
    r->program = strdup(PROFILE_OTHERS);
    r->ns = strdup("");
    return r->program && r->ns ? 0 : -ENOMEM;
}

static struct costs_row *find_row(const struct costs *s, const struct costs_row *r)
{
    for (size_t i = 0; i < s->count; i++) {
        struct costs_row *o = &s->rows[i];
        if (strcmp(o->op, r->op) == 0 && strcmp(o->ns, r->ns) == 0 &&
            strcmp(o->program, r->program) == 0) {
            return o;
        }
    }
    return NULL;
}

/* Adds a row to one that is there already, or at the end. It takes over the texts of `r`. */
static int merge_row(struct costs *s, struct costs_row *r)
{
    struct costs_row *o = find_row(s, r);
    int err = 0;
    if (!o && s->count >= ROWS_MAX) {
        err = take_to_others(r);
        o = err == 0 ? find_row(s, r) : NULL;
    }
    if (err == 0 && o) {
        histogram_add(&o->took, &r->took);
        o->max_us = o->max_us > r->max_us ? o->max_us : r->max_us;
        o->pid = o->pid == r->pid ? o->pid : 0;
    }
    if (err == 0 && !o) {
        err = ARRAY_RESERVE(s->rows, s->room, s->count + 1);
    }
    if (err < 0 || o) {
        release_row(r);
        return err;
    }
    s->rows[s->count++] = *r;
    return 0;
}

/* Adds one line of a reply. */
static int add_line(struct costs *s, const char *line, size_t len)
{
    json_t *f = fields_of(line, len);
    struct costs_row r = {.pid = (int)number(f, "pid"), .max_us = number(f, "max_us")};
    if (!f || !read_buckets(fields_get(f, "buckets"), &r.took)) {
        json_decref(f);
        return -EPROTO;
    }
    r.took.sum_ns = number(f, "total_us") * NSEC_PER_USEC;
    r.program = copy(f, "program");
    r.ns = copy(f, "ns");
    r.op = copy(f, "op");
    json_decref(f);
    if (!r.program || !r.ns || !r.op) {
        release_row(&r);
        return -ENOMEM;
    }
    return merge_row(s, &r);
}

int costs_add_reply(struct costs *s, const char *head, const char *body)
{
    json_t *f = fields_of(head, strlen(head));
    int err = f ? 0 : -EPROTO;
    for (const char *p = body; err == 0 && *p;) {
        const size_t len = strcspn(p, "\n");
        err = add_line(s, p, len);
        p += len + (p[len] == '\n');
    }
    if (err == 0) {
        s->ms += number(f, "ms");
    }
    json_decref(f);
    return err;
}

/* ---- recording ---- */

int costs_take(const char *mnt, unsigned ms, struct costs *s, struct strbuf *why)
{
    struct reply reply = REPLY_INIT;
    char command[40];
    snprintf(command, sizeof(command), "profile %ums", ms);
    const int fd = client_open(mnt);
    int err = fd < 0 ? fd : client_run(fd, command, &reply);
    if (fd >= 0) {
        close(fd);
    }
    if (err == 0) {
        err = costs_add_reply(s, reply.head.s ? reply.head.s : "", reply.body.s);
    }
    if (fd < 0) {
        client_explain(mnt, fd, why);
    } else if (err < 0) {
        strbuf_addf(why, "%s", reply.head.len ? reply.head.s : strerror(-err));
    }
    reply_release(&reply);
    return err;
}

void costs_release(struct costs *s)
{
    for (size_t i = 0; i < s->count; i++) {
        release_row(&s->rows[i]);
    }
    free(s->rows);
    *s = (struct costs)COSTS_INIT;
}

/* ---- groups ---- */

static const char *name_of(const struct costs_row *r, enum costs_by by)
{
    return by == COSTS_BY_OP ? r->op : by == COSTS_BY_NS ? r->ns : r->program;
}

static struct costs_group *find_group(struct costs_group *groups, size_t *count, const char *name,
                                      int pid)
{
    for (size_t i = 0; i < *count; i++) {
        if (strcmp(groups[i].name, name) == 0) {
            return &groups[i];
        }
    }
    groups[*count] = (struct costs_group){.name = name, .pid = pid};
    return &groups[(*count)++];
}

static int dearest_first(const void *a, const void *b)
{
    const struct costs_group *x = a, *y = b;
    if (x->took.sum_ns != y->took.sum_ns) {
        return x->took.sum_ns < y->took.sum_ns ? 1 : -1;
    }
    return strcmp(x->name, y->name);
}

ssize_t costs_group(const struct costs *s, enum costs_by by, struct costs_group **ret)
{
    struct costs_group *groups = calloc(s->count + 1, sizeof(*groups));
    size_t count = 0;
    if (!groups) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < s->count; i++) {
        const struct costs_row *r = &s->rows[i];
        struct costs_group *g = find_group(groups, &count, name_of(r, by), r->pid);
        histogram_add(&g->took, &r->took);
        g->max_us = g->max_us > r->max_us ? g->max_us : r->max_us;
        g->pid = g->pid == r->pid ? g->pid : 0;
    }
    qsort(groups, count, sizeof(*groups), dearest_first);
    *ret = groups;
    return (ssize_t)count;
}

uint64_t costs_quantile(const struct histogram *took, uint64_t max_us, double share)
{
    const uint64_t us = histogram_quantile(took, share);
    return us < max_us || max_us == 0 ? us : max_us;
}

uint64_t costs_requests(const struct costs *s)
{
    uint64_t n = 0;
    for (size_t i = 0; i < s->count; i++) {
        n += histogram_count(&s->rows[i].took);
    }
    return n;
}
