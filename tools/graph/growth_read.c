// SPDX-License-Identifier: Apache-2.0
/* growth_read: see the header. */
#include "growth_read.h"

#include "array.h"
#include "command.h"
#include "graph_read.h"
#include "say.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *const keys[GROWTH_FIGURES] = {"logical", "stored", "disk_free",
                                                 "objects", "inodes", "namespaces"};

/* Takes a line of the reply; one without a time is of a version that says something else. */
static int take_sample(void *ctx, const struct command *line)
{
    struct growth_points *p = ctx;
    struct growth_point point;
    const char *time = command_option(line, "time");
    if (!time || command_time(time, &point.time) < 0) {
        return 0;
    }
    for (size_t i = 0; i < GROWTH_FIGURES; i++) {
        const char *word = command_option(line, keys[i]);
        if (!word || command_number(word, &point.v[i]) < 0) {
            point.v[i] = GROWTH_UNKNOWN;
        }
    }
    if (ARRAY_RESERVE(p->v, p->room, p->count + 1) < 0) {
        return -ENOMEM;
    }
    p->v[p->count++] = point;
    return 0;
}

int growth_read(const char *mnt, const char *since, struct growth_points *ret)
{
    CLEANUP_STRBUF struct strbuf command = STRBUF_INIT;
    struct reply r = REPLY_INIT;
    *ret = (struct growth_points){.v = NULL};
    strbuf_adds(&command, "growth");
    if (since) {
        strbuf_adds(&command, " since=");
        command_add_word(&command, since);
    }
    int rc = strbuf_error(&command) < 0 ? tally_fail("%s", strerror(ENOMEM))
                                        : graph_ask(mnt, command.s, &r);
    if (rc == 0 && graph_each_line(&r.body, false, take_sample, ret) < 0) {
        rc = tally_fail("%s", strerror(ENOMEM));
    }
    reply_release(&r);
    return rc;
}

void growth_json(const struct growth_points *p, struct strbuf *out)
{
    json_t *all = json_array();
    for (size_t i = 0; i < p->count; i++) {
        CLEANUP_STRBUF struct strbuf time = STRBUF_INIT;
        json_t *o = json_object();
        strbuf_add_time(&time, p->v[i].time);
        json_object_set_new(o, "time", json_string(time.s));
        for (size_t k = 0; k < GROWTH_FIGURES; k++) {
            if (p->v[i].v[k] != GROWTH_UNKNOWN) {
                json_object_set_new(o, keys[k], json_integer((json_int_t)p->v[i].v[k]));
            }
        }
        json_array_append_new(all, o);
    }
    char *text = json_dumps(all, JSON_INDENT(2));
    out->failed |= !text;
    strbuf_addf(out, "%s\n", text ? text : "");
    free(text);
    json_decref(all);
}

void growth_points_release(struct growth_points *p)
{
    free(p->v);
    *p = (struct growth_points){.v = NULL};
}
