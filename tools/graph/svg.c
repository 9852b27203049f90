// SPDX-License-Identifier: Apache-2.0
/* svg: see the header. */
#include "svg.h"

#include "svg_style.h"
#include "text_fit.h"

void svg_escape(struct strbuf *out, const char *text)
{
    CLEANUP_STRBUF struct strbuf clean = STRBUF_INIT;
    text_clean(&clean, text);
    for (const char *p = clean.s; *p; p++) {
        switch (*p) {
        case '&':
            strbuf_adds(out, "&amp;");
            break;
        case '<':
            strbuf_adds(out, "&lt;");
            break;
        case '>':
            strbuf_adds(out, "&gt;");
            break;
        case '"':
            strbuf_adds(out, "&quot;");
            break;
        case '\'':
            strbuf_adds(out, "&#39;");
            break;
        default:
            strbuf_add(out, p, 1);
        }
    }
    out->failed |= clean.failed;
}

static void add_element(struct svg *s, const char *name, const char *text)
{
    strbuf_addf(s->out, "<%s>", name);
    svg_escape(s->out, text);
    strbuf_addf(s->out, "</%s>", name);
}

void svg_begin(struct svg *s, struct strbuf *out, int width, int height, const char *title,
               const char *desc)
{
    *s = (struct svg){.out = out};
    strbuf_addf(out,
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
                "viewBox=\"0 0 %d %d\" role=\"img\" aria-labelledby=\"title desc\">\n",
                width, height, width, height);
    strbuf_adds(out, "<title id=\"title\">");
    svg_escape(out, title);
    strbuf_adds(out, "</title>\n<desc id=\"desc\">");
    svg_escape(out, desc);
    strbuf_addf(out, "</desc>\n<style>%s</style>\n", svg_style);
    svg_rect(s, 0, 0, width, height, "page", NULL);
}

void svg_end(struct svg *s)
{
    strbuf_adds(s->out, "</svg>\n");
}

/* Ends an element that has been begun, with its tip. */
static void end_shape(struct svg *s, const char *name, const char *tip)
{
    if (!tip) {
        strbuf_adds(s->out, "/>\n");
        return;
    }
    strbuf_adds(s->out, ">");
    add_element(s, "title", tip);
    strbuf_addf(s->out, "</%s>\n", name);
}

void svg_rect(struct svg *s, int x, int y, int width, int height, const char *class,
              const char *tip)
{
    strbuf_addf(s->out, "<rect class=\"%s\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"", class, x,
                y, width, height);
    end_shape(s, "rect", tip);
}

void svg_circle(struct svg *s, int x, int y, int radius, const char *class, const char *tip)
{
    strbuf_addf(s->out, "<circle class=\"%s\" cx=\"%d\" cy=\"%d\" r=\"%d\"", class, x, y, radius);
    end_shape(s, "circle", tip);
}

void svg_path(struct svg *s, const char *class, const char *tip, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    strbuf_addf(s->out, "<path class=\"%s\" d=\"", class);
    strbuf_vaddf(s->out, fmt, ap);
    strbuf_adds(s->out, "\"");
    end_shape(s, "path", tip);
    va_end(ap);
}

void svg_text(struct svg *s, int x, int y, const char *class, const char *text, const char *tip)
{
    strbuf_addf(s->out, "<text class=\"%s\" x=\"%d\" y=\"%d\">", class, x, y);
    if (tip) {
        add_element(s, "title", tip);
    }
    svg_escape(s->out, text);
    strbuf_adds(s->out, "</text>\n");
}
