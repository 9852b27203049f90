// SPDX-License-Identifier: Apache-2.0
/*
 * fault: see the header. The only state is the number of operations. Whether the power is off
 * follows from this number, so no second field can disagree with it.
 */
#include "fault.h"

#include <errno.h>
#include <stddef.h>

static bool fails(const struct fault *f, uint64_t n)
{
    return f->fail_at != 0 && (n == f->fail_at || (f->cut && n > f->fail_at));
}

int fault_write(struct fault *f)
{
    if (!f || !fails(f, atomic_fetch_add(&f->writes, 1) + 1))
        return 0;
    return f->error != 0 ? -f->error : -EIO;
}

bool fault_fired(const struct fault *f)
{
    return f->fail_at != 0 && atomic_load(&f->writes) >= f->fail_at;
}

bool fault_is_cut(const struct fault *f)
{
    return f && f->cut && fails(f, atomic_load(&f->writes));
}

void fault_reset(struct fault *f)
{
    atomic_store(&f->writes, 0);
    f->fail_at = 0;
    f->error = 0;
    f->cut = false;
}

/* Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled" (2016). */
uint64_t fault_random(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * UINT64_C(0x2545F4914F6CDD1D);
}
