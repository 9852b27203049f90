// SPDX-License-Identifier: Apache-2.0
#include "sentence.h"

#include "command.h"
#include "fields.h"
#include "units.h"

#include <stdlib.h>
#include <string.h>

#define KEY_MAX 64

/* ---- values ---- */

static void add_shard(uint64_t shard, struct strbuf *out)
{
    if (shard == 0) {
        strbuf_adds(out, "at home");
    } else {
        strbuf_addf(out, "on shard %llu", (unsigned long long)shard);
    }
}

/* A number as its kind says. False: that is no kind of a number. */
static bool add_number(const char *kind, uint64_t n, struct strbuf *out)
{
    char text[UNIT_TEXT];
    if (strcmp(kind, "bytes") == 0) {
        strbuf_adds(out, unit_bytes(n, text));
    } else if (strcmp(kind, "count") == 0) {
        strbuf_adds(out, unit_count(n, text));
    } else if (strncmp(kind, "n ", 2) == 0) {
        strbuf_adds(out, unit_noun(n, kind + 2, text));
    } else if (strcmp(kind, "ms") == 0) {
        strbuf_adds(out, unit_duration((int64_t)n, text));
    } else if (strcmp(kind, "s") == 0) {
        strbuf_adds(out, unit_duration((int64_t)n * 1000, text));
    } else if (strcmp(kind, "shard") == 0) {
        add_shard(n, out);
    } else {
        return false;
    }
    return true;
}

/* Replaces control characters, also newlines: a name may have them. */
static void make_plain(char *text, size_t len)
{
    for (size_t at = 0; at < len;) {
        const size_t n = text_control_length(text + at, len - at);
        memset(text + at, '?', n);
        at += n ? n : 1;
    }
}

/* Adds a value as its kind shows it. */
static void add_value(const char *kind, const char *value, const struct sentence_of *of,
                      struct strbuf *out)
{
    char text[UNIT_TEXT];
    uint64_t n;
    if (of->bytes && strcmp(kind, "bytes") == 0) {
        kind = "";
    }
    if (*kind && command_number(value, &n) == 0 && n <= INT64_MAX / 1000 &&
        add_number(kind, n, out)) {
        return;
    }
    if (strcmp(kind, "time") == 0) {
        strbuf_adds(out, unit_time(value, of->now, text));
    } else if (strcmp(kind, "ago") == 0) {
        strbuf_adds(out, unit_ago(value, of->now, text));
    } else if (strcmp(kind, "moment") == 0) {
        strbuf_adds(out, unit_moment(value, text));
    } else if (strcmp(kind, "dir") == 0) {
        const size_t len = strlen(value);
        strbuf_add(out, value, len > 1 && value[len - 1] == '/' ? len - 1 : len);
    } else if (strcmp(kind, "if") != 0 && strcmp(kind, "not") != 0) {
        strbuf_adds(out, value);
    }
}

/* ---- places in a template ---- */

/* One {key:kind}. */
struct place {
    char key[KEY_MAX], kind[KEY_MAX];
    size_t len; /* of all of it in the template */
};

static struct place read_place(const char *at)
{
    struct place p = {.len = strcspn(at, "}") + 1};
    const size_t key = strcspn(at + 1, ":}");
    memcpy(p.key, at + 1, key < KEY_MAX ? key : KEY_MAX - 1);
    if (at[1 + key] == ':') {
        const size_t kind = p.len - 3 - key;
        memcpy(p.kind, at + 2 + key, kind < KEY_MAX ? kind : KEY_MAX - 1);
    }
    return p;
}

/* The value of a place. NULL: there is none. */
static const char *value_of(const struct place *p, const struct sentence_of *of)
{
    char *end;
    const long arg = strtol(p->key, &end, 10);
    if (*end == '\0' && arg > 0) {
        return arg <= of->nargs ? of->args[arg - 1] : NULL;
    }
    return fields_get(of->fields, p->key);
}

/* Is the value worth a word in [ ]? One without a kind may be a name, and a name may be "0". Of
 * the kind "not" it is if it says "nothing". */
static bool is_something(const struct place *p, const char *value)
{
    static const char *const nothing[] = {"0", "no", "never", "all"};
    const bool wanted = strcmp(p->kind, "not") != 0;
    for (size_t i = 0; value && *p->kind && i < sizeof(nothing) / sizeof(*nothing); i++) {
        if (strcmp(value, nothing[i]) == 0) {
            return !wanted;
        }
    }
    return value && *value && wanted;
}

/* Adds the text from `at` up to a character of `ends`. Returns where that is. NULL: in a part that
 * may be left out something is missing or zero; in one that may not, something is missing. */
static const char *add_part(const char *at, const char *ends, const struct sentence_of *of,
                            struct strbuf *out)
{
    const bool optional = *ends == ']';
    while (*at && !strchr(ends, *at)) {
        if (*at != '{') {
            strbuf_add(out, at++, 1);
            continue;
        }
        const struct place p = read_place(at);
        const char *value = value_of(&p, of);
        if (optional ? !is_something(&p, value) : !value) {
            return NULL;
        }
        const size_t begin = out->len;
        add_value(p.kind, value, of, out);
        make_plain(out->s + begin, out->len - begin);
        at += p.len;
    }
    return at;
}

bool sentence_fill(const char *text, const struct sentence_of *of, struct strbuf *out)
{
    for (const char *at = text; *at;) {
        if (*at == '[') {
            CLEANUP_STRBUF struct strbuf part = STRBUF_INIT;
            if (add_part(at + 1, "]", of, &part)) {
                strbuf_add(out, part.s, part.len);
            }
            at += strcspn(at, "]") + 1;
        } else {
            at = add_part(at, "[", of, out);
            if (!at) {
                return false;
            }
        }
    }
    return true;
}

/* ---- does it fit? ---- */

static bool has_place(const char *text, const char *key)
{
    for (const char *at = strchr(text, '{'); at; at = strchr(at + 1, '{')) {
        const struct place p = read_place(at);
        if (strcmp(p.key, key) == 0) {
            return true;
        }
    }
    return false;
}

static bool has_word(const char *words, const char *word)
{
    const size_t len = strlen(word);
    for (const char *at = words ? strstr(words, word) : NULL; at; at = strstr(at + 1, word)) {
        if ((at == words || at[-1] == ' ') && (at[len] == ' ' || !at[len])) {
            return true;
        }
    }
    return false;
}

bool sentence_has(const struct sentence *s, const char *key)
{
    return has_place(s->text, key) || has_word(s->without, key);
}

/* Is each key of the reply shown, or left out on purpose? The key of `set KEY VALUE` is the first
 * argument. */
static bool covers(const struct sentence *s, const struct sentence_of *of)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)of->fields, key, value)
    {
        if (!sentence_has(s, key) && !(of->nargs > 0 && strcmp(key, of->args[0]) == 0)) {
            return false;
        }
    }
    return true;
}

bool sentence_add(const struct sentence *s, const struct sentence_of *of, struct strbuf *out)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    if (!covers(s, of) || !sentence_fill(s->text, of, &text) || strbuf_error(&text) < 0) {
        return false;
    }
    strbuf_add(out, text.s, text.len);
    return true;
}
