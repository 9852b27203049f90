// SPDX-License-Identifier: Apache-2.0
#include "units.h"

#include "clock.h"
#include "command.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define MINUTE 60
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

char *unit_bytes(uint64_t bytes, char out[static UNIT_TEXT])
{
    static const char *const prefixes[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double x = (double)bytes / 1024;
    unsigned i = 0;
    if (bytes < 1024) {
        snprintf(out, UNIT_TEXT, "%u B", (unsigned)bytes);
        return out;
    }
    while (x >= 999.5 && i + 1 < sizeof(prefixes) / sizeof(*prefixes)) {
        x /= 1024;
        i++;
    }
    const bool tenths = x < 99.95 && (uint64_t)(x * 10 + 0.5) % 10 != 0;
    snprintf(out, UNIT_TEXT, "%.*f %s", tenths ? 1 : 0, x, prefixes[i]);
    return out;
}

char *unit_count(uint64_t n, char out[static UNIT_TEXT])
{
    char digits[24];
    const size_t len = (size_t)snprintf(digits, sizeof(digits), "%llu", (unsigned long long)n);
    size_t to = 0;
    for (size_t i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0) {
            out[to++] = ',';
        }
        out[to++] = digits[i];
    }
    out[to] = '\0';
    return out;
}

char *unit_noun(uint64_t n, const char *noun, char out[static UNIT_TEXT])
{
    char number[UNIT_TEXT];
    const size_t singular = strcspn(noun, "|");
    const char *amount = n == 0 ? "no" : unit_count(n, number);
    if (n == 1) {
        snprintf(out, UNIT_TEXT, "%.30s %.*s", amount, singular < 60 ? (int)singular : 60, noun);
    } else if (noun[singular]) {
        snprintf(out, UNIT_TEXT, "%.30s %.60s", amount, noun + singular + 1);
    } else {
        snprintf(out, UNIT_TEXT, "%.30s %.60ss", amount, noun);
    }
    return out;
}

/* "2 d 4 h"; the second unit is left out if there are none of it. */
static char *two_units(int64_t seconds, int64_t large, const char *large_name, int64_t small,
                       const char *small_name, char out[static UNIT_TEXT])
{
    const long long n = seconds / large, rest = seconds % large / small;
    if (rest) {
        snprintf(out, UNIT_TEXT, "%lld %s %lld %s", n, large_name, rest, small_name);
    } else {
        snprintf(out, UNIT_TEXT, "%lld %s", n, large_name);
    }
    return out;
}

char *unit_duration(int64_t ms, char out[static UNIT_TEXT])
{
    const int64_t seconds = ms / 1000;
    if (ms < 1000) {
        snprintf(out, UNIT_TEXT, "%d ms", ms < 0 ? 0 : (int)ms);
    } else if (ms < 10000 && ms % 1000 >= 100) {
        snprintf(out, UNIT_TEXT, "%d.%d s", (int)seconds, (int)(ms % 1000 / 100));
    } else if (seconds < MINUTE) {
        snprintf(out, UNIT_TEXT, "%d s", (int)seconds);
    } else if (seconds < HOUR) {
        two_units(seconds, MINUTE, "min", 1, "s", out);
    } else if (seconds < DAY) {
        two_units(seconds, HOUR, "h", MINUTE, "min", out);
    } else {
        two_units(seconds, DAY, "d", HOUR, "h", out);
    }
    return out;
}

/* The time as local time, and in *ret_seconds. False: it is no time. */
static bool to_local(const char *stamp, char out[static UNIT_TEXT], int64_t *ret_seconds)
{
    int64_t ns;
    struct tm tm;
    if (command_time(stamp, &ns) < 0) {
        snprintf(out, UNIT_TEXT, "%s", stamp);
        return false;
    }
    *ret_seconds = ns / NSEC_PER_SEC;
    const time_t t = (time_t)*ret_seconds;
    if (!localtime_r(&t, &tm) || !strftime(out, UNIT_TEXT, "%F %H:%M", &tm)) {
        snprintf(out, UNIT_TEXT, "%s", stamp);
        return false;
    }
    return true;
}

char *unit_moment(const char *stamp, char out[static UNIT_TEXT])
{
    int64_t seconds;
    (void)to_local(stamp, out, &seconds);
    return out;
}

/* A duration in one unit, rounded. */
static char *one_unit(int64_t seconds, char out[static UNIT_TEXT])
{
    static const struct {
        int64_t seconds, most; /* so many of it are shown at most */
        const char *name;
    } units[] = {{1, MINUTE - 1, "s"}, {MINUTE, 59, "min"}, {HOUR, 23, "h"}, {DAY, INT64_MAX, "d"}};
    size_t i = 0;
    while ((seconds + units[i].seconds / 2) / units[i].seconds > units[i].most) {
        i++;
    }
    snprintf(out, UNIT_TEXT, "%lld %s",
             (long long)((seconds + units[i].seconds / 2) / units[i].seconds), units[i].name);
    return out;
}

char *unit_ago(const char *stamp, int64_t now, char out[static UNIT_TEXT])
{
    char distance[UNIT_TEXT];
    int64_t seconds;
    if (!to_local(stamp, out, &seconds)) {
        return out;
    }
    const int64_t ago = now - seconds;
    one_unit(ago < 0 ? -ago : ago, distance);
    snprintf(out, UNIT_TEXT, ago == 0 ? "now" : ago > 0 ? "%.30s ago" : "in %.30s", distance);
    return out;
}

char *unit_time(const char *stamp, int64_t now, char out[static UNIT_TEXT])
{
    char distance[UNIT_TEXT];
    int64_t seconds;
    if (to_local(stamp, out, &seconds)) {
        const size_t len = strlen(out);
        snprintf(out + len, UNIT_TEXT - len, " (%.40s)", unit_ago(stamp, now, distance));
    }
    return out;
}
