// SPDX-License-Identifier: Apache-2.0
/* import_line: see the header. */
#include "import_line.h"
#include "command.h"
#include "strbuf.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES 4096
#define FIRST_LINE "the first write is a line: import NS[/PATH], or receive NS [base=NS@NAME]"

/* Takes BYTES:SUM. */
static int take_place(const char *text, struct parked_at *ret, struct strbuf *why)
{
    char *colon, *end = NULL;

    errno = 0;
    ret->bytes = strtoull(text, &colon, 10);
    ret->sum = *colon == ':' ? strtoull(colon + 1, &end, 16) : 0;
    if (errno || *text < '0' || *text > '9' || *colon != ':' || !colon[1] || *end) {
        strbuf_adds(why, "resume is BYTES:SUM");
        return -EINVAL;
    }
    return 0;
}

/* Takes the word behind the verb. Only an import has a path. */
static int take_target(const char *text, struct import_line *ret)
{
    const size_t len = ret->verb == IMPORT_TREE ? strcspn(text, "/") : strlen(text);

    ret->target = strdup(text);
    ret->name = strndup(text, len);
    if (!ret->target || !ret->name)
        return -ENOMEM;
    ret->path = ret->target + len;
    return 0;
}

/* Are there only the words that the verb has? */
static bool fits(const struct command *c, enum import_verb verb)
{
    const bool option = command_option(c, "base") || command_option(c, "resume");

    return !c->wait && c->nargs == (verb != IMPORT_HAVE) &&
           (c->noptions == 0 || (verb == IMPORT_RECEIVE && c->noptions == 1 && option));
}

static int take_words(const struct command *c, struct import_line *ret, struct strbuf *why)
{
    const char *base, *at;
    int err = 0;

    if (strcmp(c->verb, "receive") == 0)
        ret->verb = IMPORT_RECEIVE;
    else if (strcmp(c->verb, "have") == 0)
        ret->verb = IMPORT_HAVE;
    else if (strcmp(c->verb, "import") != 0)
        err = -EINVAL;
    if (err < 0 || !fits(c, ret->verb)) {
        strbuf_adds(why, FIRST_LINE);
        return -EINVAL;
    }
    if (ret->verb == IMPORT_HAVE)
        return 0;
    base = command_option(c, "base");
    at = command_option(c, "resume");
    ret->resumes = at != NULL;
    if (base && !(ret->base = strdup(base)))
        return -ENOMEM;
    err = take_target(c->args[0].text, ret);
    return err == 0 && at ? take_place(at, &ret->at, why) : err;
}

int import_line_parse(const char *buf, size_t len, struct import_line *ret, struct strbuf *why)
{
    struct command_list list;
    int err;

    if (len > LINE_MAX_BYTES || memchr(buf, 0, len) || buf[len - 1] != '\n') {
        strbuf_adds(why, FIRST_LINE);
        return -EINVAL;
    }
    err = command_parse(buf, len, &list, why);
    if (err < 0)
        return err;
    if (list.count == 1) {
        err = take_words(list.items, ret, why);
    } else {
        strbuf_adds(why, FIRST_LINE);
        err = -EINVAL;
    }
    command_list_release(&list);
    return err;
}

void import_line_release(struct import_line *l)
{
    free(l->target);
    free(l->name);
    free(l->base);
    *l = (struct import_line){0};
}
