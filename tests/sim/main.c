// SPDX-License-Identifier: Apache-2.0
/*
 * main: several stores on one pool, step by step.
 *
 *     sim [--seed S | --seeds A..B] [--steps N] [--nodes K] [--trace] [--break RULE]
 *
 * Each seed is one run. A failure says which seed and step it was, and the last steps; the same
 * seed with --trace tells all of them. With --break one rule of safety is off, and it is a failure
 * when all seeds go well.
 */
#include "sim.h"
#include "report.h"
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TRACE_SHOWN 12000 /* bytes */

static unsigned nodes = 3;

void say(const char *fmt, ...)
{
    char line[300];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    if (sim.tell)
        fprintf(stderr, "%6llu  %s\n", (unsigned long long)sim.step, line);
    else
        strbuf_addf(&sim.trace, "%6llu  %s\n", (unsigned long long)sim.step, line);
}

static void tell_reports(void)
{
    char text[REPORT_KEEP][REPORT_TEXT];
    size_t n = report_recent(REPORT_NOTE, text, REPORT_KEEP);

    for (size_t i = 0; i < n && i < 12; i++)
        fprintf(stderr, "  reported: %s\n", text[i]);
}

_Noreturn void fail(const char *file, int line, const char *fmt, ...)
{
    size_t len = sim.trace.len;
    va_list ap;

    if (len)
        fputs(sim.trace.s + (len > TRACE_SHOWN ? len - TRACE_SHOWN : 0), stderr);
    tell_reports();
    fprintf(stderr, "%s:%d: ", file, line);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, "\nseed %llu, step %llu: sim --seed %llu --steps %llu --nodes %u%s%s --trace\n",
            (unsigned long long)sim.seed, (unsigned long long)sim.step,
            (unsigned long long)sim.seed, (unsigned long long)sim.steps, nodes,
            sim_break ? " --break " : "", sim_break ? sim_break : "");
    if (!sim_break)
        abort();
    printf("caught: %s, by seed %llu at step %llu\n", sim_break, (unsigned long long)sim.seed,
           (unsigned long long)sim.step);
    fflush(stdout);
    _exit(0);
}

static void tell_counts(void)
{
#define COUNT(what) fprintf(stdout, " " #what "=%llu", (unsigned long long)sim.count.what)
    printf("seed %llu:", (unsigned long long)sim.seed);
    COUNT(changes), COUNT(flushes), COUNT(reports), COUNT(cycles), COUNT(paused), COUNT(collected);
    COUNT(dedup), COUNT(moved), COUNT(deaths), COUNT(power), COUNT(failed), COUNT(shorts),
        COUNT(late);
    COUNT(jumps), COUNT(joined), COUNT(retired), COUNT(checks);
    putchar('\n');
    fflush(stdout);
}

static int usage(void)
{
    fprintf(stderr, "usage: sim [--seed S | --seeds A..B] [--steps N] [--nodes K] [--trace] "
                    "[--break RULE]\nrules:");
    for (size_t i = 0; break_names[i]; i++)
        fprintf(stderr, " %s", break_names[i]);
    fputc('\n', stderr);
    return 2;
}

static bool is_rule(const char *name)
{
    for (size_t i = 0; break_names[i]; i++)
        if (strcmp(break_names[i], name) == 0)
            return true;
    return false;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"seed", 1, NULL, 's'},
                                            {"seeds", 1, NULL, 'r'},
                                            {"steps", 1, NULL, 'n'},
                                            {"nodes", 1, NULL, 'k'},
                                            {"trace", 0, NULL, 't'},
                                            {"break", 1, NULL, 'b'},
                                            {0}};
    unsigned long long from = 1, to = 1, steps = 2000;
    int o;

    while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (o == 's')
            from = to = strtoull(optarg, NULL, 0);
        else if (o == 'r' && sscanf(optarg, "%llu..%llu", &from, &to) != 2)
            return usage();
        else if (o == 'n')
            steps = strtoull(optarg, NULL, 0);
        else if (o == 'k')
            nodes = (unsigned)strtoul(optarg, NULL, 0);
        else if (o == 't')
            sim.tell = true;
        else if (o == 'b')
            sim_break = optarg;
        else if (o == '?')
            return usage();
    }
    if (nodes < 1 || nodes > NODES_MAX || (sim_break && !is_rule(sim_break)))
        return usage();
    for (unsigned long long seed = from; seed <= to; seed++) {
        run(seed, steps, nodes);
        tell_counts();
    }
    if (sim_break)
        fprintf(stderr, "not caught: %s\n", sim_break);
    return sim_break ? 1 : 0;
}
