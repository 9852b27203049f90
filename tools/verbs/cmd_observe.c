// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_observe: the verbs that show what a mount does: profile, top, metrics and doctor. The work is
 * in the room observe; here are their options, and what is printed.
 */
#include "command.h"
#include "doctor_report.h"
#include "form.h"
#include "io.h"
#include "metrics.h"
#include "profile_text.h"
#include "say.h"
#include "table.h"
#include "top.h"
#include "verbs.h"
#include "which_mount.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PROFILE_SECONDS 10
#define SECONDS_MAX 3600
#define TABLE_ROWS 12

/* What the options of these verbs are. */
struct asked {
    bool json;
    const char *textfile, *listen, *output;
};

/* Reads the options; `options` has those of the verb. False after a sentence. */
static bool read_options(int argc, char **argv, const struct option *options, struct asked *ret)
{
    int o;
    *ret = (struct asked){0};
    while ((o = form_getopt(argc, argv, "C:", options)) >= 0) {
        switch (o) {
        case 'C':
            tally_mount = optarg;
            break;
        case 'j':
            ret->json = true;
            break;
        case 't':
            ret->textfile = optarg;
            break;
        case 'l':
            ret->listen = optarg;
            break;
        case 'o':
            ret->output = optarg;
            break;
        default:
            return false;
        }
    }
    return true;
}

/* Reads the argument that may follow: a number of seconds. False: it is none, or there are more. */
static bool read_seconds(int argc, char **argv, uint64_t most, uint64_t *seconds)
{
    if (argc - optind > 1) {
        return false;
    }
    if (optind == argc) {
        return true;
    }
    if (command_number(argv[optind], seconds) == 0 && *seconds > 0 && *seconds <= most) {
        return true;
    }
    tally_warn("%s is no number of seconds from 1 to %llu", argv[optind], (unsigned long long)most);
    return false;
}

/* ---- profile ---- */

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal)
{
    (void)signal;
    interrupted = 1;
}

/* Records second by second, so that ^C shows what there is so far. */
static int record(const char *mnt, uint64_t seconds, struct costs *s, struct strbuf *why)
{
    int err = 0;
    (void)sigaction(SIGINT, &(struct sigaction){.sa_handler = on_interrupt}, NULL);
    for (uint64_t i = 0; err == 0 && i < seconds && !interrupted; i++) {
        tally_progress("recording, %llu s left (^C: show it now)",
                       (unsigned long long)(seconds - i));
        err = costs_take(mnt, 1000, s, why);
    }
    tally_progress("%s", "");
    return interrupted ? 0 : err;
}

/* Prints the rows as key=value, a line each. */
static void print_rows(const struct costs *s)
{
    CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
    for (size_t i = 0; i < s->count; i++) {
        const struct costs_row *r = &s->rows[i];
        const uint64_t n = histogram_count(&r->took);
        strbuf_adds(&out, "program=");
        command_add_word(&out, r->program);
        strbuf_addf(&out, " pid=%d ns=", r->pid);
        command_add_word(&out, r->ns);
        strbuf_addf(&out, " op=%s count=%llu total_us=%llu p50_us=%llu p99_us=%llu max_us=%llu\n",
                    r->op, (unsigned long long)n, (unsigned long long)r->took.sum_ns / 1000,
                    (unsigned long long)costs_quantile(&r->took, r->max_us, 0.5),
                    (unsigned long long)costs_quantile(&r->took, r->max_us, 0.99),
                    (unsigned long long)r->max_us);
    }
    tally_print(out.s, out.len);
}

static int print_costs(const struct costs *s, bool json)
{
    CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
    if (json) {
        json_t *all = profile_json(s);
        tally_print_json(all, JSON_INDENT(2));
        json_decref(all);
        return all ? 0 : tally_fail("out of memory");
    }
    if (!form_is_human()) {
        print_rows(s);
        return 0;
    }
    if (profile_text(s, TABLE_ROWS, form_call("profile", NULL, 0).width, &out) < 0) {
        return tally_fail("out of memory");
    }
    tally_print(out.s, out.len);
    return 0;
}

int cmd_profile_run(int argc, char **argv)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'}, {NULL, 0, NULL, 0}};
    CLEANUP_STRBUF struct strbuf why = STRBUF_INIT;
    struct costs s = COSTS_INIT;
    struct tally_mountinfo m;
    struct asked asked;
    uint64_t seconds = PROFILE_SECONDS;
    if (!read_options(argc, argv, options, &asked) ||
        !read_seconds(argc, argv, SECONDS_MAX, &seconds)) {
        return verbs_misuse();
    }
    int err = which_mount(&m);
    if (err < 0) {
        return which_mount_fail(err, &m);
    }
    err = record(m.point, seconds, &s, &why);
    const int code =
        err < 0 ? tally_fail("%s", why.s ? why.s : strerror(-err)) : print_costs(&s, asked.json);
    costs_release(&s);
    return code;
}

/* ---- top ---- */

int cmd_top_run(int argc, char **argv)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'}, {NULL, 0, NULL, 0}};
    CLEANUP_STRBUF struct strbuf why = STRBUF_INIT;
    struct tally_mountinfo m;
    struct asked asked;
    uint64_t seconds = 2;
    if (!read_options(argc, argv, options, &asked) || !read_seconds(argc, argv, 60, &seconds)) {
        return verbs_misuse();
    }
    if (asked.json || !isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO)) {
        return tally_fail("it draws on a terminal; `tally profile --json` does not");
    }
    int err = which_mount(&m);
    if (err < 0) {
        return which_mount_fail(err, &m);
    }
    err = top_run(m.point, (unsigned)seconds, &why);
    return err < 0 ? tally_fail("%s", why.s ? why.s : strerror(-err)) : 0;
}

/* ---- metrics ---- */

static void say_served(const char *host_and_port)
{
    printf("serving http://%s/metrics\n", host_and_port);
    fflush(stdout);
}

static int print_metrics(const char *mnt)
{
    CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
    int err = metrics_collect(mnt, &out);
    if (err < 0) {
        return tally_fail("%s", strerror(-err));
    }
    tally_print(out.s, out.len);
    return 0;
}

int cmd_metrics_run(int argc, char **argv)
{
    static const struct option options[] = {{"textfile", required_argument, NULL, 't'},
                                            {"listen", required_argument, NULL, 'l'},
                                            {"json", no_argument, NULL, 'j'},
                                            {NULL, 0, NULL, 0}};
    CLEANUP_STRBUF struct strbuf why = STRBUF_INIT;
    struct tally_mountinfo m;
    struct asked asked;
    if (!read_options(argc, argv, options, &asked) || optind != argc ||
        (asked.textfile && asked.listen)) {
        return verbs_misuse();
    }
    if (asked.json) {
        return tally_fail("these are in the format of Prometheus; .tally/stats.json has them");
    }
    int err = tally_mount ? which_mount(&m) : 0;
    if (err < 0) {
        return which_mount_fail(err, &m);
    }
    const char *mnt = tally_mount ? m.point : NULL;
    if (asked.textfile) {
        (void)umask(022); /* the collector is another user */
        err = metrics_to_file(mnt, asked.textfile);
        return err < 0 ? tally_fail("%s: %s", asked.textfile, strerror(-err)) : 0;
    }
    if (asked.listen) {
        err = metrics_serve(mnt, asked.listen, say_served, &why);
        return err < 0 ? tally_fail("%s", why.s ? why.s : strerror(-err)) : 0;
    }
    return print_metrics(mnt);
}

/* ---- doctor ---- */

static void print_findings(const struct doctor_finding *findings, size_t count)
{
    static const struct table_column columns[] = {
        {.title = ""}, {.title = ""}, {.title = "", .wraps = true}};
    CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
    struct table t;
    table_init(&t, columns, 3);
    for (size_t i = 0; i < count; i++) {
        CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
        const struct doctor_finding *f = &findings[i];
        strbuf_addf(&text, "%s%s%s", f->text.s, f->advice.len ? "; " : "",
                    f->advice.len ? f->advice.s : "");
        table_add(&t, (const char *[]){doctor_levels[f->level], f->subject, text.s});
    }
    table_print(&t, form_is_human() ? form_call("doctor", NULL, 0).width : 0, &out);
    table_release(&t);
    if (out.len > 0) {
        tally_print(out.s + 1, out.len - 1); /* without the empty line of titles */
    }
}

/* Writes the report to a new file. */
static int write_report(const char *path, json_t *report)
{
    char *text = report ? json_dumps(report, JSON_INDENT(2)) : NULL;
    CLEANUP_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int err = fd < 0 ? -errno : text ? io_write(fd, text, strlen(text)) : -ENOMEM;
    free(text);
    if (err < 0) {
        return tally_fail("%s: %s", path, strerror(-err));
    }
    printf("The report is in %s: numbers, and no names. Read it before you give it away.\n", path);
    return 0;
}

static int run_doctor(const struct tally_mountinfo *m, const struct asked *asked)
{
    struct doctor_finding findings[DOCTOR_CHECKS_MAX];
    struct doctor_case c;
    int code = 0;
    int err = doctor_gather(m->point, m->source, &c);
    if (err < 0) {
        doctor_case_release(&c);
        return tally_fail("%s does not answer: %s", m->point, strerror(-err));
    }
    const size_t count = doctor_check(&c.facts, findings);
    json_t *report =
        asked->json || asked->output ? doctor_report(&c, findings, count, TALLY_VERSION) : NULL;
    if (asked->json) {
        tally_print_json(report, JSON_INDENT(2));
    } else {
        print_findings(findings, count);
    }
    if (asked->output) {
        code = write_report(asked->output, report);
    }
    json_decref(report);
    doctor_release(findings, count);
    doctor_case_release(&c);
    return code;
}

int cmd_doctor_run(int argc, char **argv)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'},
                                            {"output", required_argument, NULL, 'o'},
                                            {NULL, 0, NULL, 0}};
    struct tally_mountinfo m;
    struct asked asked;
    if (!read_options(argc, argv, options, &asked) || optind != argc) {
        return verbs_misuse();
    }
    int err = which_mount(&m);
    return err < 0 ? which_mount_fail(err, &m) : run_doctor(&m, &asked);
}
