// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz: what a fuzz target gives and gets. Built with standalone.c it is a test; built with
 * -fsanitize=fuzzer (and fuzz_fail as abort) libFuzzer drives it.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* A claim did not hold: say which, and abort. standalone.c says how to see it again. */
static inline _Noreturn void fuzz_fail(const char *claim)
{
    __builtin_printf("fuzz: does not hold: %s\n", claim);
    __builtin_abort();
}

/* What must hold for every input. */
#define MUST(claim)                                                                                \
    do {                                                                                           \
        if (!(claim))                                                                              \
            fuzz_fail(#claim);                                                                     \
    } while (0)
