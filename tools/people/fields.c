// SPDX-License-Identifier: Apache-2.0
#include "fields.h"

#include "command.h"
#include "json_text.h"

#include <stdbool.h>
#include <string.h>

/* Is the first word one without a key? */
static bool begins_with_word(const char *text, size_t len)
{
    const size_t word = strcspn(text, " ");
    return *text == '"' || !memchr(text, '=', word < len ? word : len);
}

/* Adds one command, which must have one word without a key at most, at its begin. */
static bool add_all(json_t *to, const struct command *c, const char *text, size_t len)
{
    bool done = !c->wait && (c->nargs == 0 || (c->nargs == 1 && begins_with_word(text, len)));
    if (done && c->nargs == 1) {
        done = json_object_set_new(to, FIELD_WORD, json_text(c->args[0].text)) == 0;
    }
    for (size_t i = 0; done && i < c->noptions; i++) {
        const struct command_option *o = &c->options[i];
        done = json_object_set_new(to, o->key, json_text(o->value)) == 0;
    }
    return done;
}

json_t *fields_of(const char *text, size_t len)
{
    CLEANUP_STRBUF struct strbuf line = STRBUF_INIT, why = STRBUF_INIT;
    struct command_list list;
    strbuf_adds(&line, "reply ");
    strbuf_add(&line, text, len);
    if (strbuf_error(&line) < 0 || command_parse(line.s, line.len, &list, &why) < 0) {
        return NULL;
    }
    json_t *fields = json_object();
    if (!fields || list.count != 1 || !add_all(fields, &list.items[0], text, len)) {
        json_decref(fields);
        fields = NULL;
    }
    command_list_release(&list);
    return fields;
}

/* How long the words KEY=VALUE at the begin of the text are. A quoted value may have blanks. */
static size_t keys_length(const char *text, size_t len)
{
    size_t end = 0;
    for (size_t at = 0; at < len; at++) {
        bool quoted = false, key = false;
        for (; at < len && (quoted || text[at] != ' '); at++) {
            quoted ^= text[at] == '"';
            key |= text[at] == '=';
            at += quoted && text[at] == '\\';
        }
        if (!key || at > len) {
            break;
        }
        end = at;
    }
    return end;
}

json_t *fields_of_line(const char *text, size_t len)
{
    json_t *fields = fields_of(text, len);
    if (fields) {
        return fields;
    }
    const size_t keys = keys_length(text, len);
    fields = keys && keys < len ? fields_of(text, keys) : NULL;
    if (fields) {
        json_object_set_new(fields, FIELD_REST, json_text_of(text + keys + 1, len - keys - 1));
    }
    return fields;
}

const char *fields_get(const json_t *fields, const char *key)
{
    return json_string_value(json_object_get(fields, key));
}
