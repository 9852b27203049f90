// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_control: runs the verbs that are one line to the control file. Most verbs are, and each of
 * them needs only its row in verbs.c.
 */
#include "ctl.h"
#include "form.h"
#include "say.h"
#include "status_facts.h"
#include "which_mount.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* Adds how the mount can become rw, even if mount(8) does not know our helper. */
static void advise_rw(const char *mnt, struct strbuf *out)
{
    struct tally_mountinfo m;
    if (mountinfo_of(mnt, &m) < 0) {
        return;
    }
    if (geteuid() == 0) {
        strbuf_addf(out, "`tally mount -o remount,rw %s %s`", m.source, m.point);
    } else {
        strbuf_addf(out, "root can change that, or who mounted it mounts it again");
    }
}

/* Is the status for people wanted? */
static bool is_status_for_people(const struct ctl_call *c)
{
    return strcmp(c->verb->name, "status") == 0 && form_is_human() && !c->options[CTL_ALL].given;
}

/* Prints the status for people. Returns the exit code. */
static int show_status(const struct ctl_call *c, const char *mnt)
{
    const struct people_call call = ctl_people(c);
    int err = status_facts_print(mnt, &call);
    return err < 0 ? tally_fail("%s/.tally: %s", mnt, strerror(-err)) : 0;
}

/* A read-only mount takes no commands, but its status can be read. */
static int run_readonly(const struct ctl_call *c, const char *mnt)
{
    if (is_status_for_people(c)) {
        return show_status(c, mnt);
    }
    if (strcmp(c->verb->name, "status") == 0 && !c->json) {
        int err = client_copy_status(mnt);
        return err < 0 ? tally_fail("%s/.tally/status: %s", mnt, strerror(-err)) : 0;
    }
    CLEANUP_STRBUF struct strbuf advice = STRBUF_INIT;
    advise_rw(mnt, &advice);
    return tally_fail("%s is mounted ro and takes no commands%s%s; %s/.tally/%s can be read", mnt,
                      advice.len ? ": " : "", advice.len ? advice.s : "", mnt,
                      c->json ? "stats.json" : "status");
}

/* Explains why the control file could not be opened. Returns the exit code. */
static int run_unopened(const struct ctl_call *c, const char *mnt, int err)
{
    CLEANUP_STRBUF struct strbuf why = STRBUF_INIT;
    if (err == -EROFS) {
        return run_readonly(c, mnt);
    }
    client_explain(mnt, err, &why);
    return tally_fail("%s", why.s);
}

/* Prints the reply. */
static void show(const struct ctl_call *c, const char *mnt, struct reply *r)
{
    const struct people_call call = ctl_people(c);
    if (!is_status_for_people(c) || status_facts_print(mnt, &call) < 0) {
        ctl_show(&call, r);
    }
}

/* Prints the sentence of a failed command. If the mount adds how its command is written, that is
 * replaced by how this program is called. */
static void say_failed(const struct ctl_call *c, int err, const struct strbuf *sentence)
{
    CLEANUP_STRBUF struct strbuf usage = STRBUF_INIT;
    strbuf_addf(&usage, "usage: %s ", c->verb->name);
    const char *at = err == -EINVAL && usage.s ? strstr(sentence->s, usage.s) : NULL;
    if (!at) {
        ctl_warn(c, sentence->s);
        return;
    }
    size_t len = (size_t)(at - sentence->s);
    while (len > 0 && strchr(" ;:", sentence->s[len - 1])) {
        len--;
    }
    tally_warn("%.*s", (int)len, sentence->s);
    verbs_misuse();
}

int ctl_run(const struct ctl_call *c, const char *mnt)
{
    CLEANUP_STRBUF struct strbuf line = STRBUF_INIT;
    struct reply reply = REPLY_INIT;
    if (ctl_check_paths(c, mnt)) {
        return 1;
    }
    ctl_build(c, mnt, &line);
    int err = strbuf_error(&line);
    const int fd = err < 0 ? err : client_open(mnt);
    if (fd < 0) {
        return run_unopened(c, mnt, fd);
    }
    err = ctl_waits(c) ? ctl_run_waiting(c, mnt, line.s, fd, &reply)
                       : ctl_run_command(fd, line.s, &reply);
    close(fd);
    if (c->json) {
        ctl_print_json(c->verb->name, err, &reply);
    } else if (err == 0) {
        show(c, mnt, &reply);
    }
    if (err < 0) {
        if (!c->json) {
            ctl_show_failed(c, err, &reply);
        }
        say_failed(c, err, &reply.head);
    }
    reply_release(&reply);
    return err < 0;
}

/* Is a namespace to be dropped that is mounted by itself? Whoever uses that mount would lose all of
 * it. Prints so. */
static bool is_mounted(const struct ctl_call *c, const struct tally_mountinfo *m)
{
    struct tally_mountinfo at;
    if (strcmp(c->verb->name, "drop") != 0 || c->options[CTL_FORCE].given ||
        mountinfo_of_ns(m->dev, c->args[0], NULL, &at) < 0) {
        return false;
    }
    tally_fail("%s is mounted at %s: `tally umount` it first, or --force", c->args[0], at.point);
    return true;
}

int cmd_control_run(int argc, char **argv)
{
    struct ctl_call c;
    struct tally_mountinfo m;
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
    return is_mounted(&c, &m) ? 1 : ctl_run(&c, m.point);
}
