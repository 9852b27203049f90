// SPDX-License-Identifier: Apache-2.0
/* ladder: see the header. */
#include "ladder.h"

#include "command.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Parses how many, 1 … LADDER_COUNT_MAX, without a leading zero. */
static int parse_count(const char *text, uint32_t *ret)
{
    uint32_t n = 0;

    for (const char *c = text; *c; c++) {
        if (*c < '0' || *c > '9' || *text == '0')
            return -EINVAL;
        n = n * 10 + (uint32_t)(*c - '0');
        if (n > LADDER_COUNT_MAX)
            return -EINVAL;
    }
    *ret = n;
    return n ? 0 : -EINVAL;
}

/* Parses one rung; `word` is changed. */
static int parse_rung(char *word, struct ladder_rung *ret)
{
    char *star = strchr(word, '*');
    int err;

    if (!star)
        return -EINVAL;
    *star = '\0';
    err = command_duration(word, &ret->interval);
    if (err == 0 && ret->interval < LADDER_INTERVAL_MIN)
        err = -EINVAL;
    return err < 0 ? err : parse_count(star + 1, &ret->count);
}

int ladder_parse(const char *text, struct ladder *ret)
{
    struct ladder l = {.count = 0};
    char copy[LADDER_TEXT_MAX + 1], *rest = copy, *word;

    if (strlen(text) > LADDER_TEXT_MAX)
        return -EINVAL;
    memcpy(copy, text, strlen(text) + 1);
    while ((word = strsep(&rest, " "))) {
        if (!*word)
            continue;
        if (l.count == LADDER_RUNGS_MAX || parse_rung(word, &l.v[l.count]) < 0)
            return -EINVAL;
        l.count++;
    }
    if (l.count == 0)
        return -EINVAL;
    *ret = l;
    return 0;
}

/* The period of a time, rounded down also before the epoch. */
static int64_t period_of(int64_t time, int64_t interval)
{
    return time / interval - (time % interval < 0);
}

/* Marks what one rung needs: from the newest period back, the first of each. */
static void mark_rung(const struct ladder_rung *r, const int64_t *times, size_t n, bool *needed)
{
    uint32_t left = r->count;

    for (size_t i = n; i > 0 && left > 0; i--) {
        int64_t period = period_of(times[i - 1], r->interval);

        if (i > 1 && period_of(times[i - 2], r->interval) == period)
            continue;
        needed[i - 1] = true;
        left--;
    }
}

void ladder_mark(const struct ladder *l, const int64_t *times, size_t n, bool *needed)
{
    for (size_t i = 0; i < n; i++)
        needed[i] = i == n - 1;
    for (size_t i = 0; i < l->count; i++)
        mark_rung(&l->v[i], times, n, needed);
}

bool ladder_is_due(const struct ladder *l, const int64_t *times, size_t n, int64_t now)
{
    int64_t shortest = l->v[0].interval;

    for (size_t i = 1; i < l->count; i++)
        if (l->v[i].interval < shortest)
            shortest = l->v[i].interval;
    for (size_t i = 0; i < n; i++)
        if (period_of(times[i], shortest) == period_of(now, shortest))
            return false;
    return true;
}
