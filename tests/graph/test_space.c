// SPDX-License-Identifier: Apache-2.0
/* Claims of space.h and graph_data.h: the largest come first, and sizes read well. */
#include "graphs.h"
#include "space.h"

#include <string.h>

static struct graph g = GRAPH_INIT;
static struct space_rows rows;

static void release(void)
{
    space_rows_release(&rows);
    graph_release(&g);
}

TestSuite(space, .fini = release);

Test(space, namespaces_are_sorted_by_what_they_hold_alone_then_share_then_by_name)
{
    add_node(&g, "b", GRAPH_NAMESPACE, GRAPH_NONE, 5);
    add_node(&g, "small", GRAPH_NAMESPACE, GRAPH_NONE, 1);
    add_node(&g, "a", GRAPH_NAMESPACE, GRAPH_NONE, 5);
    add_node(&g, "shares", GRAPH_NAMESPACE, GRAPH_NONE, 5);
    g.nodes[3].shared = 9;
    add_node(&g, "no namespace", GRAPH_SNAPSHOT, GRAPH_NONE, 99);
    cr_assert_eq(space_rows_of(&g, false, &rows), 0);
    const char *wanted[] = {"shares", "a", "b", "small"};
    cr_assert_eq(rows.namespaces, 4);
    for (size_t i = 0; i < 4; i++) {
        cr_assert_str_eq(rows.v[i].name, wanted[i]);
    }
    cr_assert_eq(rows.scale, 14);
}

Test(space, the_last_of_too_many_share_a_row)
{
    for (int i = 0; i < 100; i++) {
        char name[8];
        snprintf(name, sizeof(name), "n%d", i);
        add_node(&g, name, GRAPH_NAMESPACE, GRAPH_NONE, 10);
    }
    cr_assert_eq(space_rows_of(&g, false, &rows), 0);
    cr_assert_eq(rows.namespaces, SPACE_ROWS_MOST);
    cr_assert_eq(rows.v[rows.namespaces - 1].several, 100 - SPACE_ROWS_MOST + 1);
    cr_assert_eq(rows.v[rows.namespaces - 1].alone, 10 * (100 - SPACE_ROWS_MOST + 1));
    space_rows_release(&rows);
    cr_assert_eq(space_rows_of(&g, true, &rows), 0);
    cr_assert_eq(rows.namespaces, 100);
}

Test(space, an_empty_store_is_drawn_too)
{
    struct strbuf out = STRBUF_INIT;
    cr_assert_eq(space_rows_of(&g, false, &rows), 0);
    space_svg(&g, &rows, NULL, &out);
    space_text(&g, &rows, &out);
    cr_assert_eq(strbuf_error(&out), 0);
    strbuf_release(&out);
}
