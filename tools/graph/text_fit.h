// SPDX-License-Identifier: Apache-2.0
/*
 * text_fit: names and sentences made fit to be drawn: in a picture, whose text has to be UTF-8
 * without control characters, and on a terminal.
 *
 * Widths in a picture are estimated, since the font of the reader is not known: of a usual
 * sans-serif font, and rather too wide than too narrow.
 */
#pragma once

#include "strbuf.h"

/* Adds the text with U+FFFD in the place of control characters, of what changes the direction of
 * writing, and of bytes that are no UTF-8. */
void text_clean(struct strbuf *out, const char *text);
/* The width of clean text in pixels, in a font of that size. */
int text_width(const char *text, int size);
/* Adds clean text, which is shortened to `width` pixels; then its last character is "…". */
void text_fit(struct strbuf *out, const char *text, int size, int width);
/* How many columns clean text takes on a terminal. */
int text_columns(const char *text);
