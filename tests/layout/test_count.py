#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What tests/count.py makes of a testlog: its last line, its complaints, its exit code."""
import json
import subprocess
import sys
import tempfile
from pathlib import Path

COUNT = Path(__file__).resolve().parent.parent / "count.py"
TAP = "TAP version 13\n# Criterion v2\nok - a::b  (0.00s)\n"
FINE = ("tallyfs:kv / kv", "OK", TAP)


def count(fuse, *tests):
    """(exit code, lines) for tests of (name, result, stdout)."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as log:
        for name, result, out in tests:
            print(json.dumps({"name": name, "result": result, "stdout": out}), file=log)
        log.flush()
        p = subprocess.run([COUNT, "--fuse", fuse, log.name], stdout=subprocess.PIPE, text=True)
    return p.returncode, p.stdout.splitlines()


def expect(what, got, code, *lines):
    if got != (code, list(lines)):
        sys.exit(f"{what}: {got}")


def main():
    one = "1 passed, 0 failed, 1 skipped"
    fsx = ("tallyfs:fsx / fsx", "SKIP", "skipped: the disk is a tmpfs\n")
    silent = ("tallyfs:fsx / fsx", "SKIP", "")
    mount = ("tallyfs:mount / mount-data", "SKIP", "skipped: there is no strace\n")
    bench = ("tallyfs:bench / smoke", "SKIP", "skipped: /dev/fuse does not open\n")
    claim = ("tallyfs:base / own", "OK", TAP + "ok - own::it  # SKIP not root\n")
    quiet = ("tallyfs:base / own", "OK", TAP + "ok - own::it  # SKIP test was skipped\n")
    here = " (although /dev/fuse opens)"

    expect("nothing is skipped", count("yes", FINE), 0, "1 passed, 0 failed, 0 skipped")
    expect("a reason is listed", count("yes", FINE, fsx), 0,
           "tallyfs:fsx / fsx: skipped: the disk is a tmpfs", one)
    expect("no reason", count("yes", FINE, silent), 1,
           f"tallyfs:fsx / fsx: skipped: no reason given{here}", one)
    expect("no reason, no fuse", count("no", FINE, silent), 0,
           "tallyfs:fsx / fsx: skipped: no reason given", one)
    expect("a mount", count("yes", FINE, mount), 1,
           f"tallyfs:mount / mount-data: skipped: there is no strace{here}", one)
    expect("what is there", count("yes", FINE, bench), 1,
           f"tallyfs:bench / smoke: skipped: /dev/fuse does not open{here}", one)
    expect("what is not there", count("no", FINE, bench), 0,
           "tallyfs:bench / smoke: skipped: /dev/fuse does not open", one)
    expect("a claim", count("yes", claim), 1,
           f"tallyfs:base / own: own::it: skipped: not root{here}", one)
    expect("a claim without a word", count("yes", quiet), 1,
           f"tallyfs:base / own: own::it: skipped: no reason given{here}", one)
    expect("nothing ran", count("yes"), 1, "no test passed", "0 passed, 0 failed, 0 skipped")
    many = "".join(f"line {i}\n" for i in range(100))
    expect("a failure ends with what it said last", count("yes", FINE, ("tallyfs:kv / x", "FAIL", many)), 1,
           "---- tallyfs:kv / x: FAIL after 0 s", *[f"line {i}" for i in range(60, 100)],
           "tallyfs:kv / x: FAIL", "1 passed, 1 failed, 0 skipped")


main()
