// SPDX-License-Identifier: Apache-2.0
/*
 * import_line: the first write of a session on `.tally/import`, in the grammar of the control file
 * (command.h), which says what comes:
 *
 *     import NS[/PATH]               a tree, which becomes a namespace or goes into one
 *     receive NS [base=NS@NAME]      what another store sent, which becomes a namespace
 *     receive NS resume=BYTES:SUM    the rest of that
 *     have                           nothing: a read says what a sender need not send
 *
 * Whether a name can be that of a namespace is not looked at. Threads: any.
 */
#pragma once

#include "parked.h"
#include <stdbool.h>
#include <stddef.h>

enum import_verb { IMPORT_TREE, IMPORT_RECEIVE, IMPORT_HAVE };

struct import_line {
    enum import_verb verb;
    char *target;     /* the word behind the verb; NULL: IMPORT_HAVE */
    char *name;       /* of the namespace: of an import what is before the first '/' */
    const char *path; /* the rest of `target`, from that '/' on; "": there is none */
    char *base;       /* NULL: it was not given */
    bool resumes;     /* `at` was given */
    struct parked_at at;
};

/* Parses it into *ret, which is all zeros. -EINVAL: it is no such line, with a sentence in `why`;
 * -ENOMEM. After an error, too, the caller releases *ret, and its verb is the one of the line if
 * that has one. */
int import_line_parse(const char *buf, size_t len, struct import_line *ret, struct strbuf *why);
/* All zeros are fine. */
void import_line_release(struct import_line *l);
