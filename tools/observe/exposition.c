// SPDX-License-Identifier: Apache-2.0
#include "exposition.h"

#include "array.h"
#include "json_text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct exposition_metric {
    char *name;
    struct strbuf help, type; /* the two lines */
    struct strbuf lines;
};

#define UP "tallyfs_up"

/* Finds or makes the metric of that name. NULL: no memory. */
static struct exposition_metric *find_metric(struct exposition *e, const char *name, size_t len)
{
    for (size_t i = 0; i < e->count; i++) {
        struct exposition_metric *m = &e->metrics[i];
        if (strncmp(m->name, name, len) == 0 && m->name[len] == '\0') {
            return m;
        }
    }
    char *copy = strndup(name, len);
    if (!copy || ARRAY_RESERVE(e->metrics, e->room, e->count + 1) < 0) {
        free(copy);
        e->failed = true;
        return NULL;
    }
    e->metrics[e->count] = (struct exposition_metric){
        .name = copy, .help = STRBUF_INIT, .type = STRBUF_INIT, .lines = STRBUF_INIT};
    return &e->metrics[e->count++];
}

/* A value of a label, as the format has it. */
static void add_value(const char *text, struct strbuf *out)
{
    for (; *text; text++) {
        if (*text == '\n') {
            strbuf_adds(out, "\\n");
        } else {
            if (*text == '"' || *text == '\\') {
                strbuf_adds(out, "\\");
            }
            strbuf_add(out, text, 1);
        }
    }
}

/* Adds a line "name 1" or "name{label="x"} 1", with one label more. */
static void add_sample(struct exposition_metric *m, const char *mnt, const char *line, size_t len)
{
    const size_t name = strcspn(line, "{ \n");
    const bool labelled = line[name] == '{';
    struct strbuf *out = &m->lines;
    if (name >= len) {
        return; /* it has no value */
    }
    strbuf_add(out, line, name);
    strbuf_adds(out, "{mount=\"");
    add_value(mnt, out);
    strbuf_adds(out, labelled ? "\"," : "\"}");
    strbuf_add(out, line + name + labelled, len - name - labelled);
    strbuf_adds(out, "\n");
}

/* Takes a line "# HELP name text" or "# TYPE name type", and returns the metric, which following
 * lines are of. */
static struct exposition_metric *take_head(struct exposition *e, const char *line, size_t len)
{
    const char *name = line + strlen("# HELP ");
    struct exposition_metric *m = find_metric(e, name, strcspn(name, " \n"));
    struct strbuf *to = !m ? NULL : strncmp(line, "# HELP ", 7) == 0 ? &m->help : &m->type;
    if (to && to->len == 0) {
        strbuf_add(to, line, len);
        strbuf_adds(to, "\n");
    }
    return m;
}

static void add_text(struct exposition *e, const char *mnt, const char *text)
{
    struct exposition_metric *m = NULL;
    while (*text) {
        const size_t len = strcspn(text, "\n");
        if (strncmp(text, "# HELP ", 7) == 0 || strncmp(text, "# TYPE ", 7) == 0) {
            m = take_head(e, text, len);
        } else if (m && len > 0 && *text != '#') {
            add_sample(m, mnt, text, len);
        }
        text += len + (text[len] == '\n');
    }
}

void exposition_add(struct exposition *e, const char *mnt, const char *text)
{
    static const char head[] =
        "# HELP " UP " 1: the daemon of the mount answers.\n# TYPE " UP " gauge\n";
    CLEANUP_STRBUF struct strbuf up = STRBUF_INIT;
    json_t *label = json_text(mnt); /* the format allows UTF-8 alone */
    const char *name = json_string_value(label);
    strbuf_addf(&up, "%s" UP " %d\n", head, text != NULL);
    e->failed |= strbuf_error(&up) < 0 || !name;
    if (!e->failed) {
        add_text(e, name, up.s);
        add_text(e, name, text ? text : "");
    }
    json_decref(label);
}

int exposition_print(const struct exposition *e, struct strbuf *out)
{
    bool failed = e->failed;
    for (size_t i = 0; i < e->count; i++) {
        const struct exposition_metric *m = &e->metrics[i];
        strbuf_add(out, m->help.s, m->help.len);
        strbuf_add(out, m->type.s, m->type.len);
        strbuf_add(out, m->lines.s, m->lines.len);
        failed |= m->help.failed || m->type.failed || m->lines.failed;
    }
    return failed ? -ENOMEM : strbuf_error(out);
}

void exposition_release(struct exposition *e)
{
    for (size_t i = 0; i < e->count; i++) {
        struct exposition_metric *m = &e->metrics[i];
        free(m->name);
        strbuf_release(&m->help);
        strbuf_release(&m->type);
        strbuf_release(&m->lines);
    }
    free(e->metrics);
    *e = (struct exposition)EXPOSITION_INIT;
}
