# SPDX-License-Identifier: Apache-2.0
"""rows_read: one large file: mapped, by the page, by two processes; cached, and as the kernel may read
it natively."""
import os

from row import Row, middle_and_p99

KINDS = (("cached", 0o644, "a file"), ("native", 0o444, "a read-only file"))


def read(b, side, top, _name):
    mib, reads, writes = b.size >> 20, 500 if b.quick else 200000, 50 if b.quick else 2000

    def two(verb, *words):
        return b.ops("by", 2, verb, *words)

    for kind, mode, _ in KINDS:
        path = f"{top}/{kind}"
        b.ops("write", path, b.size, b.seed())
        os.chmod(path, mode)
        for key, words in (("read", ["read", path]), ("map", ["map", path, "normal"]),
                           ("map-ahead", ["map", path, "sequential"])):
            b.measure(side, [f"{kind}-{key}-cold"], lambda: b.ops(*words), operations=mib, cold=True)
            if key != "map-ahead":
                b.measure(side, [f"{kind}-{key}-warm"], lambda: b.ops(*words), operations=mib)
        b.measure(side, [f"{kind}-read-two"], lambda: [max(two("read", path))], operations=2 * mib)
        b.measure(side, [f"{kind}-at"], lambda: b.ops("read-at", path, reads, b.seed()),
                  operations=reads, per_operation=True)
        b.measure(side, [f"{kind}-at-two"],
                  lambda: [max(two("read-at", path, reads, f"{b.seed()}{{}}"))],
                  operations=reads, per_operation=True)

    path = f"{top}/cached"

    def write_at():
        *times, until_synced = b.ops("write-at", path, writes, b.seed())
        return [*middle_and_p99(times), until_synced]

    def write_at_two():
        times = two("write-at", path, writes, f"{b.seed()}{{}}")
        del times[writes::writes + 1]
        return middle_and_p99(times)

    b.measure(side, ["write-at-median", "write-at-p99", "write-at-fsync"], write_at,
              operations=writes, durable="write-at-durable", touch=256 << 20)
    b.measure(side, ["write-at-two-median", "write-at-two-p99"], write_at_two, operations=2 * writes,
              touch=256 << 20)


def values_of_kind(b, kind, what):
    size = b.text_of(b.size)
    return [(f"{kind}-read-cold", f"read {what} of {size}, cold", "s"),
            (f"{kind}-read-warm", "  … warm", "s"),
            (f"{kind}-read-two", "  … warm, by two: the slower", "s"),
            (f"{kind}-map-cold", "  map it, touch each page, cold", "s"),
            (f"{kind}-map-ahead-cold", "  … cold, MADV_SEQUENTIAL", "s"),
            (f"{kind}-map-warm", "  … warm", "s"),
            (f"{kind}-at", "  4 KiB all over it, warm, each", "us"),
            (f"{kind}-at-two", "  … by two: the slower, each", "us")]


def values_of(b):
    writes = 50 if b.quick else 2000
    values = [v for kind, _, what in KINDS for v in values_of_kind(b, kind, what)]
    return [Row("read", read, [
        *values,
        ("write-at-median", "write 4 KiB all over the first: median", "us"),
        ("write-at-p99", "  … p99", "us"),
        ("write-at-fsync", f"  {writes} of those, until fsync returns", "s"),
        ("write-at-durable", "  … until drain / syncfs returns", "s"),
        ("write-at-two-median", "  the write beside another process: median", "us"),
        ("write-at-two-p99", "  … p99", "us")], long=True)]
