// SPDX-License-Identifier: Apache-2.0
/*
 * command: parses one write to the control file into commands.
 *
 * It takes one pass and makes one copy. Every word is decoded into `list->text`, which has as many
 * bytes as the write and one more. That suffices: a decoded word is never longer than its spelling,
 * and the blank, newline or quote behind it leaves room for its NUL. The arrays are counted before
 * they are filled, so they never move, and commands may point into them.
 */
#include "command.h"

#include "clock.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DURATION_MAX_NS (INT64_C(36525) * 24 * 3600 * 1000000000) /* 100 years */

struct parser {
    const char *p, *end; /* the rest of this line */
    char *out;           /* the next free byte of list->text */
    size_t line;         /* from 1 */
    struct strbuf *why;
};

/* A word as it was read. `eq`: the '=' that makes it an option, or NULL. */
struct token {
    char *text;
    size_t len;
    char *eq;
    bool quoted;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_name_start(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_name(char c)
{
    return is_name_start(c) || (c >= '0' && c <= '9') || c == '_';
}

static bool is_octal(char c)
{
    return c >= '0' && c <= '7';
}

/* Adds a sentence with the number of the line to `why`. */
__attribute__((format(printf, 2, 3))) static int refuse(struct parser *ps, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    strbuf_addf(ps->why, "line %zu: ", ps->line);
    strbuf_vaddf(ps->why, fmt, ap);
    va_end(ap);
    return -EINVAL;
}

/* Is the text from `start` to `eq` the name of an option? Then its value may be quoted. */
static bool is_key(const char *start, const char *eq)
{
    if (start == eq || !is_name_start(*start)) {
        return false;
    }
    for (const char *c = start; c < eq; c++) {
        if (!is_name(*c)) {
            return false;
        }
    }
    return true;
}

/* Decodes an escape. ps->p is behind the backslash; afterwards it is behind the escape. */
static int parse_escape(struct parser *ps)
{
    if (ps->p == ps->end) {
        return refuse(ps, "a quote is not closed");
    }
    char c = *ps->p;
    if (c == '"' || c == '\\' || c == 'n') {
        *ps->out++ = c == 'n' ? '\n' : c;
        ps->p++;
        return 0;
    }
    if (ps->end - ps->p < 3 || !is_octal(c) || !is_octal(ps->p[1]) || !is_octal(ps->p[2])) {
        return refuse(ps, "a backslash is followed by none of \" \\ n and three octal digits");
    }
    int value = (c - '0') * 64 + (ps->p[1] - '0') * 8 + (ps->p[2] - '0');
    if (value == 0) {
        return refuse(ps, "\\000 cannot be part of a word");
    }
    if (value > 0xff) {
        return refuse(ps, "\\%.3s is more than a byte holds", ps->p);
    }
    *ps->out++ = (char)(unsigned char)value;
    ps->p += 3;
    return 0;
}

/* Decodes a quoted word or value. ps->p is behind the opening quote; afterwards it is behind the
 * closing one. */
static int parse_quoted(struct parser *ps)
{
    while (ps->p < ps->end) {
        char c = *ps->p++;
        if (c == '\\') {
            int err = parse_escape(ps);
            if (err < 0) {
                return err;
            }
            continue;
        }
        if (c != '"') {
            *ps->out++ = c;
            continue;
        }
        if (ps->p < ps->end && !is_blank(*ps->p)) {
            return refuse(ps, "a closing quote must be followed by a blank");
        }
        return 0;
    }
    return refuse(ps, "a quote is not closed");
}

/* Reads one word. ps->p is at its first byte; afterwards it is behind the word. */
static int parse_token(struct parser *ps, struct token *ret)
{
    struct token t = {.text = ps->out};
    int err = 0;
    if (*ps->p == '"') {
        ps->p++;
        t.quoted = true;
        err = parse_quoted(ps);
    }
    while (!t.quoted && ps->p < ps->end && !is_blank(*ps->p)) {
        char c = *ps->p++;
        if (c == '"' && t.eq && ps->out == t.eq + 1) {
            err = parse_quoted(ps);
            break;
        }
        if (c == '"' || c == '\\') {
            return refuse(ps, "a word with \" or \\ must be quoted as a whole");
        }
        if (c == '=' && !t.eq && is_key(t.text, ps->out)) {
            t.eq = ps->out;
        }
        *ps->out++ = c;
    }
    if (err < 0) {
        return err;
    }
    t.len = (size_t)(ps->out - t.text);
    *ps->out++ = '\0';
    *ret = t;
    return 0;
}

static int add_verb(struct parser *ps, struct command *c, const struct token *t)
{
    if (t->quoted || t->eq) {
        return refuse(ps, "a line starts with a verb, without quotes and without '='");
    }
    for (const char *s = t->text; *s; s++) {
        if (!is_name(*s) && *s != '-') {
            return refuse(ps, "a verb consists of lower-case letters");
        }
    }
    c->verb = t->text;
    return 0;
}

/* May the option be given several times? */
static bool is_list(const char *key)
{
    return strcmp(key, "set") == 0;
}

static int add_option(struct parser *ps, struct command *c, const struct token *t)
{
    *t->eq = '\0';
    if (!is_list(t->text) && command_option(c, t->text)) {
        return refuse(ps, "%s= is given twice", t->text);
    }
    c->options[c->noptions++] = (struct command_option){.key = t->text, .value = t->eq + 1};
    return 0;
}

/* Adds a word to the command: as its verb, an option, "wait" or an argument. Behind an option
 * "wait" is always the keyword, and nothing may follow it. */
static int add_token(struct parser *ps, struct command *c, const struct token *t)
{
    if (!c->verb) {
        return add_verb(ps, c, t);
    }
    if (c->wait && c->noptions > 0) {
        return refuse(ps, "nothing may follow 'wait'");
    }
    if (t->eq) {
        return add_option(ps, c, t);
    }
    if (c->noptions > 0 && !t->quoted && strcmp(t->text, "wait") == 0) {
        c->wait = true;
        return 0;
    }
    c->args[c->nargs++] =
        (struct command_word){.text = t->text, .len = t->len, .quoted = t->quoted};
    return 0;
}

/* Without options "wait" is the keyword only if it is the last word; elsewhere it is an
 * argument. */
static void take_wait(struct command *c)
{
    if (c->wait || c->noptions > 0 || c->nargs == 0) {
        return;
    }
    const struct command_word *last = &c->args[c->nargs - 1];
    if (!last->quoted && strcmp(last->text, "wait") == 0) {
        c->nargs--;
        c->wait = true;
    }
}

/* Parses one line. c->verb stays NULL for a blank line or a comment. */
static int parse_line(struct parser *ps, struct command *c)
{
    for (size_t words = 0;; words++) {
        while (ps->p < ps->end && is_blank(*ps->p)) {
            ps->p++;
        }
        if (ps->p == ps->end || (words == 0 && *ps->p == '#')) {
            break;
        }
        if (words == COMMAND_WORDS_MAX) {
            return refuse(ps, "more than %d words", COMMAND_WORDS_MAX);
        }
        struct token t = {0};
        int err = parse_token(ps, &t);
        if (err == 0) {
            err = add_token(ps, c, &t);
        }
        if (err < 0) {
            return err;
        }
    }
    take_wait(c);
    return 0;
}

/* Allocates for the worst case, in which every run of bytes that are not blank is a word. */
static int list_init(struct command_list *l, const char *buf, size_t len)
{
    size_t lines = 1, words = 0;
    for (size_t i = 0; i < len; i++) {
        bool gap = is_blank(buf[i]) || buf[i] == '\n';
        lines += buf[i] == '\n';
        words += !gap && (i == 0 || is_blank(buf[i - 1]) || buf[i - 1] == '\n');
    }
    l->items = calloc(lines, sizeof(*l->items));
    l->words = calloc(words + 1, sizeof(*l->words));
    l->options = calloc(words + 1, sizeof(*l->options));
    l->text = calloc(len + 1, 1);
    if (!l->items || !l->words || !l->options || !l->text) {
        command_list_release(l);
        return -ENOMEM;
    }
    return 0;
}

/* Parses all lines. Each command gets the part of the arrays that is still free; a blank line or a
 * comment takes nothing of them. */
static int parse_lines(struct command_list *l, const char *buf, size_t len, struct strbuf *why)
{
    struct parser ps = {.out = l->text, .why = why};
    struct command_word *word = l->words;
    struct command_option *option = l->options;
    size_t offset = 0;
    while (offset < len) {
        const char *nl = memchr(buf + offset, '\n', len - offset);
        ps.p = buf + offset;
        ps.end = nl ? nl : buf + len;
        ps.line++;
        if (memchr(ps.p, '\0', (size_t)(ps.end - ps.p))) {
            return refuse(&ps, "a NUL byte");
        }
        struct command *c = &l->items[l->count];
        *c = (struct command){.args = word, .options = option, .line = ps.line, .offset = offset};
        int err = parse_line(&ps, c);
        if (err < 0) {
            return err;
        }
        if (c->verb) {
            word += c->nargs;
            option += c->noptions;
            l->count++;
        }
        offset = (size_t)(ps.end - buf) + (nl ? 1 : 0);
    }
    return 0;
}

int command_parse(const char *buf, size_t len, struct command_list *ret, struct strbuf *why)
{
    struct command_list l = {0};
    int err = list_init(&l, buf, len);
    if (err < 0) {
        return err;
    }
    err = parse_lines(&l, buf, len, why);
    if (err < 0) {
        command_list_release(&l);
        return err;
    }
    *ret = l;
    return 0;
}

void command_list_release(struct command_list *l)
{
    free(l->items);
    free(l->words);
    free(l->options);
    free(l->text);
    *l = (struct command_list){0};
}

const char *command_option(const struct command *c, const char *key)
{
    for (size_t i = 0; i < c->noptions; i++) {
        if (strcmp(c->options[i].key, key) == 0) {
            return c->options[i].value;
        }
    }
    return NULL;
}

/* Reads the digits at the start of `text`; *rest is what follows them. -EINVAL: there is none, or
 * the number is too large. */
static int take_digits(const char *text, uint64_t *ret, const char **rest)
{
    uint64_t n = 0;
    const char *p = text;
    for (; *p >= '0' && *p <= '9'; p++) {
        if (__builtin_mul_overflow(n, 10, &n) ||
            __builtin_add_overflow(n, (uint64_t)(*p - '0'), &n)) {
            return -EINVAL;
        }
    }
    if (p == text) {
        return -EINVAL;
    }
    *ret = n;
    *rest = p;
    return 0;
}

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit duration_units[] = {
    {"ms", UINT64_C(1000000)},           {"s", UINT64_C(1000000000)},
    {"m", UINT64_C(60) * 1000000000},    {"h", UINT64_C(3600) * 1000000000},
    {"d", UINT64_C(86400) * 1000000000}, {NULL, 0},
};
static const struct unit size_units[] = {
    {"", 1},
    {"K", UINT64_C(1) << 10},
    {"M", UINT64_C(1) << 20},
    {"G", UINT64_C(1) << 30},
    {"T", UINT64_C(1) << 40},
    {NULL, 0},
};

/* Reads a number with one of the units behind it, and multiplies. */
static int take_with_unit(const char *text, const struct unit *units, uint64_t *ret)
{
    uint64_t n, value;
    const char *rest;
    int err = take_digits(text, &n, &rest);
    if (err < 0) {
        return err;
    }
    for (const struct unit *u = units; u->name; u++) {
        if (strcmp(rest, u->name) != 0) {
            continue;
        }
        if (__builtin_mul_overflow(n, u->factor, &value)) {
            return -EINVAL;
        }
        *ret = value;
        return 0;
    }
    return -EINVAL;
}

int command_number(const char *text, uint64_t *ret)
{
    uint64_t n;
    const char *rest;
    int err = take_digits(text, &n, &rest);
    if (err < 0 || *rest) {
        return -EINVAL;
    }
    *ret = n;
    return 0;
}

int command_duration(const char *text, int64_t *ret_ns)
{
    uint64_t duration_ns;
    int err = 0;
    if (strcmp(text, "0") == 0) { /* needs no unit */
        duration_ns = 0;
    } else {
        err = take_with_unit(text, duration_units, &duration_ns);
    }
    if (err < 0 || duration_ns > (uint64_t)DURATION_MAX_NS) {
        return -EINVAL;
    }
    *ret_ns = (int64_t)duration_ns;
    return 0;
}

int command_size(const char *text, uint64_t *ret_bytes)
{
    return take_with_unit(text, size_units, ret_bytes);
}

/* The rules of command_namespace, for the first `len` bytes of a text. */
static int check_namespace(const char *text, size_t len)
{
    static const char *const reserved[] = {".", "..", ".tally"};
    if (len == 0 || memchr(text, '/', len)) {
        return -EINVAL;
    }
    if (len > 255) {
        return -ENAMETOOLONG;
    }
    for (size_t i = 0; i < sizeof(reserved) / sizeof(*reserved); i++) {
        if (len == strlen(reserved[i]) && memcmp(text, reserved[i], len) == 0) {
            return -EINVAL;
        }
    }
    return 0;
}

int command_namespace(const char *text)
{
    return check_namespace(text, strlen(text));
}

int command_path(const char *text, size_t *ret_ns_len, const char **ret_rest)
{
    const char *slash = strchr(text, '/');
    if (!slash) {
        return -EINVAL;
    }
    int err = check_namespace(text, (size_t)(slash - text));
    if (err < 0) {
        return err;
    }
    for (const char *p = slash + 1; *p;) {
        size_t n = strcspn(p, "/");
        if (n == 2 && p[0] == '.' && p[1] == '.') {
            return -EINVAL;
        }
        p += n + (p[n] == '/');
    }
    *ret_ns_len = (size_t)(slash - text);
    *ret_rest = slash + 1;
    return 0;
}

/* Writes in days, hours, seconds or milliseconds, whichever is exact. Minutes are left out, so that
 * "300s" and "600s" are written as people write them. */
void command_format_duration(int64_t duration_ns, char out[32])
{
    static const int order[] = {4, 3, 1};
    uint64_t n = duration_ns < 0 ? 0 : (uint64_t)duration_ns;
    for (size_t i = 0; n > 0 && i < sizeof(order) / sizeof(*order); i++) {
        const struct unit *u = &duration_units[order[i]];
        if (n % u->factor == 0) {
            snprintf(out, 32, "%llu%s", (unsigned long long)(n / u->factor), u->name);
            return;
        }
    }
    snprintf(out, 32, n ? "%llums" : "%llus", (unsigned long long)(n / 1000000));
}

void command_format_size(uint64_t bytes, char out[32])
{
    int i = 0;
    while (bytes > 0 && i < 4 && bytes % size_units[i + 1].factor == 0) {
        i++;
    }
    snprintf(out, 32, "%llu%s", (unsigned long long)(bytes / size_units[i].factor),
             size_units[i].name);
}

static bool needs_quotes(const char *text)
{
    if (!*text) {
        return true;
    }
    for (size_t len = strlen(text); len; text++, len--) {
        if (strchr(" \"\\", *text) || text_control_length(text, len)) {
            return true;
        }
    }
    return false;
}

/* Bytes above 0x7f that are no control character are written as they are: they are letters of some
 * encoding. */
void command_add_word(struct strbuf *out, const char *text)
{
    if (!needs_quotes(text)) {
        strbuf_adds(out, text);
        return;
    }
    strbuf_adds(out, "\"");
    for (const char *end = text + strlen(text); text < end;) {
        size_t control = text_control_length(text, (size_t)(end - text));
        if (*text == '\n') {
            strbuf_adds(out, "\\n");
        } else if (control > 0) {
            for (size_t i = 0; i < control; i++) {
                strbuf_addf(out, "\\%03o", (unsigned char)text[i]);
            }
        } else {
            strbuf_addf(out, *text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
        }
        text += control > 0 ? control : 1;
    }
    strbuf_adds(out, "\"");
}

const char *command_errno_name(int err)
{
    const char *name = err > 0 ? strerrorname_np(err) : NULL;
    return name ? name : "EIO";
}

/* Parses a fraction of a second (".5"), in ns, and moves *p behind it. */
static int64_t parse_fraction(const char **p)
{
    int64_t unit = NSEC_PER_SEC, part_ns = 0;

    if (**p != '.')
        return 0;
    for ((*p)++; **p >= '0' && **p <= '9'; (*p)++) {
        unit /= 10;
        part_ns += unit * (**p - '0');
    }
    return part_ns;
}

int command_time(const char *text, int64_t *ret)
{
    struct tm tm = {0};
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);

    if (!end)
        return -EINVAL;
    time_t seconds = timegm(&tm);
    int64_t time_ns = clock_join(seconds, parse_fraction(&end));

    if (strcmp(end, "Z") != 0)
        return -EINVAL;
    *ret = time_ns;
    return 0;
}
