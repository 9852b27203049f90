// SPDX-License-Identifier: Apache-2.0
/*
 * command_error: the line with which a command fails, in the control file and in the files beside
 * it that take a command and then bytes. Threads: any.
 */
#pragma once

#include "strbuf.h"

/* Adds "error ERRNO VERB: sentence". `err` is -errno. `why` "": the usual sentence. A newline in
 * the sentence, which a name may have, becomes a question mark. */
void command_add_error(struct strbuf *out, int err, const char *verb, const char *why);
/* The sentence for an error that has none of its own. */
const char *command_usual_sentence(int err);
