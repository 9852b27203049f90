// SPDX-License-Identifier: Apache-2.0
/* Claims of past.h: who was made of whom is known whatever became of their names. */
#include "graph_read.h"
#include "graphs.h"
#include "past.h"

#include <string.h>

static struct graph g = GRAPH_INIT;
static struct past p;

static void begin(void)
{
    cr_assert_eq(past_begin(&p, &g), 0);
}

static void release(void)
{
    if (p.g) {
        past_end(&p);
    }
    graph_release(&g);
}

TestSuite(past, .init = begin, .fini = release);

static int apply(void *ctx, const struct command *line)
{
    (void)ctx;
    return past_apply(&p, line);
}

static enum graph_kind kind;
static int take(void *ctx, const struct command *line)
{
    size_t node;
    (void)ctx;
    return past_take(&p, kind, line, &node);
}

/* Plays operations, the oldest last, as `history` prints them. */
static void play(const char *newest_first)
{
    struct strbuf body = STRBUF_INIT;
    strbuf_adds(&body, newest_first);
    cr_assert_eq(graph_each_line(&body, true, apply, NULL), 0);
    strbuf_release(&body);
}

static void there(enum graph_kind what, const char *lines)
{
    struct strbuf body = STRBUF_INIT;
    kind = what;
    strbuf_adds(&body, lines);
    cr_assert_eq(graph_each_line(&body, false, take, NULL), 0);
    strbuf_release(&body);
}

/* The name of what a node was made of; "": of nothing. */
static const char *parent_of(enum graph_kind what, const char *name)
{
    size_t at = graph_find(&g, what, name);
    cr_assert_neq(at, GRAPH_NONE, "there is no %s", name);
    return g.nodes[at].parent == GRAPH_NONE ? "" : g.nodes[g.nodes[at].parent].name;
}

Test(past, a_branch_descends_from_what_it_was_made_of)
{
    play("seq=2 op=branch ns=dev from=main state=done\nseq=1 op=create ns=main state=done\n");
    there(GRAPH_NAMESPACE, "ns=dev logical=9 shared=4 frees=5 tree=1\nns=main\n");
    past_end(&p);
    cr_assert_str_eq(parent_of(GRAPH_NAMESPACE, "dev"), "main");
    const struct graph_node *dev = &g.nodes[graph_find(&g, GRAPH_NAMESPACE, "dev")];
    cr_assert_eq(dev->alone, 6);
    cr_assert_eq(dev->shared, 4);
    cr_assert_eq(dev->seq, 2);
}

Test(past, renames_and_exchanges_are_followed)
{
    play("seq=6 op=exchange ns=trunk with=other\nseq=5 op=create ns=other\n"
         "seq=4 op=branch ns=dev from=trunk@v1\nseq=3 op=rename ns=main to=trunk\n"
         "seq=2 op=snapshot ns=main snapshot=v1\nseq=1 op=create ns=main\n");
    there(GRAPH_NAMESPACE, "ns=trunk\nns=other\nns=dev\n");
    there(GRAPH_SNAPSHOT, "other@v1 seq=2\n");
    past_end(&p);
    cr_assert_str_eq(parent_of(GRAPH_NAMESPACE, "dev"), "other@v1");
    cr_assert_str_eq(parent_of(GRAPH_SNAPSHOT, "other@v1"), "other");
    cr_assert_str_eq(parent_of(GRAPH_NAMESPACE, "other"), "");
    cr_assert_eq(graph_find(&g, GRAPH_NAMESPACE, "main"), GRAPH_NONE);
}

Test(past, what_was_dropped_is_found_by_its_label)
{
    play("seq=9 op=drop ns=dev\nseq=7 op=branch ns=dev from=two\nseq=6 op=drop ns=dev\n"
         "seq=3 op=branch ns=dev from=one\nseq=2 op=create ns=two\nseq=1 op=create ns=one\n");
    there(GRAPH_NAMESPACE, "ns=one\nns=two\n");
    there(GRAPH_TRASH, "dev@dropped-8 frees=1\ndev@dropped-3 frees=2\n");
    past_end(&p);
    cr_assert_str_eq(parent_of(GRAPH_TRASH, "dev@dropped-8"), "two");
    cr_assert_str_eq(parent_of(GRAPH_TRASH, "dev@dropped-3"), "one");
}

Test(past, what_is_undone_counts_as_done_by_its_own_operation)
{
    play("seq=5 op=undo of=4 did=undrop ns=dev\nseq=4 op=drop ns=dev\n"
         "seq=3 op=branch ns=dev from=main\nseq=1 op=create ns=main\n");
    there(GRAPH_NAMESPACE, "ns=main\nns=dev\n");
    past_end(&p);
    cr_assert_str_eq(parent_of(GRAPH_NAMESPACE, "dev"), "main");
}

Test(past, a_merge_is_an_edge_which_undo_marks_and_redo_clears)
{
    const char *merged = "seq=3 op=commit ns=main from=dev\nseq=2 op=branch ns=dev from=main\n"
                         "seq=1 op=create ns=main\n";
    play(merged);
    cr_assert_eq(g.edge_count, 1);
    cr_assert(g.edges[0].commit && !g.edges[0].undone);
    play("seq=4 op=undo of=3 did=commit ns=main from=dev\n");
    cr_assert(g.edges[0].undone);
    play("seq=5 op=redo of=3 did=commit ns=main from=dev\n");
    cr_assert_not(g.edges[0].undone);
    cr_assert_eq(g.edge_count, 1);
}

Test(past, what_the_history_does_not_know_stands_alone_and_what_is_not_listed_is_gone)
{
    play("seq=8 op=branch ns=dev from=lost\n");
    there(GRAPH_NAMESPACE, "ns=dev\nns=old\n");
    past_end(&p);
    cr_assert_str_eq(parent_of(GRAPH_NAMESPACE, "dev"), "lost");
    cr_assert_str_eq(parent_of(GRAPH_GONE, "lost"), "");
    cr_assert_str_eq(parent_of(GRAPH_NAMESPACE, "old"), "");
}

Test(past, lines_that_say_nothing_known_are_passed_over)
{
    play("\"unfinished\nseq=3 op=teleport ns=a\nsome words\n\nseq=2 op=branch\nop=rename ns=x\n");
    there(GRAPH_NAMESPACE, "frees=1\n");
    cr_assert_eq(g.count, 0);
}
