// SPDX-License-Identifier: Apache-2.0
/* Claims of family.h, branches.h and lanes.h: each node has its place, and none covers another. */
#include "branches.h"
#include "family.h"
#include "graphs.h"
#include "lanes.h"
#include "text_fit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct graph g = GRAPH_INIT;
static struct family f;

static void release(void)
{
    family_release(&f);
    graph_release(&g);
}

TestSuite(family, .fini = release);

static void build(const char *of, bool all)
{
    family_release(&f);
    cr_assert_eq(family_build(&g, &(struct family_call){.of = of, .all = all}, &f), 0);
}

static const char *name_of(size_t row)
{
    return g.nodes[f.rows[row].node].name;
}

Test(family, a_child_stands_below_its_parent_in_the_order_of_changes)
{
    size_t main_ns = add_node(&g, "main", GRAPH_NAMESPACE, GRAPH_NONE, 1);
    size_t a = add_node(&g, "a", GRAPH_NAMESPACE, main_ns, 1);
    add_node(&g, "b", GRAPH_NAMESPACE, main_ns, 1);
    add_node(&g, "a2", GRAPH_NAMESPACE, a, 1);
    build(NULL, false);
    cr_assert_eq(f.count, 4);
    cr_assert_str_eq(name_of(0), "main");
    cr_assert_str_eq(name_of(1), "a");
    cr_assert_str_eq(name_of(2), "a2");
    cr_assert_str_eq(name_of(3), "b");
    cr_assert_eq(f.rows[2].depth, 2);
    cr_assert(f.rows[3].last && !f.rows[1].last);
}

Test(family, what_is_gone_is_there_only_for_its_descendants)
{
    size_t gone = add_node(&g, "gone", GRAPH_GONE, GRAPH_NONE, GRAPH_UNKNOWN);
    add_node(&g, "gone too", GRAPH_GONE, GRAPH_NONE, GRAPH_UNKNOWN);
    add_node(&g, "child", GRAPH_NAMESPACE, gone, 1);
    build(NULL, false);
    cr_assert_eq(f.count, 2);
    cr_assert_str_eq(name_of(0), "gone");
}

Test(family, of_one_namespace_it_has_all_with_the_same_ancestor)
{
    size_t main_ns = add_node(&g, "main", GRAPH_NAMESPACE, GRAPH_NONE, 1);
    add_node(&g, "other", GRAPH_NAMESPACE, GRAPH_NONE, 1);
    add_node(&g, "a", GRAPH_NAMESPACE, main_ns, 1);
    build("a", false);
    cr_assert_eq(f.count, 2);
    family_release(&f);
    cr_assert_eq(family_build(&g, &(struct family_call){.of = "none"}, &f), -ENOENT);
}

Test(family, of_too_many_children_those_that_hold_least_share_a_row)
{
    size_t main_ns = add_node(&g, "main", GRAPH_NAMESPACE, GRAPH_NONE, 1);
    for (int i = 0; i < 400; i++) {
        char name[16];
        snprintf(name, sizeof(name), "b%d", i);
        add_node(&g, name, GRAPH_NAMESPACE, main_ns, (uint64_t)i);
    }
    build(NULL, false);
    cr_assert_eq(f.count, 1 + FAMILY_NAMESPACES_MOST);
    const struct family_row *rest = &f.rows[f.count - 1];
    cr_assert_eq(rest->several, 400 - (FAMILY_NAMESPACES_MOST - 1));
    cr_assert_eq(rest->alone, 341 * 340 / 2);
    cr_assert_eq(f.row_of[main_ns + 400], f.count - 2);
    build(NULL, true);
    cr_assert_eq(f.count, 401);
}

/* ---- properties of random forests ---- */

Test(family, each_node_that_is_there_is_counted_once)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        size_t there = 0, counted = 0;
        graph_release(&g);
        make_random(&g, 1 + seed * 7, seed);
        build(NULL, seed % 2);
        for (size_t i = 0; i < g.count; i++) {
            there += g.nodes[i].kind != GRAPH_GONE;
        }
        for (size_t i = 0; i < f.count; i++) {
            const struct family_row *r = &f.rows[i];
            counted += r->kind == GRAPH_GONE ? 0 : r->several > 0 ? r->several : 1;
            cr_assert(r->parent == GRAPH_NONE || r->parent < i);
            cr_assert_eq(r->depth, r->parent == GRAPH_NONE ? 0 : f.rows[r->parent].depth + 1);
        }
        cr_assert_eq(counted, there, "seed %llu", (unsigned long long)seed);
    }
}

/* No two boxes of a picture overlap: rows are below each other, and of one row the name, which is
 * shortened, ends before the arrows, and the bar before the numbers. */
Test(family, no_box_reaches_into_another)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct branches_place p, before = {.top = 0};
        graph_release(&g);
        make_random(&g, 1 + seed * 5, seed);
        build(NULL, true);
        struct branches_view v = branches_view_of(&g, &f, NULL);
        for (size_t i = 0; i < f.count; i++) {
            struct strbuf fit = STRBUF_INIT;
            branches_place(&v, i, &p);
            text_fit(&fit, g.nodes[f.rows[i].node].name, 13, p.name_room);
            cr_assert_geq(p.top, before.top + (i > 0 ? BRANCHES_ROW : 0));
            cr_assert_gt(p.name_x, p.node_x + 5);
            cr_assert_gt(p.name_room, 150);
            cr_assert_leq(p.name_x + text_width(fit.s, 13), 500);
            cr_assert_geq(p.bar_x, 600);
            cr_assert_leq(p.bar_x + p.alone_width + p.shared_width, 860);
            strbuf_release(&fit);
            before = p;
        }
    }
}

Test(family, the_same_graph_gives_the_same_picture)
{
    struct strbuf once = STRBUF_INIT, again = STRBUF_INIT;
    make_random(&g, 300, 7);
    build(NULL, false);
    struct branches_view v = branches_view_of(&g, &f, "a/b");
    branches_svg(&v, &once);
    build(NULL, false);
    v = branches_view_of(&g, &f, "a/b");
    branches_svg(&v, &again);
    cr_assert_eq(strbuf_error(&once), 0);
    cr_assert_str_eq(once.s, again.s);
    cr_assert_null(strstr(once.s, "NaN"));
    strbuf_release(&once);
    strbuf_release(&again);
}

/* ---- lanes ---- */

Test(family, lines_that_meet_have_lanes_of_their_own)
{
    struct lane v[] = {{.from = 0, .to = 9},
                       {.from = 3, .to = 4},
                       {.from = 4, .to = 6},
                       {.from = 5, .to = 8},
                       {.from = 20, .to = 30}};
    lanes_assign(v, 5, 7);
    for (size_t i = 0; i < 5; i++) {
        for (size_t k = 0; k < i; k++) {
            cr_assert(v[i].number != v[k].number || v[i].from > v[k].to || v[k].from > v[i].to);
        }
    }
    cr_assert_eq(v[4].number, 0);
}

Test(family, there_are_no_more_lanes_than_allowed)
{
    struct lane v[100];
    for (size_t i = 0; i < 100; i++) {
        v[i] = (struct lane){.from = i, .to = 200};
    }
    lanes_assign(v, 100, 7);
    for (size_t i = 0; i < 100; i++) {
        cr_assert_eq(v[i].number, i < 6 ? (int)i : 6);
    }
}
