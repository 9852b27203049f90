// SPDX-License-Identifier: Apache-2.0
/* Claims of growth_chart.h: whatever the samples are, the curves stay in their panels. */
#include "growth_chart.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct growth_points points;
static struct strbuf out = STRBUF_INIT;

static void release(void)
{
    growth_points_release(&points);
    strbuf_release(&out);
}

TestSuite(growth_chart, .fini = release);

/* So many samples, an hour apart, that grow. */
static void make(size_t count)
{
    points.v = calloc(count + 1, sizeof(*points.v));
    points.count = points.room = count;
    for (size_t i = 0; i < count; i++) {
        points.v[i].time = (INT64_C(1767225600) + (int64_t)i * 3600) * 1000000000;
        for (size_t k = 0; k < GROWTH_FIGURES; k++) {
            points.v[i].v[k] = (i + 1) * (i % 7 + 5) * (k + 1) * (k < 3 ? 1u << 24 : 1);
        }
    }
}

Test(growth_chart, a_scale_is_round_and_holds_the_figure)
{
    for (uint64_t n = 0; n < UINT64_MAX / 3; n = n * 2 + n / 7 + 1) {
        cr_assert_geq(growth_scale(n, 0), n);
        cr_assert_geq(growth_scale(n, 1), n);
        cr_assert_geq(growth_scale(n, 1), 4);
    }
    cr_assert_geq(growth_scale(UINT64_MAX - 1, 1), UINT64_MAX - 1);
    cr_assert_eq(growth_scale(1000, 0), 1000);
    cr_assert_eq(growth_scale(61, 0), 80);
    cr_assert_eq(growth_scale(5000, 1), 8 * 1024);
    cr_assert_eq(growth_scale(900 * 1024, 1), 1024 * 1024);
}

/* Looks at each point "Mx y" or "Lx y" of the curves. */
static size_t count_points(void)
{
    size_t n = 0;
    const char *path = out.s;
    while ((path = strstr(path, "class=\"curve"))) {
        int x, y, before = 0;
        for (path = strstr(path, "d=\"") + 3; *path != '"'; n++) {
            cr_assert(*path == 'M' || *path == 'L');
            cr_assert_eq(sscanf(path + 1, "%d %d", &x, &y), 2);
            cr_assert(x >= 128 && x <= 850 && x >= before && y >= 112 && y <= 112 + 5 * 140 + 96);
            before = x;
            path += 1 + strspn(path + 1, "0123456789 ");
        }
    }
    return n;
}

Test(growth_chart, curves_go_to_the_right_and_stay_in_their_panels)
{
    make(500);
    growth_svg(&points, "a/b", &out);
    cr_assert_eq(count_points(), 500 * GROWTH_FIGURES);
}

Test(growth_chart, a_figure_that_is_not_known_is_passed_over)
{
    make(50);
    for (size_t i = 0; i < 50; i += 2) {
        points.v[i].v[GROWTH_STORED] = GROWTH_UNKNOWN;
    }
    growth_svg(&points, NULL, &out);
    cr_assert_eq(count_points(), 50 * GROWTH_FIGURES - 25);
}

Test(growth_chart, the_largest_figures_are_drawn)
{
    make(5);
    points.v[3].v[GROWTH_LOGICAL] = UINT64_MAX - 1;
    points.v[4].v[GROWTH_INODES] = UINT64_MAX - 1;
    growth_svg(&points, NULL, &out);
    cr_assert_eq(count_points(), 5 * GROWTH_FIGURES);
    growth_text(&points, &out);
    cr_assert_eq(strbuf_error(&out), 0);
}

Test(growth_chart, a_store_without_a_sample_or_with_one_is_drawn)
{
    growth_svg(&points, NULL, &out);
    growth_text(&points, &out);
    cr_assert(strstr(out.s, "has taken no sample yet"));
    make(1);
    growth_svg(&points, NULL, &out);
    growth_text(&points, &out);
    cr_assert(strstr(out.s, "One sample"));
    cr_assert_null(strstr(out.s, "nan"));
}
