// SPDX-License-Identifier: Apache-2.0
/*
 * svg: writes a picture as SVG 1.1, which any browser opens. It has no script, and needs nothing
 * else: no font, no file, no server.
 *
 *     struct svg s;
 *     svg_begin(&s, out, 800, 600, "Space", "Which namespaces take how much.");
 *     svg_rect(&s, 10, 10, 80, 20, "alone", "main: 1.2 GiB");
 *     svg_end(&s);
 *     err = strbuf_error(out);
 *
 * Lengths are pixels, from the top left. A class says how an element looks, in light and in dark
 * (svg_style.h has them). A `tip`, unless NULL, is shown where the pointer stays on the element,
 * and read by programs for those who cannot see. Texts are any bytes; what XML does not allow is
 * replaced (text_fit.h).
 */
#pragma once

#include "strbuf.h"

struct svg {
    struct strbuf *out; /* borrowed */
};

/* `title` is one line; `desc` says in sentences what the picture shows. */
void svg_begin(struct svg *s, struct strbuf *out, int width, int height, const char *title,
               const char *desc);
void svg_end(struct svg *s);
void svg_rect(struct svg *s, int x, int y, int width, int height, const char *class,
              const char *tip);
void svg_circle(struct svg *s, int x, int y, int radius, const char *class, const char *tip);
/* A path in the grammar of SVG, of numbers and letters alone. */
void svg_path(struct svg *s, const char *class, const char *tip, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* `y` is that of the line on which the letters stand; class "num" ends at x, others begin there. */
void svg_text(struct svg *s, int x, int y, const char *class, const char *text, const char *tip);
/* Adds the text with &, <, > and quotes escaped. */
void svg_escape(struct strbuf *out, const char *text);
