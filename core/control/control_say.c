// SPDX-License-Identifier: Apache-2.0
/* control_say: what all verbs call to read their words and to write their reply. */
#include "control_impl.h"
#include "ns_find.h"
#include "flush.h"
#include "only_here.h"
#include <errno.h>

int control_fail(struct call *call, int err, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    strbuf_clear(&call->why);
    strbuf_vaddf(&call->why, fmt, ap);
    va_end(ap);
    return err;
}

int control_fail_word(struct call *call, int err, const char *fmt, const char *word)
{
    const char *at = strstr(fmt, "%s");

    strbuf_clear(&call->why);
    strbuf_add(&call->why, fmt, (size_t)(at - fmt));
    command_add_word(&call->why, word);
    strbuf_adds(&call->why, at + 2);
    return err;
}

int control_misuse(struct call *call, const char *usage)
{
    return control_fail(call, -EINVAL, "the command does not take these arguments; usage: %s",
                        usage);
}

int control_duration(struct call *call, const char *word, int64_t *ret)
{
    if (command_duration(word, ret) == 0)
        return 0;
    return control_fail_word(call, -EINVAL,
                             "%s is not a duration: a decimal number and ms, s, m, h or d", word);
}

void control_line(struct call *call, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    strbuf_adds(&call->lines, "| ");
    strbuf_vaddf(&call->lines, fmt, ap);
    strbuf_adds(&call->lines, "\n");
    va_end(ap);
}

void control_text(struct call *call, const char *text)
{
    while (*text) {
        size_t n = strcspn(text, "\n");
        control_line(call, "%.*s", (int)n, text);
        text += n + (text[n] == '\n');
    }
}

bool control_is_keyword(const struct call *call, size_t i, const char *word)
{
    return i < call->c->nargs && !call->c->args[i].quoted && !strcmp(control_arg(call, i), word);
}

int control_may_change(struct call *call)
{
    int err = state_writable(call->p);

    return err < 0 ? err : flush_throttle(call->p);
}

int control_find_ns(struct call *call, const char *name, struct ns **ret_ns)
{
    int err = ns_find(call->p, name, ret_ns);

    if (err < 0)
        return control_fail_word(call, err,
                                 strchr(name, '@') ? "there is no snapshot %s"
                                                   : "there is no namespace %s",
                                 name);
    if (!(*ret_ns)->target)
        return 0;
    ns_put(call->p, *ret_ns);
    return control_fail_word(call, -EINVAL, "%s is a symbolic link, not a namespace", name);
}

int control_add_only_here(struct call *call, struct ns *ns, struct strbuf *out)
{
    struct only_here found;
    int err = only_here_count(call->p, ns, call->interrupted, &found);

    if (err == 0)
        strbuf_addf(out, " only_here%s=%llu", found.at_least ? "_at_least" : "",
                    (unsigned long long)found.paths);
    return err == -EINTR ? err : 0;
}
