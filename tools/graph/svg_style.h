// SPDX-License-Identifier: Apache-2.0
/*
 * svg_style: how the elements of all pictures look, in light and in dark.
 *
 *     page, stripe, rule              what is behind, and lines between
 *     head, name, small, label, faint texts, which begin at x
 *     num, dim, right, big, middle    texts that end at x; the last one has its middle there
 *     node, snap, kept, gone, more    points of a tree by kind, and of several together
 *     link, lead, merge, undone, tip  lines: of descent, to an arrow, arrows, and their heads
 *     alone, shared, kepts, dead, meta, other, free    parts of a bar
 *     grid, curve, area, curve2, area2                 of a diagram
 */
#pragma once

extern const char svg_style[];
