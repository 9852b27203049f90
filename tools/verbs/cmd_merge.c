// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_merge: merges, and lets a program merge what both sides have changed in a file (--with).
 *
 * The mount says where such a file is in each of the three trees, and which change of the target it
 * looked at. The program makes one text of the three. If it can do so for all of them, the texts
 * are written into the branch, and the branch is merged with the rule that its side counts there,
 * on the condition that the target has not changed. If that fails, the branch gets back what it
 * had. So the target changes at one instant or not at all, and afterwards both sides have the
 * merged text.
 */
#include "client.h"
#include "command.h"
#include "ctl.h"
#include "merge_with.h"
#include "say.h"
#include "which_mount.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define TRIES 5 /* how often it begins anew because the target has changed */

/* One command. -errno of the control file has no reply. */
static int send(const char *mnt, const char *line, struct reply *ret)
{
    int fd = client_open(mnt);
    if (fd < 0) {
        client_explain(mnt, fd, &ret->head);
        return fd;
    }
    int err = ctl_run_command(fd, line, ret);
    close(fd);
    return err;
}

/* Prints how the command ended. Returns the exit code. */
static int show(const struct ctl_call *c, int err, struct reply *r)
{
    if (c->json) {
        ctl_print_json(c->verb->name, err, r);
    } else if (err == 0) {
        const struct people_call call = ctl_people(c);
        ctl_show(&call, r);
    } else {
        ctl_show_failed(c, err, r);
    }
    if (err < 0) {
        ctl_warn(c, r->head.s);
    }
    return err < 0;
}

/* Writes the texts into the branch, and sends the command; takes them back if that fails. Signals
 * that end the program wait meanwhile. *ret_written: the command was sent. */
static int write_and_send(struct merge_with *w, const char *line, struct reply *reply,
                          bool *ret_written)
{
    sigset_t ends, before;
    sigemptyset(&ends);
    sigaddset(&ends, SIGHUP);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGPIPE);
    sigaddset(&ends, SIGQUIT);
    sigaddset(&ends, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &ends, &before);
    int err = merge_with_write(w);
    *ret_written = err == 0;
    if (err == 0) {
        err = send(w->mnt, line, reply);
        if (err < 0) {
            merge_with_restore(w);
        }
    }
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    return err;
}

/* Merges what the mount says is in conflict, and sends the command with the results. -ECANCELED:
 * the target or the branch changed meanwhile. After any error nothing is changed. */
static int merge_contents(const struct ctl_call *c, struct merge_with *w, const char *line,
                          int *ret_code)
{
    struct reply reply = REPLY_INIT;
    CLEANUP_STRBUF struct strbuf again = STRBUF_INIT;
    bool written;
    int err = merge_with_run(w);
    if (err < 0) {
        *ret_code = tally_fail("nothing was changed");
        return 0;
    }
    strbuf_adds(&again, line);
    merge_with_add(w, &again);
    if (strbuf_error(&again) < 0) {
        *ret_code = tally_fail("%s", strerror(ENOMEM));
        return 0;
    }
    err = write_and_send(w, again.s, &reply, &written);
    if (!written) {
        *ret_code = err == -ECANCELED ? 1 : tally_fail("nothing was changed");
        return err == -ECANCELED ? err : 0;
    }
    if (err != -ECANCELED) {
        *ret_code = show(c, err, &reply);
        err = 0;
    }
    reply_release(&reply);
    return err;
}

/* Merges once. -ECANCELED: something changed meanwhile, and nothing was done. Else *ret_code. */
static int merge_once(const struct ctl_call *c, const char *mnt, const char *line, int *ret_code)
{
    struct merge_with w = {.mnt = mnt, .program = c->options[CTL_WITH].value};
    struct reply reply = REPLY_INIT;
    CLEANUP_STRBUF struct strbuf ask = STRBUF_INIT;
    strbuf_addf(&ask, "%s paths=all", line);
    int err = strbuf_error(&ask) < 0 ? -ENOMEM : send(mnt, ask.s, &reply);
    if (err == -EEXIST && merge_with_read(&w, reply.body.s)) {
        err = merge_contents(c, &w, line, ret_code);
    } else if (err == -EEXIST) { /* there are others: they are shown as without a program */
        reply_release(&reply);
        *ret_code = show(c, send(mnt, line, &reply), &reply);
        if (*ret_code) {
            tally_warn("%s was not run: not all conflicts are about the content of texts",
                       w.program);
        }
        err = 0;
    } else {
        *ret_code = show(c, err, &reply);
        err = 0;
    }
    merge_with_release(&w);
    reply_release(&reply);
    return err;
}

int cmd_merge_run(int argc, char **argv)
{
    struct ctl_call c;
    struct tally_mountinfo m;
    CLEANUP_STRBUF struct strbuf line = STRBUF_INIT;
    int code = 1;
    if (ctl_parse(argc, argv, &c) < 0) {
        return verbs_misuse();
    }
    int err = ctl_find_mount(&c, &m);
    if (err < 0) {
        return which_mount_fail(err, &m);
    }
    if (ctl_take_own(&c, &m) < 0) {
        return verbs_misuse();
    }
    if (!c.options[CTL_WITH].given) {
        return ctl_run(&c, m.point);
    }
    if (!*c.options[CTL_WITH].value) {
        return tally_fail("--with takes a program");
    }
    ctl_build(&c, m.point, &line);
    if (strbuf_error(&line) < 0) {
        return tally_fail("%s", strerror(ENOMEM));
    }
    err = -ECANCELED;
    for (unsigned i = 0; err == -ECANCELED && i < TRIES; i++) {
        err = merge_once(&c, m.point, line.s, &code);
    }
    return err < 0 ? tally_fail("both change too fast to be merged; nothing was changed") : code;
}
