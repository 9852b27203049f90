// SPDX-License-Identifier: Apache-2.0
#include "ctl.h"

#include "command.h"
#include "form.h"
#include "json_text.h"
#include "say.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static void print(struct reply *r)
{
    if (r->head.len > 0) {
        tally_print(r->head.s, r->head.len);
        putchar('\n');
    }
    tally_print(r->body.s, r->body.len);
}

struct people_call ctl_people(const struct ctl_call *c)
{
    struct people_call call = form_call(c->verb->name, c->args, c->nargs);
    call.dry_run = c->options[CTL_DRY_RUN].given;
    call.bytes = c->options[CTL_BYTES].given;
    return call;
}

void ctl_show(const struct people_call *call, struct reply *r)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    if (form_is_human() && people_reply(call, r->head.s, r->body.s, &text) &&
        strbuf_error(&text) == 0) {
        tally_print(text.s, text.len);
    } else {
        print(r);
    }
}

void ctl_show_failed(const struct ctl_call *c, int err, struct reply *r)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    const struct people_call call = ctl_people(c);
    if (form_is_human() && err == -EEXIST && r->body.len > 0 &&
        people_conflicts(&call, r->body.s, &text) && strbuf_error(&text) == 0) {
        tally_print(text.s, text.len);
    } else {
        tally_print(r->body.s, r->body.len);
    }
}

void ctl_warn(const struct ctl_call *c, const char *sentence)
{
    static const char *const options[][2] = {{"(conflicts=RULE or set=PATTERN=RULE decides)",
                                              "(--conflicts RULE or --set PATTERN=RULE decides)"},
                                             {"base=NS@NAME", "--base NS@NAME"}};
    const bool sets = strstr(c->verb->synopsis, "[--set ");
    for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++) {
        const char *at = strstr(sentence, options[i][0]);
        if (at) {
            const char *option = i > 0 || sets ? options[i][1] : "(--conflicts RULE decides)";
            tally_warn("%.*s%s%s", (int)(at - sentence), sentence, option,
                       at + strlen(options[i][0]));
            return;
        }
    }
    tally_warn("%s", sentence);
}

/* A value as JSON. A decimal number becomes a number, unless the key has names as its values: a
 * namespace may be called "7". */
static json_t *json_value(const char *key, const char *value)
{
    static const char *const names[] = {"ns",  "name", "id", "snapshot", "label", "url",
                                        "why", "from", "to", "with",     "was",   "by"};
    uint64_t n;
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        if (strcmp(key, names[i]) == 0) {
            return json_text(value);
        }
    }
    if (command_number(value, &n) == 0 && n <= INT64_MAX) {
        return json_integer((json_int_t)n);
    }
    return json_text(value);
}

/* Adds a setting "ns:NAME.KEY=VALUE" to the object. Its key may be quoted, so the parser of
 * commands does not take it for an option. Returns what follows it; `head` if it is none. */
static const char *add_ns_setting(json_t *root, const char *head)
{
    CLEANUP_STRBUF struct strbuf word = STRBUF_INIT, why = STRBUF_INIT;
    const bool quoted = *head == '"';
    const char *end = head + quoted;
    struct command_list list;
    while (*end && (quoted ? *end != '"' : *end != '=' && *end != ' ')) {
        end += *end == '\\' && end[1] ? 2 : 1;
    }
    end += quoted && *end;
    const size_t len = strcspn(end, " ");
    strbuf_adds(&word, "ok ");
    strbuf_add(&word, head, (size_t)(end - head));
    if (*end != '=' || strncmp(head + quoted, "ns:", 3) != 0 ||
        command_parse(word.s, word.len, &list, &why) < 0) {
        return head;
    }
    if (list.count > 0 && list.items[0].nargs > 0) {
        const struct command_word *key = list.items[0].args;
        json_object_set_new(root, key->text, json_text_of(end + 1, len - 1));
    }
    command_list_release(&list);
    return end + len;
}

static void add_options(json_t *to, const struct command_list *list)
{
    for (size_t i = 0; list->count > 0 && i < list->items[0].noptions; i++) {
        const struct command_option *o = &list->items[0].options[i];
        json_object_set_new(to, o->key, json_value(o->key, o->value));
    }
}

/* Adds the keys of the first line of a reply, "ok key=value …", which has the grammar of a
 * command. */
static void add_keys(json_t *root, const char *head)
{
    CLEANUP_STRBUF struct strbuf line = STRBUF_INIT, why = STRBUF_INIT;
    struct command_list list;
    strbuf_addf(&line, "ok %s", add_ns_setting(root, head));
    if (command_parse(line.s, line.len, &list, &why) < 0) {
        json_object_set_new(root, "text", json_text(head));
        return;
    }
    add_options(root, &list);
    command_list_release(&list);
}

/* One of the further lines as an object: its keys, and a first word without one as "what". A line
 * that is no such has its bytes as "text". */
static json_t *line_object(const char *text, size_t len)
{
    CLEANUP_STRBUF struct strbuf line = STRBUF_INIT, why = STRBUF_INIT;
    struct command_list list;
    json_t *item = json_object();
    strbuf_adds(&line, "line ");
    strbuf_add(&line, text, len);
    if (strbuf_error(&line) < 0 || command_parse(line.s, line.len, &list, &why) < 0) {
        json_object_set_new(item, "text", json_text_of(text, len));
        return item;
    }
    if (list.count == 1 && list.items[0].nargs == 1) {
        json_object_set_new(item, "what", json_text(list.items[0].args[0].text));
    }
    if (list.count == 1 && list.items[0].nargs <= 1) {
        add_options(item, &list);
    } else {
        json_object_set_new(item, "text", json_text_of(text, len));
    }
    command_list_release(&list);
    return item;
}

void ctl_print_json(const char *verb, int err, const struct reply *r)
{
    json_t *root = json_object(), *lines = json_array(), *items = json_array();
    json_object_set_new(root, "verb", json_string(verb));
    json_object_set_new(root, "ok", json_boolean(err == 0));
    if (err < 0) {
        json_object_set_new(root, "error", json_string(command_errno_name(-err)));
        json_object_set_new(root, "sentence", json_text_of(r->head.s, r->head.len));
    } else {
        add_keys(root, r->head.s);
    }
    for (const char *p = r->body.s; *p;) {
        size_t n = strcspn(p, "\n");
        json_array_append_new(lines, json_text_of(p, n));
        json_array_append_new(items, line_object(p, n));
        p += n + (p[n] == '\n');
    }
    json_object_set_new(root, "lines", lines);
    json_object_set_new(root, "items", items);
    tally_print_json(root, JSON_INDENT(2));
    json_decref(root);
}
