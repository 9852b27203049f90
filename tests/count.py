#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Count results in meson's testlog.json files and print "N passed, N failed, N skipped".

A test that printed TAP (Criterion, with CRITERION_OUTPUTS) counts once per test in it, any other
counts once. Exit code 1 if something failed, nothing ran, or a test of the suite "mount" was
skipped although /dev/fuse opens (--fuse yes).
"""
import argparse
import json
import re
import sys

GOOD = {"OK", "EXPECTEDFAIL"}
TAP_LINE = re.compile(r"^(ok|not ok)\b(.*# *skip)?", re.IGNORECASE | re.MULTILINE)


def suites_of(test):
    """From "tallyfs:mount+slow / name": {"mount", "slow"}."""
    head = test["name"].rpartition(" / ")[0]
    return set(head.rpartition(":")[2].split("+"))


def criterion_counts(test):
    """(passed, failed, skipped) of a program that printed TAP, else None."""
    out = test.get("stdout") or ""
    if "# Criterion" not in out:
        return None
    counts = [0, 0, 0]
    for m in TAP_LINE.finditer(out):
        counts[2 if m[2] else 0 if m[1].lower() == "ok" else 1] += 1
    if test["result"] not in GOOD and counts[1] == 0:
        counts[1] = 1  # it crashed, leaked or ran too long
    return counts


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fuse", choices=["yes", "no"], required=True)
    parser.add_argument("--rc", type=int, default=0, help="worst exit code of `meson test`")
    parser.add_argument("logs", nargs="+")
    args = parser.parse_args()
    passed = failed = skipped = 0
    complaints = []
    for log in args.logs:
        try:
            with open(log, encoding="utf-8") as lines:
                tests = [json.loads(line) for line in lines if line.strip()]
        except OSError as e:
            complaints.append(f"no results: {e}")
            continue
        for t in tests:
            counts = criterion_counts(t)
            if counts and t["result"] != "SKIP":
                passed += counts[0]
                failed += counts[1]
                skipped += counts[2]
                if counts[1]:
                    complaints.append(f"{t['name']}: {t['result']}")
            elif t["result"] == "SKIP":
                skipped += 1
                if "mount" in suites_of(t) and args.fuse == "yes":
                    complaints.append(f"{t['name']}: skipped although /dev/fuse opens")
            elif t["result"] in GOOD:
                passed += 1
            else:
                failed += 1
                complaints.append(f"{t['name']}: {t['result']}")
    if passed == 0:
        complaints.append("no test passed")
    if args.rc != 0 and not complaints:
        complaints.append("meson test failed")
    for c in complaints:
        print(c)
    print(f"{passed} passed, {failed} failed, {skipped} skipped", flush=True)
    return 1 if complaints else 0


sys.exit(main())
