#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Count results in meson's testlog.json files and print "N passed, N failed, N skipped".

A test that printed TAP (Criterion, with CRITERION_OUTPUTS) counts once per test in it, any other
counts once. Of each that failed the end of what it printed is repeated. What was skipped is listed
with the reason that it gave: a line "skipped: REASON", or that of cr_skip_test. Exit code 1 if
something failed, nothing ran, or, where /dev/fuse opens (--fuse yes), something was skipped that is
of the suite "mount", gives no reason, or says that this is missing.
"""
import argparse
import json
import re
import sys

GOOD = {"OK", "EXPECTEDFAIL"}
TAP_LINE = re.compile(r"^(ok|not ok)\b(.*# *skip)?", re.IGNORECASE | re.MULTILINE)
TAP_SKIP = re.compile(r"^ok - (\S+) +# *skip *(.*)$", re.IGNORECASE | re.MULTILINE)
NO_REASON = "test was skipped"  # Criterion's word for it
LAST_LINES = 40
NOT_MISSING = re.compile(r"not root|/dev/fuse")  # where --fuse yes


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


def skips(test):
    """(name, reason) of each skip in it."""
    out = test.get("stdout") or ""
    if test["result"] == "SKIP":
        said = re.findall(r"^skipped: *(.+)$", out, re.MULTILINE)
        return [(test["name"], said[-1] if said else "")]
    if "# Criterion" not in out:
        return []
    return [(f"{test['name']}: {name}", "" if reason == NO_REASON else reason)
            for name, reason in TAP_SKIP.findall(out)]


def is_wrong(test, reason):
    """Should it have run, where /dev/fuse opens?"""
    return "mount" in suites_of(test) or not reason or NOT_MISSING.search(reason)


def last_lines(test):
    """What a test that failed printed last: it may be far above in what the check has printed."""
    said = ((test.get("stdout") or "") + (test.get("stderr") or "")).splitlines()[-LAST_LINES:]
    head = f"---- {test['name']}: {test['result']} after {test.get('duration', 0):.0f} s"
    return "\n".join([head] + said)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fuse", choices=["yes", "no"], required=True)
    parser.add_argument("--rc", type=int, default=0, help="worst exit code of `meson test`")
    parser.add_argument("logs", nargs="+")
    args = parser.parse_args()
    passed = failed = skipped = 0
    complaints = []
    ends = []
    for log in args.logs:
        try:
            with open(log, encoding="utf-8") as lines:
                tests = [json.loads(line) for line in lines if line.strip()]
        except OSError as e:
            complaints.append(f"no results: {e}")
            continue
        for t in tests:
            for name, reason in skips(t):
                line = f"{name}: skipped: {reason or 'no reason given'}"
                if args.fuse == "yes" and is_wrong(t, reason):
                    complaints.append(f"{line} (although /dev/fuse opens)")
                else:
                    print(line)
            if t["result"] not in GOOD and t["result"] != "SKIP":
                ends.append(last_lines(t))
            counts = criterion_counts(t)
            if counts and t["result"] != "SKIP":
                passed += counts[0]
                failed += counts[1]
                skipped += counts[2]
                if counts[1]:
                    complaints.append(f"{t['name']}: {t['result']}")
            elif t["result"] == "SKIP":
                skipped += 1
            elif t["result"] in GOOD:
                passed += 1
            else:
                failed += 1
                complaints.append(f"{t['name']}: {t['result']}")
    if passed == 0:
        complaints.append("no test passed")
    if args.rc != 0 and not complaints:
        complaints.append("meson test failed")
    for line in ends + complaints:
        print(line)
    print(f"{passed} passed, {failed} failed, {skipped} skipped", flush=True)
    return 1 if complaints else 0


sys.exit(main())
