// SPDX-License-Identifier: Apache-2.0
/*
 * sentence: makes a sentence of the keys of a reply and a template. Pure functions.
 *
 *     "{ns} is a branch of {1}[, dropped by itself at {until:time}]."
 *
 * {key} is a value of the reply, {1} an argument of the call. A kind says how it is shown:
 *
 *     {k:bytes}  1.3 GiB           {k:count}       83,731        {k:n file}  no files, 1 file
 *     {k:time}   when (how far)    {k:moment}      when          {k:ago}     how far
 *     {k:ms}     of milliseconds   {k:s}           of seconds    {k:shard}   at home, on shard 3
 *     {k:if}     nothing           {k:dir}         a namespace or path: without its last slash
 *     {k:not}    nothing
 *
 * What is in [ ] is left out if a key in it is missing or empty, or if it has a kind and a value
 * that says "nothing": 0, no, never, all. So "{k:if}" is a condition that prints nothing, and
 * "{k:not}" is the opposite one: the value is there and says "nothing". A key outside of [ ] is
 * required.
 *
 * A template fits a reply if all keys that it requires are there, and each key of the reply stands
 * in the template or in the list of those that are left out. So no part of a reply is lost
 * because it was forgotten here.
 */
#pragma once

#include "strbuf.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct sentence {
    const char *text;
    const char *without; /* keys that are left out, with a blank between two; NULL: none */
};

/* What a sentence is made of. */
struct sentence_of {
    const json_t *fields; /* fields.h */
    char *const *args;    /* of the call, without the verb */
    int nargs;
    int64_t now; /* seconds since the epoch */
    bool bytes;  /* sizes are shown exactly */
};

/* Adds the sentence. False: it does not fit, and nothing was added. */
bool sentence_add(const struct sentence *s, const struct sentence_of *of, struct strbuf *out);
/* Does the template show that key, or leave it out on purpose? */
bool sentence_has(const struct sentence *s, const char *key);
/* Adds a template, whatever other keys there are. False: a key that it requires is missing, and
 * what was added is a part. */
bool sentence_fill(const char *text, const struct sentence_of *of, struct strbuf *out);
