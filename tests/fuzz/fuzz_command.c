// SPDX-License-Identifier: Apache-2.0
/*
 * Whatever bytes come in, the parser refuses them with a sentence, or gives commands whose
 * words, written out again, parse to the same commands.
 */
#include "command.h"

#include "fuzz.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void check_shape(const struct command *c, size_t len)
{
    MUST(c->verb && *c->verb);
    MUST(c->offset < len);
    MUST(c->line >= 1);
    MUST(c->nargs + c->noptions + c->wait < COMMAND_WORDS_MAX);
    for (size_t i = 0; i < c->nargs; i++) {
        MUST(strlen(c->args[i].text) == c->args[i].len);
    }
    for (size_t i = 0; i < c->noptions; i++) {
        MUST(command_option(c, c->options[i].key) == c->options[i].value);
    }
}

/* All arguments quoted (or not) as they were, and options as words. */
static void write_again(const struct command *c, struct strbuf *out)
{
    strbuf_adds(out, c->verb);
    for (size_t i = 0; i < c->nargs; i++) {
        CLEANUP_STRBUF struct strbuf word = STRBUF_INIT;
        command_add_word(&word, c->args[i].text);
        bool quote = c->args[i].quoted && word.s[0] != '"';
        strbuf_addf(out, quote ? " \"%s\"" : " %s", word.s);
    }
    for (size_t i = 0; i < c->noptions; i++) {
        strbuf_addf(out, " %s=", c->options[i].key);
        command_add_word(out, c->options[i].value);
    }
    strbuf_adds(out, c->wait ? " wait\n" : "\n");
}

static void check_same(const struct command *a, const struct command *b)
{
    MUST(strcmp(a->verb, b->verb) == 0);
    MUST(a->nargs == b->nargs && a->noptions == b->noptions && a->wait == b->wait);
    for (size_t i = 0; i < a->nargs; i++) {
        MUST(strcmp(a->args[i].text, b->args[i].text) == 0);
    }
    for (size_t i = 0; i < a->noptions; i++) {
        MUST(strcmp(a->options[i].key, b->options[i].key) == 0);
        MUST(strcmp(a->options[i].value, b->options[i].value) == 0);
    }
}

static void check_values(const char *text)
{
    const char *rest;
    size_t ns_len;
    uint64_t n;
    int64_t duration_ns;
    char out[32];
    if (command_duration(text, &duration_ns) == 0) {
        int64_t back;
        command_format_duration(duration_ns, out);
        MUST(command_duration(out, &back) == 0 && back == duration_ns);
    }
    if (command_size(text, &n) == 0) {
        uint64_t back;
        command_format_size(n, out);
        MUST(command_size(out, &back) == 0 && back == n);
    }
    if (command_path(text, &ns_len, &rest) == 0) {
        MUST(text[ns_len] == '/' && rest == text + ns_len + 1);
    }
    (void)command_number(text, &n);
    (void)command_namespace(text);
}

static void check_list(const struct command_list *l, size_t len)
{
    CLEANUP_STRBUF struct strbuf again = STRBUF_INIT, why = STRBUF_INIT;
    struct command_list second;
    for (size_t i = 0; i < l->count; i++) {
        check_shape(&l->items[i], len);
        write_again(&l->items[i], &again);
        for (size_t k = 0; k < l->items[i].nargs; k++) {
            check_values(l->items[i].args[k].text);
        }
    }
    MUST(strbuf_error(&again) == 0);
    MUST(command_parse(again.s, again.len, &second, &why) == 0);
    MUST(second.count == l->count);
    for (size_t i = 0; i < l->count; i++) {
        check_same(&l->items[i], &second.items[i]);
    }
    command_list_release(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    CLEANUP_STRBUF struct strbuf why = STRBUF_INIT;
    struct command_list l;
    int err = command_parse((const char *)data, len, &l, &why);
    if (err == 0) {
        check_list(&l, len);
        command_list_release(&l);
    } else {
        MUST(err == -EINVAL && strncmp(why.s, "line ", 5) == 0);
    }
    return 0;
}
