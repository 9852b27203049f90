// SPDX-License-Identifier: Apache-2.0
#include "people.h"

#include "fields.h"
#include "lists.h"
#include "replies.h"

#include <string.h>

/* get KEY: its value, its range, and what it means. */
static bool add_setting(const struct people_call *c, const char *head, const char *body,
                        struct strbuf *out)
{
    const size_t key = strlen(c->args[0]);
    const char *standard = strstr(head, " default=");
    if (strncmp(head, c->args[0], key) != 0 || head[key] != '=' || !standard) {
        return false;
    }
    const char *value = head + key + 1, *min = strstr(standard, " min="),
               *max = strstr(head, " max=");
    strbuf_addf(out, "%s is %.*s (default %.*s", c->args[0], (int)(standard - value), value,
                (int)strcspn(standard + 9, " "), standard + 9);
    if (min && max) {
        strbuf_addf(out, ", from %.*s to %s", (int)strcspn(min + 5, " "), min + 5, max + 5);
    }
    strbuf_addf(out, "): %s", body);
    return true;
}

/* The sentence of the first line, and the others as they are. */
static bool add_sentence(const struct people_call *c, const char *head, const char *body,
                         struct strbuf *out)
{
    json_t *fields = fields_of(head, strlen(head));
    const struct sentence_of of = {fields, c->args, c->nargs, c->now, c->bytes};
    const char *form = c->dry_run ? "dry-run" : c->nargs > 0 ? c->args[0] : NULL;
    const bool added = fields && replies_add(c->verb, form, &of, out);
    json_decref(fields);
    if (added) {
        strbuf_addf(out, "\n%s", body);
    }
    return added;
}

bool people_conflicts(const struct people_call *c, const char *body, struct strbuf *out)
{
    struct people_call call = *c;
    call.verb = LISTS_CONFLICTS;
    return lists_add(&call, "", body, out);
}

bool people_reply(const struct people_call *c, const char *head, const char *body,
                  struct strbuf *out)
{
    if (strcmp(c->verb, "get") == 0 && c->nargs > 0) {
        return add_setting(c, head, body, out);
    }
    return lists_add(c, head, body, out) || add_sentence(c, head, body, out);
}
