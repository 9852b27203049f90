// SPDX-License-Identifier: Apache-2.0
/*
 * Tests of the control file: the rules of a session, and every verb with good and bad words.
 */
#include "control_impl.h"
#include "durability.h"
#include "fixture.h"
#include "flush_names.h"

#include "control_of_store.h"
#include "job.h"
#include "latency.h"
#include "ns_drop.h"
#include "profile.h"
#include "report.h"
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>

static struct fixture x;

static void up(void)
{
    fixture_setup(&x);
}
static void down(void)
{
    fixture_teardown(&x);
}

TestSuite(control, .init = up, .fini = down);

static ssize_t put(struct control_session *s, const char *text)
{
    return control_write_at(s, text, strlen(text), -1, &never_interrupted);
}

static const char *get(struct control_session *s)
{
    static char text[65536];
    ssize_t n = control_read_at(s, text, sizeof text - 1, -1);

    cr_assert_geq(n, 0);
    text[n] = 0;
    return text;
}

static struct control_session *session(void)
{
    struct control_session *s;

    cr_assert_eq(control_open(x.p, &s), 0);
    return s;
}

static void id_of_file(const char *path, char hex[33])
{
    char reply[4096], command[300];

    snprintf(command, sizeof command, "object %s", path);
    cr_assert_gt(say(&x, command, reply), 0, "%s", reply);
    cr_assert_eq(sscanf(reply, "ok id=%32[0-9a-f]", hex), 1, "%s", reply);
}

/* ---- sessions ---- */

Test(control, what_all_sessions_keep_together_is_bounded)
{
    const size_t mib = 1024 * 1024;
    struct control_session *a = session(), *b = session(), *c = session();
    _Atomic size_t *all = &x.p->control->replies;
    size_t kept;

    cr_assert_eq(*all, 0);
    cr_assert_gt(put(a, "help\n"), 0);
    kept = *all;
    cr_assert_gt(kept, 1000, "unread");
    cr_assert_gt(strlen(get(c)), 0, "the last reply, as a copy");
    cr_assert_eq(*all, 2 * kept);
    control_close(c);
    atomic_fetch_add(all, 48 * mib - kept); /* as of many others */
    cr_assert_eq(put(b, "help\n"), -ENOMEM);
    cr_assert(strstr(get(b), "error ENOMEM help: the sessions of the control file keep too many"));
    cr_assert_gt(put(b, "flush\n"), 0, "a short reply");
    cr_assert_eq(strncmp(get(b), "ok ", 3), 0);
    atomic_fetch_add(all, 16 * mib);
    cr_assert_eq(put(b, "flush\n"), -ENOMEM);
    cr_assert(strstr(get(b), "error ENOMEM flush: not run, nor what follows it: the sessions"));
    atomic_fetch_sub(all, 64 * mib - kept);
    cr_assert_gt(put(b, "help\n"), 0);
    control_close(a);
    cr_assert_eq(*all, kept);
    control_close(b);
    cr_assert_eq(*all, 0);
}

Test(control, a_session_reads_its_own_replies_in_order_and_once)
{
    struct control_session *s = session();

    cr_assert_eq(put(s, "branch main a\n"), 14);
    cr_assert_eq(put(s, "branch main b\ncancel 77\n"), 14, "the second failed: a short write");
    const char *text = get(s);
    cr_assert_eq(strncmp(text, "ok ns=", 6), 0, "%s", text);
    cr_assert(strstr(text, "\nok ns="), "%s", text);
    cr_assert(strstr(text, "\nerror ENOENT cancel: there is no job 77\n"), "%s", text);
    cr_assert_str_empty(get(s));
    control_close(s);
}

Test(control, a_failed_write_leaves_its_sentence_to_be_read)
{
    struct control_session *s = session();

    cr_assert_eq(put(s, "branch nobody a"), -ENOENT);
    cr_assert_str_eq(get(s), "error ENOENT branch: there is no namespace nobody\n");
    control_close(s);
}

Test(control, who_never_wrote_reads_the_reply_last_completed)
{
    struct control_session *a = session(), *b = session(), *c = session();

    cr_assert_str_empty(get(c));
    cr_assert_eq(put(a, "get view_wait"), 13);
    cr_assert_eq(strncmp(get(b), "ok view_wait=2s", 15), 0);
    cr_assert_str_empty(get(b), "then end of file");
    control_close(a);
    control_close(b);
    control_close(c);
}

Test(control, a_syntax_error_anywhere_runs_nothing)
{
    char reply[4096];

    cr_assert_eq(say(&x, "branch main a\nbranch \"main b\n", reply), -EINVAL);
    cr_assert_eq(strncmp(reply, "error EINVAL control: ", 22), 0, "%s", reply);
    cr_assert_eq(node_of(&x, "a"), 0);
}

Test(control, a_verb_that_fails_first_gives_its_errno_and_nothing_after_it_runs)
{
    char reply[4096];

    cr_assert_eq(say(&x, "# a comment\n\nfrobnicate\nbranch main a\n", reply), -EINVAL);
    cr_assert_eq(node_of(&x, "a"), 0);
    cr_assert_eq(say(&x, "branch nowhere b\nbranch main a\n", reply), -ENOENT);
    cr_assert_eq(node_of(&x, "a"), 0);
}

Test(control, blanks_and_comments_have_no_reply)
{
    char reply[4096];

    cr_assert_eq(say(&x, "\n# nothing\n  \n", reply), 14);
    cr_assert_str_empty(reply);
}

Test(control, what_is_too_long_or_holds_a_nul_is_refused_with_a_sentence)
{
    struct control_session *s = session();
    char *big = calloc(1, CONTROL_WRITE_MAX + 1);

    memset(big, '\n', CONTROL_WRITE_MAX + 1);
    cr_assert_eq(control_write_at(s, big, CONTROL_WRITE_MAX + 1, -1, &never_interrupted), -E2BIG);
    cr_assert(strstr(get(s), "error E2BIG control: "));
    cr_assert_eq(control_write_at(s, big, CONTROL_WRITE_MAX, -1, &never_interrupted),
                 CONTROL_WRITE_MAX);
    cr_assert_eq(control_write_at(s, "help\0", 5, -1, &never_interrupted), -EINVAL);
    cr_assert(strstr(get(s), "error EINVAL control: a command cannot hold a NUL byte"));
    free(big);
    control_close(s);
}

Test(control, a_write_that_is_interrupted_before_it_begins_does_nothing_and_says_so)
{
    static const _Atomic bool interrupted = true;
    struct control_session *s = session(), *other = session();

    cr_assert_eq(put(other, "branch main dev\n"), 16);
    cr_assert_eq(control_write_at(s, "branch main test\n", 17, -1, &interrupted), -EINTR);
    cr_assert_str_eq(get(s),
                     "error EINTR control: interrupted before it began; nothing was done\n");
    cr_assert_str_eq(get(s), "");
    cr_assert_eq(put(s, "drop test\n"), -ENOENT); /* it was not made */
    control_close(s);

    char text[256]; /* by offsets, as the kernel gives them */
    s = session();
    cr_assert_eq(control_write_at(s, "durable\n", 8, 0, &never_interrupted), 8);
    ssize_t n = control_read_at(s, text, sizeof text, 8);
    cr_assert_gt(n, 0);
    cr_assert_eq(control_write_at(s, "durable\n", 8, 8 + n, &interrupted), -EINTR);
    n = control_read_at(s, text, sizeof text - 1, 8 + n);
    cr_assert_gt(n, 0);
    text[n] = '\0';
    cr_assert_eq(strncmp(text, "error EINTR control: ", 21), 0, "%s", text);
    for (int i = 0; i < 40000; i++)
        (void)control_write_at(s, "get\n", 4, -1, &interrupted);
    cr_assert_leq(atomic_load(&x.p->control->replies), 2 << 20); /* also if nobody reads them */
    control_close(s);
    control_close(other);
}

Test(control, only_verbs_that_may_wait_are_said_to)
{
    static const char *const slow[] = {"drain",
                                       "wait 1",
                                       "status",
                                       "drop x",
                                       "refs main/a",
                                       "rebuild wait",
                                       "branch a b\ndrain",
                                       "rebuild",
                                       "gc", /* the queue of jobs may be full */
                                       "scrub",
                                       "compact",
                                       "log list main" /* reads all segments */};
    static const char *const quick[] = {"branch a b", "get", "help", "\"", ""};

    for (size_t i = 0; i < sizeof slow / sizeof *slow; i++)
        cr_assert(control_may_wait(slow[i], strlen(slow[i])), "%s", slow[i]);
    for (size_t i = 0; i < sizeof quick / sizeof *quick; i++)
        cr_assert_not(control_may_wait(quick[i], strlen(quick[i])), "%s", quick[i]);
}

/* They wait for another look at the nodes, and a long one if a node is being retired. */
Test(control, the_verbs_of_nodes_may_wait)
{
    cr_assert(control_may_wait("node list", 9));
    cr_assert(control_may_wait("node prune", 10));
}

/* ---- verbs ---- */

Test(control, help_lists_every_verb_and_no_other)
{
    char reply[16384], line[100];
    size_t verbs = 0, listed = 0, len = 0;
    struct control_session *s;
    ssize_t n;

    cr_assert_eq(control_open(x.p, &s), 0);
    cr_assert_eq(control_write_at(s, "help", 4, -1, &never_interrupted), 4);
    while ((n = control_read_at(s, reply + len, sizeof reply - 1 - len, -1)) > 0)
        len += (size_t)n;
    reply[len] = '\0';
    control_close(s);
    for (const struct verb *v = control_verbs; v->name; v++, verbs++) {
        snprintf(line, sizeof line, "\n| %s", v->usage);
        cr_assert(strstr(reply, line), "%s", v->name);
    }
    for (const char *at = reply; (at = strstr(at, "\n| ")); at++)
        listed += at[3] != ' '; /* what it does may stand in a line of its own */
    cr_assert_eq(listed, verbs);
    cr_assert_null(strstr(reply, "retrieve"));
    agreed(&x, "help branch", "| branch NS NS2");
    refused(&x, "help retrieve", -EINVAL, "there is no verb retrieve");
    refused(&x, "retrieve", -EINVAL, "error EINVAL retrieve: there is no such verb");
}

Test(control, every_verb_refuses_bad_words_and_says_why)
{
    refused(&x, "branch main", -EINVAL, "usage: branch NS NS2");
    refused(&x, "branch main a b", -EINVAL, "usage: branch NS NS2");
    refused(&x, "branch main a wait", -EINVAL, "`wait`");
    refused(&x, "branch main a x=1", -EINVAL, "unknown option x=");
    refused(&x, "branch main .tally", -EINVAL, ".tally cannot be the name");
    refused(&x, "branch main main", -EEXIST, "main exists already");
    refused(&x, "drop nobody", -ENOENT, "nobody");
    refused(&x, "drop main later", -EINVAL, "force and now, not later");
    refused(&x, "drop main \"force\"", -EINVAL, "force");
    refused(&x, "drain soon", -EINVAL, "soon is not a duration");
    refused(&x, "drain idle 1s 2s", -EINVAL, "usage");
    refused(&x, "wait x", -EINVAL, "not the number of a job");
    refused(&x, "wait 7", -ENOENT, "no job 7");
    refused(&x, "wait 7 5", -EINVAL, "not a duration");
    refused(&x, "cancel -1", -EINVAL, "not the number of a job");
    refused(&x, "refs 12", -EINVAL, "neither an id");
    refused(&x, "refs main/nothing", -ENOENT, "there is no main/nothing");
    refused(&x, "refs main/../x", -EINVAL, "is not a path");
    refused(&x, "pin 00000000000000000000000000000000", -ENOENT, "there is no object");
    refused(&x, "unpin 00000000000000000000000000000000", -ENOENT, "there is no object");
    refused(&x, "why 00000000000000000000000000000000", -ENOENT, "there is no object");
}

Test(control, settings_are_got_set_checked_and_kept)
{
    agreed(&x, "get", "| flush_interval=5s default=5s");
    agreed(&x, "set flush_interval 3s", "ok flush_interval=3s\n");
    agreed(&x, "get flush_interval", "ok flush_interval=3s default=5s min=");
    refused(&x, "set flush_interval 1ms", -EINVAL, "between");
    refused(&x, "set flush_interval fast", -EINVAL, "a duration");
    refused(&x, "set nothing 1", -EINVAL, "there is no setting nothing");
    refused(&x, "get nothing", -EINVAL, "there is no setting nothing");
    fixture_reopen(&x);
    agreed(&x, "get flush_interval", "ok flush_interval=3s");
}

Test(control, a_namespace_can_be_frozen)
{
    agreed(&x, "get ns:main.frozen", "ok ns:main.frozen=no");
    agreed(&x, "set ns:main.frozen yes", "ok seq=");
    agreed(&x, "get ns:main.frozen", "ok ns:main.frozen=yes");
    fixture_reopen(&x);
    agreed(&x, "get ns:main.frozen", "ok ns:main.frozen=yes");
    refused(&x, "set ns:main.frozen perhaps", -EINVAL, "yes or no");
    refused(&x, "set ns:main.colour red", -EINVAL, "no setting colour");
    refused(&x, "set ns:nobody.frozen yes", -ENOENT, "no namespace nobody");
    refused(&x, "get ns:", -EINVAL, "ns:NAME.KEY");
}

Test(control, a_frozen_namespace_takes_no_change_through_what_was_open_before)
{
    struct vfs_attr in = {.size = 1, .mode = 0600}, out;
    struct vfs_file *named, *unlinked;

    put_file(&x, "main/a", "hello");
    put_file(&x, "main/b", "hello");
    cr_assert_eq(vfs_open(x.p, node_of(&x, "main/a"), VFS_WRITE, &named), 0);
    uint64_t b = node_of(&x, "main/b");
    cr_assert_eq(vfs_open(x.p, b, VFS_WRITE, &unlinked), 0);
    remove_file(&x, "main/b");
    agreed(&x, "set ns:main.frozen yes", "ok seq=");
    cr_assert_eq(vfs_write(named, "x", 1, 0), -EROFS);
    cr_assert_eq(vfs_setattr(x.p, node_of(&x, "main/a"), VFS_SET_SIZE, &in, &out), -EROFS);
    cr_assert_eq(vfs_setxattr(x.p, node_of(&x, "main/a"), "user.a", "v", 1, 0), -EROFS);
    cr_assert_eq(vfs_write(unlinked, "x", 1, 0), 1, "it is in no namespace any more");
    cr_assert_eq(vfs_setattr(x.p, b, VFS_SET_MODE, &in, &out), 0);
    vfs_release(named);
    vfs_release(unlinked);
}

Test(control, an_unknown_verb_on_any_line_means_that_nothing_ran)
{
    struct control_session *s;

    cr_assert_eq(control_open(x.p, &s), 0);
    cr_assert_eq(put(s, "branch main b\nfrobnicate\n"), -EINVAL);
    cr_assert_eq(put(s, "branch main b\nbranch main\n"), -EINVAL);
    cr_assert_eq(put(s, "branch main b\n"), 14, "there is no b yet");
    control_close(s);
}

Test(control, a_branch_answers_with_its_name_and_place_in_the_sequence)
{
    unsigned long long seq;
    char reply[4096];

    put_file(&x, "main/a", "hello");
    cr_assert_eq(say(&x, "branch main \"d e v\"", reply), 19);
    cr_assert_eq(sscanf(reply, "ok ns=\"d e v\" seq=%llu", &seq), 1, "%s", reply);
    cr_assert_eq(seq, state_seq(x.p));
    cr_assert_neq(node_of(&x, "d e v/a"), 0);
}

Test(control, words_that_a_verb_does_not_take_together_are_refused_with_its_usage)
{
    refused(&x, "shard foo", -EINVAL, "does not take these arguments; usage: shard ");
    refused(&x, "node prune 1", -EINVAL, "does not take these arguments; usage: node ");
    refused(&x, "log list main 1", -EINVAL, "usage: log list NS [until=SEQ]");
    refused(&x, "log find main", -EINVAL, "usage: log find NS SEQ|TIME");
}

Test(control, a_flush_gives_a_ticket_which_says_what_became_durable_and_its_name)
{
    char reply[4096], want[64], line[64];
    unsigned long long ticket = 99, seq = 0;

    put_file(&x, "main/a", "text");
    cr_assert_gt(say(&x, "flush \"my name\"", reply), 0);
    cr_assert_eq(sscanf(reply, "ok ticket=%llu seq=%llu", &ticket, &seq), 2, "%s", reply);
    cr_assert_eq(seq, state_seq(x.p));
    snprintf(want, sizeof want, "ok snapshot=%llu name=\"my name\"\n", seq);
    snprintf(line, sizeof line, "wait ticket %llu", ticket);
    agreed(&x, line, want);
    put_file(&x, "main/b", "text");
    snprintf(want, sizeof want, "ok ticket=%llu seq=", ticket + 1);
    agreed(&x, "flush", want);
    agreed(&x, line, " name=\"my name\"");
    snprintf(line, sizeof line, "wait ticket %llu 1s", ticket + 1);
    cr_assert_gt(say(&x, line, reply), 0);
    cr_assert_null(strstr(reply, "name="));
    snprintf(line, sizeof line, "wait ticket %llu", ticket + 2);
    refused(&x, line, -ENOENT, "those of earlier mounts ended with them: everything up to ");
    refused(&x, "wait ticket", -EINVAL, "usage: wait ticket T [DUR]");
    refused(&x, "wait ticket soon", -EINVAL, "soon is not the number of a ticket");
    refused(&x, "wait ticket 1 soon", -EINVAL, "soon is not a duration");
    refused(&x, "wait 1 2s 3s", -EINVAL, "usage: wait N [DUR]");
    refused(&x, "flush \"\"", -EINVAL, "1 to 255 bytes");
}

Test(control, a_ticket_of_long_ago_is_known_to_have_ended)
{
    char reply[4096], line[64], want[64];
    unsigned long long ticket, seq;

    cr_assert_gt(say(&x, "flush", reply), 0);
    cr_assert_eq(sscanf(reply, "ok ticket=%llu seq=%llu", &ticket, &seq), 2, "%s", reply);
    for (unsigned i = 0; i < 260; i++)
        agreed(&x, "flush", "ok ticket=");
    snprintf(line, sizeof line, "wait ticket %llu", ticket);
    snprintf(want, sizeof want, "ok durable=%llu\n", (unsigned long long)flush_durable(x.p));
    agreed(&x, line, want);
    cr_assert_geq(flush_durable(x.p), seq);
    fixture_reopen(&x);
    snprintf(line, sizeof line, "wait ticket %llu", ticket + 200);
    refused(&x, line, -ENOENT, "this mount has given out no ticket yet");
}

Test(control, a_dropped_namespace_is_gone_and_its_job_ends_with_the_drain)
{
    char reply[4096];
    unsigned long long bytes, job;

    put_file(&x, "main/a", "hello");
    cr_assert_eq(say(&x, "branch main dev", reply), 15);
    put_file(&x, "dev/b", "world");
    cr_assert_eq(say(&x, "drop dev", reply), 8, "%s", reply);
    cr_assert_eq(sscanf(reply, "ok queued_bytes=%llu job=%llu", &bytes, &job), 2, "%s", reply);
    cr_assert_eq(node_of(&x, "dev"), 0);
    cr_assert_gt(bytes, 0);
    refused(&x, "wait 1 0s", -ETIMEDOUT, "job 1 goes on");
    refused(&x, "cancel 1", -EPERM, "cannot come back");
    agreed(&x, "drain", "ok seq=");
    agreed(&x, "wait 1", "ok\n");
    agreed(&x, "cancel 1", "ok\n");
    refused(&x, "drop dev", -ENOENT, "dev");
}

Test(control, a_namespace_with_open_files_is_dropped_by_force_only)
{
    struct vfs_file *f;
    uint32_t open = 0;

    put_file(&x, "main/a", "hello");
    cr_assert_eq(vfs_open(x.p, node_of(&x, "main/a"), 0, &f), 0);
    refused(&x, "drop main", -EBUSY, "1 file is open in it");
    cr_assert_eq(ns_drop(x.p, "main", false, false, false, &open), -EBUSY,
                 "a file that is opened after the verb has looked");
    cr_assert_eq(open, 1);
    agreed(&x, "drop main force", "ok queued_bytes=");
    vfs_release(f);
}

static struct vfs_file *held; /* closed when the drop asks for the second time whether it is open */
static unsigned asked;

uint32_t __real_ns_open_files(const struct ns *ns);
uint32_t __wrap_ns_open_files(const struct ns *ns);
uint32_t __wrap_ns_open_files(const struct ns *ns)
{
    if (held && ++asked == 2)
        vfs_release(held);
    return __real_ns_open_files(ns);
}

/* The kernel says that a file was closed after close(2) has returned. */
Test(control, a_file_that_is_being_closed_does_not_hold_a_drop_up)
{
    put_file(&x, "main/a", "hello");
    cr_assert_eq(vfs_open(x.p, node_of(&x, "main/a"), 0, &held), 0);
    asked = 0;
    agreed(&x, "drop main", "ok queued_bytes=");
    cr_assert_eq(asked, 2);
}

Test(control, a_drop_that_is_refused_takes_no_number)
{
    struct vfs_file *f;

    put_file(&x, "main/a", "hello");
    cr_assert_eq(vfs_open(x.p, node_of(&x, "main/a"), 0, &f), 0);
    refused(&x, "drop nowhere", -ENOENT, "there is no namespace nowhere");
    refused(&x, "drop main", -EBUSY, "1 file is open in it");
    vfs_release(f);
    agreed(&x, "drop main", " job=1 only_here=1\n");
}

Test(control, refs_count_references_namespaces_and_pins)
{
    char id[33], command[64], reply[4096];

    put_file(&x, "main/a", "hello");
    agreed(&x, "refs main/a", "ok refs=1 namespaces=1 pins=0\n");
    put_file(&x, "main/b", "hello");
    agreed(&x, "refs main/a", "ok refs=2 namespaces=1 pins=0\n");
    cr_assert_eq(say(&x, "branch main dev", reply), 15);
    agreed(&x, "refs main/a", "ok refs=2 namespaces=2 pins=0\n");
    id_of_file("main/a", id);
    snprintf(command, sizeof command, "pin %s", id);
    agreed(&x, command, "ok refs=3");
    agreed(&x, command, "ok refs=3");
    agreed(&x, "refs main/b", "ok refs=3 namespaces=2 pins=1\n");
    agreed(&x, "object main/b",
           " state=pinned since=never nodes=1 size=5 shard=0 stored=pack refs=3\n");
    snprintf(command, sizeof command, "unpin %s", id);
    agreed(&x, command, "ok refs=2");
    agreed(&x, command, "ok refs=2");
    agreed(&x, "refs ffffffffffffffffffffffffffffffff", "ok refs=0 namespaces=0 pins=0\n");
    agreed(&x, "object ffffffffffffffffffffffffffffffff", "state=none");
}

Test(control, why_lists_who_keeps_an_object)
{
    char reply[4096], as_ls_shows[128];
    struct vfs_file *f;

    put_file(&x, "main/a", "hello");
    put_file(&x, "main/b", "other");
    cr_assert_eq(say(&x, "branch main dev", reply), 15);
    snprintf(as_ls_shows, sizeof as_ls_shows,
             "\n| namespace=main items=1 inodes=%llu\n| namespace=dev items=1 inodes=%llu\n",
             (unsigned long long)node_of(&x, "main/a"), (unsigned long long)node_of(&x, "dev/a"));
    agreed(&x, "why main/a", as_ls_shows);
    agreed(&x, "pin main/a", "ok refs=2");
    agreed(&x, "why main/a", "\n| pinned\n");
    cr_assert_eq(vfs_open(x.p, node_of(&x, "main/b"), 0, &f), 0);
    vfs_release(f);
    put_file(&x, "main/empty", "");
    refused(&x, "why main/empty", -ENOENT, "empty");
}

Test(control, an_item_that_names_an_alias_counts_for_its_object)
{
    char reply[4096], both[128];

    put_file(&x, "main/a", "hello");
    cr_assert_gt(say(&x, "refs main/a", reply), 0, "it is sealed now");
    put_file(&x, "main/b", "hello");
    cr_assert_eq(say(&x, "branch main dev", reply), 15, "before b is sealed");
    agreed(&x, "refs main/a", "ok refs=2 namespaces=2 pins=0");
    snprintf(both, sizeof both, "| namespace=main items=2 inodes=%llu,%llu\n",
             (unsigned long long)node_of(&x, "main/a"), (unsigned long long)node_of(&x, "main/b"));
    agreed(&x, "why main/a", both);
}

Test(control, an_object_leaves_with_its_last_reference)
{
    char id[33], command[64];

    put_file(&x, "main/a", "hello");
    id_of_file("main/a", id);
    remove_file(&x, "main/a");
    snprintf(command, sizeof command, "refs %s", id);
    agreed(&x, command, "ok refs=0");
    agreed(&x, "drain", "ok");
    snprintf(command, sizeof command, "object %s", id);
    agreed(&x, command, "state=none");
}

Test(control, rebuild_of_a_sound_store_changes_nothing)
{
    put_file(&x, "main/a", "hello");
    agreed(&x, "rebuild wait", "ok changed=0 job=1\n");
    agreed(&x, "rebuild", "ok job=2\n");
    agreed(&x, "wait 2", "ok changed=0\n");
}

/* ---- views ---- */

static const char *read_fd(int fd)
{
    static char text[65536];
    ssize_t n = pread(fd, text, sizeof text - 1, 0);

    cr_assert_geq(n, 0);
    text[n] = 0;
    return text;
}

Test(control, status_and_stats_say_how_the_store_is)
{
    CLEANUP_STRBUF struct strbuf a = STRBUF_INIT, b = STRBUF_INIT;

    report_reset();
    put_file(&x, "main/a", "hello");
    cr_assert_eq(view_render(x.p, VIEW_STATUS, NULL, &a), 0);
    cr_assert(strstr(a.s, "unsealed=0"), "%s", a.s);
    cr_assert(strstr(a.s, "org/test"), "%s", a.s);
    cr_assert_eq(view_render(x.p, VIEW_STATS_JSON, NULL, &b), 0);
    cr_assert(strstr(b.s, "\"pid\": "), "%s", b.s);
    cr_assert(strstr(b.s, "\"objects\": 1,"), "%s", b.s);
    cr_assert(strstr(b.s, "\"read_only\": false"), "%s", b.s);
    agreed(&x, "status", "ok state=ok seq=");
}

Test(control, after_a_commit_that_failed_the_state_is_degraded_until_one_does_not)
{
    CLEANUP_STRBUF struct strbuf json = STRBUF_INIT;

    put_file(&x, "main/a", "hello");
    x.fault.error = ENOSPC;
    x.fault.fail_at = x.fault.writes + 1;
    cr_assert_eq(flush_now(x.p), -ENOSPC);
    agreed(&x, "status", "ok state=degraded ");
    agreed(&x, "status",
           "| state       degraded: the last commit failed and is tried again: No space");
    cr_assert_eq(view_render(x.p, VIEW_STATS_JSON, NULL, &json), 0);
    cr_assert(strstr(json.s, "\"state\": \"degraded\""), "%s", json.s);
    cr_assert_eq(flush_now(x.p), 0);
    agreed(&x, "status", "ok state=ok ");
}

/* The next one has its number. */
Test(control, the_name_of_a_flush_that_could_not_begin_is_nobody_elses)
{
    char reply[4096];

    put_file(&x, "main/a", "hello");
    x.fault.error = ENOSPC;
    x.fault.fail_at = x.fault.writes + 1;
    refused(&x, "flush mine", -ENOSPC, "");
    agreed(&x, "flush", "ok ticket=0 ");
    cr_assert_gt(say(&x, "wait ticket 0", reply), 0);
    cr_assert(strstr(reply, "snapshot=") && !strstr(reply, "mine"), "%s", reply);
}

Test(control, stats_and_metrics_show_the_requests_that_the_edge_counted)
{
    const struct view_count counted[] = {{"LOOKUP", 7}, {"READ", 1}};
    const struct view_edge edge = {.requests = counted,
                                   .request_kinds = 2,
                                   .transport = "threads",
                                   .passthrough = "yes",
                                   .mounted = "rw,relatime"};
    CLEANUP_STRBUF struct strbuf json = STRBUF_INIT, text = STRBUF_INIT;

    put_file(&x, "main/a", "hello");
    cr_assert_eq(view_render(x.p, VIEW_STATS_JSON, &edge, &json), 0);
    cr_assert(strstr(json.s, "\"requests\": {\n    \"LOOKUP\": 7,\n    \"READ\": 1\n"), "%s",
              json.s);
    cr_assert(strstr(json.s, "\"passthrough\": \"yes\""), "%s", json.s);
    cr_assert(strstr(json.s, "\"mounted\": \"rw,relatime\""), "%s", json.s);
    cr_assert_eq(view_render(x.p, VIEW_METRICS, &edge, &text), 0);
    cr_assert(strstr(text.s, "# TYPE tallyfs_requests_total counter\n"
                             "tallyfs_requests_total{op=\"LOOKUP\"} 7\n"
                             "tallyfs_requests_total{op=\"READ\"} 1\n"),
              "%s", text.s);
    cr_assert(strstr(text.s, "# TYPE tallyfs_objects gauge\ntallyfs_objects 1\n"), "%s", text.s);
    cr_assert(strstr(text.s, "# TYPE tallyfs_commits_total counter\n"), "%s", text.s);
    cr_assert(!strstr(text.s, "pid"), "%s", text.s);
}

Test(control, metrics_are_in_the_units_of_prometheus)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;

    cr_assert_eq(view_render(x.p, VIEW_METRICS, NULL, &text), 0);
    cr_assert(!strstr(text.s, "milliseconds") && !strstr(text.s, "_ms"), "%s", text.s);
    cr_assert(strstr(text.s, "tallyfs_writers_waited_seconds_total 0.000\n"), "%s", text.s);
    cr_assert(strstr(text.s, "tallyfs_last_scrub_timestamp_seconds 0\n"), "%s", text.s);
    cr_assert(strstr(text.s, "# TYPE tallyfs_gc_cycles_total counter\n"), "%s", text.s);
}

static const char *const kinds[LATENCY_KINDS] = {[0] = "OTHER", [15] = "READ"};

Test(control, how_long_requests_took_is_a_histogram_and_quantiles)
{
    CLEANUP_STRBUF struct strbuf json = STRBUF_INIT, text = STRBUF_INIT;

    latency_set_names(x.p->latency, kinds);
    latency_note(x.p->latency, 15, 5 * NSEC_PER_USEC);
    latency_note(x.p->latency, 15, 100 * NSEC_PER_USEC);
    cr_assert_eq(view_render(x.p, VIEW_METRICS, NULL, &text), 0);
    cr_assert(strstr(text.s,
                     "# TYPE tallyfs_request_duration_seconds histogram\n"
                     "tallyfs_request_duration_seconds_bucket{op=\"READ\",le=\"0.000008\"} 1\n"),
              "%s", text.s);
    cr_assert(strstr(text.s, "_bucket{op=\"READ\",le=\"0.000128\"} 2\n"), "%s", text.s);
    cr_assert(strstr(text.s, "_bucket{op=\"READ\",le=\"+Inf\"} 2\n"), "%s", text.s);
    cr_assert(strstr(text.s, "_sum{op=\"READ\"} 0.000105000\n"), "%s", text.s);
    cr_assert(strstr(text.s, "_count{op=\"READ\"} 2\n"), "%s", text.s);
    cr_assert_eq(view_render(x.p, VIEW_STATS_JSON, NULL, &json), 0);
    cr_assert(strstr(json.s, "\"total_us\": 105,\n      \"p50_us\": 5,\n"), "%s", json.s);
}

/* Notes a request as soon as somebody records. */
static void *note_when_recorded(void *arg)
{
    const struct profile_request q = {
        .kind = 15, .ns = 1, .tid = getpid(), .took = 7 * NSEC_PER_USEC};

    (void)arg;
    while (!profile_records(x.p->profile))
        sched_yield();
    profile_note(x.p->profile, &q);
    clock_manual_advance(&x.clock, 10 * NSEC_PER_SEC);
    return NULL;
}

Test(control, a_profile_has_what_was_requested_meanwhile, .timeout = 120)
{
    pthread_t t;

    latency_set_names(x.p->latency, kinds);
    prctl(PR_SET_NAME, "two words");
    cr_assert_eq(pthread_create(&t, NULL, note_when_recorded, NULL), 0);
    agreed(&x, "profile 10s", "ok ms=10000 requests=1 rows=1\n| program=\"two words\" pid=");
    pthread_join(t, NULL);
    cr_assert(!profile_records(x.p->profile));
}

Test(control, a_profile_of_more_than_an_hour_is_refused)
{
    refused(&x, "profile 3601s", -EINVAL, "at most an hour");
    refused(&x, "profile", -EINVAL, "a word is missing");
}

Test(control, stats_are_json_whatever_bytes_a_text_has)
{
    const struct view_edge edge = {
        .transport = "threads", .passthrough = "no: \xc3\xa4\xff", .mounted = "rw"};
    CLEANUP_STRBUF struct strbuf json = STRBUF_INIT;

    snprintf(x.p->label, sizeof x.p->label, "org/\xc3(");
    cr_assert_eq(view_render(x.p, VIEW_STATS_JSON, &edge, &json), 0);
    cr_assert(strstr(json.s, "\"passthrough\": \"no: \xc3\xa4?\""), "%s", json.s);
    cr_assert(strstr(json.s, "\"label\": \"org/?(\""), "%s", json.s);
}

Test(control, the_dump_of_counts_is_sorted_json_with_its_sequence_number)
{
    char expect[256], a[33], b[33];
    FILE *out = tmpfile();

    cr_assert(out);
    put_file(&x, "main/a", "hello");
    put_file(&x, "main/b", "world");
    put_file(&x, "main/c", "world");
    id_of_file("main/a", a);
    id_of_file("main/b", b);
    cr_assert_eq(view_refcounts(x.p, out), 0);
    bool first = strcmp(a, b) < 0;
    snprintf(expect, sizeof expect, "{\"seq\": %llu, \"counts\": {\"%s\": %d, \"%s\": %d}}\n",
             (unsigned long long)state_seq(x.p), first ? a : b, first ? 1 : 2, first ? b : a,
             first ? 2 : 1);
    cr_assert_str_eq(read_fd(fileno(out)), expect);
    fclose(out);
}

static int count_object(const struct view_object *o, void *ctx)
{
    (void)o;
    ++*(int *)ctx;
    return 0;
}

Test(control, objects_are_listed_by_the_first_byte_of_their_id)
{
    struct view_object o, same;
    char hex[33];
    struct id id;
    int n = 0, all = 0;

    put_file(&x, "main/a", "hello");
    put_file(&x, "main/b", "world");
    id_of_file("main/a", hex);
    cr_assert_eq(id_from_hex(hex, &id), 0);
    cr_assert_eq(view_object(x.p, &id, &o), 0);
    cr_assert(o.refs == 1 && o.size == 5);
    cr_assert_eq(view_object_numbered(x.p, o.number, &same), 0);
    cr_assert(id_equal(&same.id, &id) && same.refs == 1 && same.size == 5);
    view_settle(x.p);
    cr_assert_eq(view_objects(x.p, id.b[0], NULL, count_object, &n), 0);
    cr_assert_geq(n, 1);
    for (unsigned i = 0; i < 256; i++)
        cr_assert_eq(view_objects(x.p, (uint8_t)i, NULL, count_object, &all), 0);
    cr_assert_eq(all, 2);
    remove_file(&x, "main/a");
    cr_assert_eq(view_object(x.p, &id, &o), -ENOENT, "gone at once");
    cr_assert_eq(view_object_numbered(x.p, same.number, &o), -ENOENT);
}

Test(control, namespaces_are_listed_by_name_with_their_facts)
{
    CLEANUP_STRBUF struct strbuf status = STRBUF_INIT, seq = STRBUF_INIT, durable = STRBUF_INIT;
    char reply[4096];

    cr_assert_eq(say(&x, "branch main z\nbranch main b\n", reply), 28);
    cr_assert_eq(view_render(x.p, VIEW_STATUS, NULL, &status), 0);
    const char *b = strstr(status.s, " name=b "), *main = strstr(status.s, " name=main ");
    const char *z = strstr(status.s, " name=z ");
    cr_assert(b && main && z && b < main && main < z, "%s", status.s);
    agreed(&x, "drain", "ok");
    const uint32_t number = vfs_node_ns(node_of(&x, "z"));
    cr_assert_eq(view_namespace(x.p, number, VIEW_NS_SEQ, &seq), 0);
    cr_assert_eq(view_namespace(x.p, number, VIEW_NS_DURABLE, &durable), 0);
    cr_assert_str_eq(seq.s, durable.s);
    cr_assert_eq(view_namespace(x.p, VFS_NS_MAX, VIEW_NS_SEQ, &seq), -ESTALE);
}

static ssize_t at(struct control_session *s, int64_t off, size_t len, char *out)
{
    ssize_t n = control_read_at(s, out, len, off);

    cr_assert_geq(n, 0);
    out[n] = 0;
    return n;
}

Test(control, who_goes_back_in_a_reply_reads_that_part_again)
{
    struct control_session *s;
    static char all[1 << 16], text[1 << 16];
    ssize_t len;

    cr_assert_eq(control_open(x.p, &s), 0);
    cr_assert_eq(control_write_at(s, "get\n", 4, 0, &never_interrupted), 4);
    len = at(s, 4, sizeof all - 1, all);
    cr_assert_gt(len, 1000);
    cr_assert_eq(at(s, 4 + len, 10, text), 0, "that is its end");
    cr_assert_eq(at(s, 4 + 3, sizeof all - 1, text), len - 3);
    cr_assert_str_eq(text, all + 3);
    cr_assert_eq(at(s, 4 + len - 5, sizeof all - 1, text), 5);
    cr_assert_eq(at(s, 1, sizeof all - 1, text), 0, "elsewhere is where it was: at the end");
    cr_assert_eq(at(s, INT64_MAX, sizeof all - 1, text), 0, "however far");
    cr_assert_eq(control_write_at(s, "help help help\n", 15, 1, &never_interrupted), -EINVAL);
    cr_assert_gt(at(s, 1, sizeof all - 1, text), 0, "its sentence is where the write was to be");
    cr_assert_eq(strncmp(text, "error EINVAL", 12), 0);
    control_close(s);
}

Test(control, who_waits_for_a_ticket_before_there_is_one_is_told_how_to_get_it)
{
    refused(&x, "wait ticket 0", -ENOENT,
            "no ticket yet: `tally flush` begins a flush and says its ticket");
    agreed(&x, "flush", "ok ticket=0");
    agreed(&x, "wait ticket 0", "ok snapshot=");
    refused(&x, "wait ticket 1", -ENOENT,
            "not given out a ticket 1, its next is 1; `tally flush` begins");
}

static void flushes_are(const char *want)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;

    cr_assert_eq(view_flushes(x.p, &text), 0);
    cr_assert_str_eq(text.s, want);
}

Test(control, names_of_flushes_survive_a_remount_and_are_listed)
{
    char command[64];

    flushes_are("");
    put_file(&x, "main/a", "hello");
    agreed(&x, "flush", "ok ticket=");
    flushes_are("");
    agreed(&x, "flush \"before the move\"", "seq=3");
    put_file(&x, "main/b", "world");
    agreed(&x, "flush second", "seq=");
    flushes_are("seq=3 time=1970-01-01T00:16:40Z name=\"before the move\"\n"
                "seq=5 time=1970-01-01T00:16:40Z name=second\n");
    fixture_reopen(&x);
    flushes_are("seq=3 time=1970-01-01T00:16:40Z name=\"before the move\"\n"
                "seq=5 time=1970-01-01T00:16:40Z name=second\n");
    for (int i = 0; i < FLUSH_NAMES_MAX; i++) {
        snprintf(command, sizeof command, "flush n%d", i);
        agreed(&x, command, "ok");
    }
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    cr_assert_eq(view_flushes(x.p, &text), 0);
    cr_assert(!strstr(text.s, "second") && strstr(text.s, "name=n0\n") &&
                  strstr(text.s, "name=n63\n"),
              "%s", text.s);
}

/* ---- how much is said ---- */

Test(control, a_write_that_says_very_much_is_short_and_what_did_not_run_is_named)
{
    const char *one = "help\n";
    size_t n = CONTROL_WRITE_MAX / strlen(one), lines = 0, got = 0;
    char *text = malloc(CONTROL_WRITE_MAX + 1), *reply = malloc(4 << 20);
    struct control_session *s = session();
    ssize_t r, len;

    for (size_t i = 0; i < n; i++)
        memcpy(text + i * strlen(one), one, strlen(one) + 1);
    r = put(s, text);
    cr_assert_gt(r, 0);
    cr_assert_lt(r, (ssize_t)strlen(text));
    cr_assert_eq(r % (ssize_t)strlen(one), 0);
    while ((len = control_read_at(s, reply + got, (4 << 20) - got - 1, -1)) > 0)
        got += (size_t)len;
    reply[got] = 0;
    cr_assert_leq(got, 1100 * 1024, "%zu bytes", got);
    for (const char *at = reply; (at = strstr(at, "ok")); at++)
        lines += at == reply || at[-1] == '\n';
    cr_assert_eq(lines, (size_t)r / strlen(one), "what is counted ran, and nothing else");
    const char *last = strstr(reply, "error E2BIG help: not run, nor what follows it");
    cr_assert_not_null(last);
    cr_assert_eq(strchr(last, '\n')[1], 0);
    r = put(s, text + r); /* the rest, as it said */
    cr_assert_gt(r, 0);
    control_close(s);
    free(text);
    free(reply);
}
