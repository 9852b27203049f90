// SPDX-License-Identifier: Apache-2.0
/*
 * Tests of the table of settings.
 */
#include "settings.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

static int64_t parsed(enum setting which, const char *text)
{
    CLEANUP_STRBUF struct strbuf why = STRBUF_INIT;
    int64_t value = -1;
    cr_assert_eq(setting_parse(which, text, &value, &why), 0, "%s", why.s);
    return value;
}

static void refused(enum setting which, const char *text, int err, const char *sentence)
{
    CLEANUP_STRBUF struct strbuf why = STRBUF_INIT;
    int64_t value = -77;
    cr_assert_eq(setting_parse(which, text, &value, &why), err, "'%s'", text);
    cr_assert_eq(value, -77, "a failure leaves the value alone");
    cr_assert(strstr(why.s, sentence), "'%s' lacks '%s'", why.s, sentence);
}

Test(settings, every_one_has_a_name_of_its_own_a_range_and_a_default_in_it)
{
    for (int i = 0; i < SETTING_COUNT; i++) {
        const struct setting_info *info = &setting_infos[i];
        cr_assert_not_null(info->key, "setting %d", i);
        cr_assert_eq(setting_find(info->key), i, "%s", info->key);
        cr_assert(info->min <= info->standard && info->standard <= info->max, "%s", info->key);
        cr_assert(info->what && *info->what, "%s", info->key);
    }
    cr_assert_eq(setting_find("flush"), -EINVAL);
    cr_assert_eq(setting_find(""), -EINVAL);
}

Test(settings, a_new_store_has_the_defaults)
{
    struct settings s;
    settings_init(&s);
    cr_assert_eq(settings_get(&s, SET_FLUSH_INTERVAL), INT64_C(5000000000));
    cr_assert_eq(settings_get(&s, SET_PACK_LIMIT), 131072);
    cr_assert_eq(settings_get(&s, SET_MAX_IN_FLIGHT_JOBS), 0);
}

Test(settings, values_are_of_their_kind)
{
    cr_assert_eq(parsed(SET_FLUSH_INTERVAL, "250ms"), INT64_C(250000000));
    cr_assert_eq(parsed(SET_PAGE_CACHE, "1G"), INT64_C(1) << 30);
    cr_assert_eq(parsed(SET_MAX_IN_FLIGHT_JOBS, "3"), 3);
    refused(SET_FLUSH_INTERVAL, "5", -EINVAL, "flush_interval is a duration");
    refused(SET_PAGE_CACHE, "64m", -EINVAL, "page_cache is a size");
    refused(SET_MAX_IN_FLIGHT_JOBS, "3K", -EINVAL, "max_in_flight_jobs is a decimal number");
    refused(SET_SEAL_DELAY, "", -EINVAL, "not \"\"");
    cr_assert_eq(parsed(SET_SCRUB_RATE, "8M/s"), INT64_C(8) << 20);
    cr_assert_eq(parsed(SET_SCRUB_RATE, "8M"), INT64_C(8) << 20);
    refused(SET_SCRUB_RATE, "8M/h", -EINVAL, "scrub_rate is a rate");
    refused(SET_SCRUB_RATE, "/s", -EINVAL, "scrub_rate is a rate");
    refused(SET_SCRUB_RATE, "M/s", -EINVAL, "scrub_rate is a rate");
    refused(SET_SCRUB_RATE, "100K/s", -ERANGE, "scrub_rate is between 1M/s and 64G/s, not 100K/s");
}

Test(settings, some_values_are_words)
{
    char text[32];

    cr_assert_eq(parsed(SET_ON_FATAL, "readonly"), ON_FATAL_READONLY);
    cr_assert_eq(parsed(SET_ON_FATAL, "exit"), ON_FATAL_EXIT);
    refused(SET_ON_FATAL, "abort", -EINVAL, "on_fatal is readonly or exit, not abort");
    refused(SET_ON_FATAL, "0", -EINVAL, "on_fatal is readonly or exit, not 0");
    setting_format(SET_ON_FATAL, ON_FATAL_EXIT, text);
    cr_assert_str_eq(text, "exit");
}

Test(settings, the_ends_of_a_range_are_in_it_and_what_is_beyond_is_not)
{
    cr_assert_eq(parsed(SET_PACK_LIMIT, "4K"), 4096);
    cr_assert_eq(parsed(SET_PACK_LIMIT, "128K"), 131072);
    refused(SET_PACK_LIMIT, "4095", -ERANGE, "between 4K and 128K, not 4095");
    refused(SET_PACK_LIMIT, "131073", -ERANGE, "between 4K and 128K");
    refused(SET_MAX_IN_FLIGHT_JOBS, "18446744073709551615", -ERANGE, "between 0 and 256");
    refused(SET_VIEW_WAIT, "61s", -ERANGE, "between 0s and 60s");
}

Test(settings, what_is_written_is_read_back)
{
    for (int i = 0; i < SETTING_COUNT; i++) {
        const int64_t values[] = {setting_infos[i].min, setting_infos[i].standard,
                                  setting_infos[i].max};
        for (int k = 0; k < 3; k++) {
            char text[32];
            setting_format((enum setting)i, values[k], text);
            cr_assert_eq(parsed((enum setting)i, text), values[k], "%s", text);
        }
    }
}

Test(settings, a_description_says_it_all_in_a_line)
{
    CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
    setting_describe(SET_FLUSH_INTERVAL, INT64_C(1000000000), &out);
    cr_assert_str_eq(out.s, "flush_interval=1s default=5s min=100ms max=1h all changes are "
                            "made durable at least this often");
}

static void told(void *ctx, int64_t value)
{
    *(int64_t *)ctx += value;
}

Test(settings, who_watches_one_is_told_of_it_and_of_no_other)
{
    struct settings s;
    int64_t one = 0, another = 0;
    settings_init(&s);
    settings_watch(&s, SET_BUFFERS, told, &one);
    settings_watch(&s, SET_BUFFERS, told, &another);
    settings_put(&s, SET_PAGE_CACHE, 7);
    settings_put(&s, SET_BUFFERS, 5);
    cr_assert_eq(one, 5);
    cr_assert_eq(another, 5);
    cr_assert_eq(settings_get(&s, SET_BUFFERS), 5);
}
