#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What called.py takes for a call."""
import sys

sys.dont_write_bytecode = True
from called import Calls

PRODUCT = {
    'core/a/a.h': """
/* used_in_comment() is not called. */
int by_main(int a);
int by_test(void);
#define BY_MACRO(x) by_macro(x)
static inline int wrap(void)
{
    return by_inline();
}
""",
    'core/a/a.c': """
static int helper(void)
{
    return by_dead_helper();
}
int by_main(int a)
{
    return a ? by_main(a - 1) : wrap();
}
int by_test(void)
{
    return by_test_too("by_text()") + by_test();
}
__attribute__((format(printf, 1, 2)))
int by_test_too(const char *fmt)
{
    return 0;
}
int by_macro(int x)
{
    return x;
}
struct a *by_table(int x,
                   int y)
{
    return NULL;
}
static const struct ops ops = {
    .table = by_table,
};
int by_inline(void)
{
    return 0;
}
int by_text(void)
{
    return 0;
}
int by_dead_helper(void)
{
    return 0;
}
int used_in_comment(void)
{
    return 0;
}
""",
    'core/main.c': """
int main(int argc, char **argv)
{
    return by_main(1);
}
""",
}
TEST = """
int main(void)
{
    return by_test() + by_text();
}
"""


def main():
    calls = Calls()
    for path, text in PRODUCT.items():
        calls.read(path, text, True)
    calls.read('tests/test_a.c', TEST, False)
    got = calls.unreached()
    want = ['by_dead_helper', 'by_test', 'by_test_too', 'by_text', 'used_in_comment']
    if got != want:
        sys.exit(f'not called: {got}, and not {want}')
    got = calls.private()
    want = ['by_dead_helper', 'by_table', 'by_test_too', 'used_in_comment']
    if got != want:
        sys.exit(f'named in their file alone: {got}, and not {want}')


if __name__ == '__main__':
    main()
