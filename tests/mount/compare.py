#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""compare.py QUEUE TEST EXT4_DIR TALLY_DIR: run snippets on both filesystems and compare.

QUEUE holds, NUL-terminated, six strings a snippet: its line in the file TEST, the claim, the
reason why it may differ ("": it may not), what ext4 and what tallyfs then print, the Python code.

Each snippet runs in a process of its own (so umask, user, limits and locks end with it), in a new
directory of its own, with everything in calls.py at hand; it proves its claim by what it prints.
The two sides run at the same time. Exit code: 0 all as claimed, 1 not so.
"""
import difflib
import linecache
import os
import pickle
import signal
import sys
import traceback
from collections import namedtuple
from itertools import zip_longest

import calls

PATIENCE = 200  # seconds for one snippet
WIDTH = 60
ENDED = "the snippet ended with"  # by a signal, of its own or because its time was up
AROUND = 8  # lines shown before and behind a difference

Snippet = namedtuple("Snippet", "line claim reason ext4 tally code")


def load(path):
    with open(path, encoding="utf-8") as f:
        words = f.read().split("\0")[:-1]
    return [Snippet(*words[i : i + 6]) for i in range(0, len(words), 6)]


def run(snippet, where, out):
    """In a child: the snippet's output goes to the file `out`."""
    fd = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(fd, 1)
    os.dup2(fd, 2)
    os.close(fd)
    signal.alarm(PATIENCE)
    os.umask(0o022)
    os.mkdir(where)
    os.chdir(where)
    try:
        names = dict(vars(calls))
        name = f"<line {snippet.line}>"
        linecache.cache[name] = (len(snippet.code), None, snippet.code.splitlines(True), name)
        exec(compile(snippet.code, name, "exec"), names)  # pylint: disable=exec-used
    except BaseException:  # pylint: disable=broad-exception-caught
        traceback.print_exc(limit=-2)
    sys.stdout.flush()
    os._exit(0)


def run_all(snippets, top, out):
    """What each snippet prints, with `top` written as ~."""
    said = []
    for i, snippet in enumerate(snippets):
        where = f"{top}/{snippet.line}.{i}"
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            run(snippet, where, out)
        _, status = os.waitpid(pid, 0)
        with open(out, encoding="utf-8", errors="backslashreplace") as f:
            text = f.read().replace(os.path.realpath(where), "~")
        if status:
            text += f"{ENDED} {status}\n"
        said.append(text)
    return said


def both(snippets, tops, work):
    """[(what ext4 said, what tallyfs said)]"""
    pids = []
    for i, top in enumerate(tops):
        pid = os.fork()
        if pid == 0:
            with open(f"{work}.{i}.said", "wb") as f:
                pickle.dump(run_all(snippets, top, f"{work}.{i}.out"), f)
            os._exit(0)
        pids.append(pid)
    if any(os.waitpid(pid, 0)[1] for pid in pids):
        sys.exit("compare.py: a side has died")
    sides = []
    for i in range(len(tops)):
        with open(f"{work}.{i}.said", "rb") as f:
            sides.append(pickle.load(f))
    return list(zip(*sides))


def side_by_side(left, right):
    """What differs, marked, and a little around it."""
    left, right = left.splitlines(), right.splitlines()
    print(f"      {'ext4':{WIDTH}} | tallyfs")
    for group in difflib.SequenceMatcher(None, left, right, False).get_grouped_opcodes(AROUND):
        for op, a, b, c, d in group:
            mark = " " if op == "equal" else ">"
            for x, y in zip_longest(left[a:b], right[c:d], fillvalue=""):
                print(f"    {mark} {x:{WIDTH}} | {y}")
        print("      ...")


def judge(snippet, test, ext4, tally):
    print(f"{'differs' if snippet.reason else 'same'}: {snippet.claim}")
    if not snippet.reason:
        wrong = [] if ext4 == tally else ["the two differ"]
    else:
        sides = ("ext4", ext4, snippet.ext4), ("tallyfs", tally, snippet.tally)
        wrong = [f"{who} said something else than expected"
                 for who, got, want in sides if got.strip() != want.strip()]
        if ext4 == tally:
            wrong.append("there is no difference any more")
    if not wrong and not ext4.strip():
        wrong.append("nothing was printed, so nothing was compared")
    if not wrong and ("Traceback" in ext4 or f"\n{ENDED}" in "\n" + ext4):
        wrong.append("the snippet itself is wrong")
    if wrong:
        print(f"{test}:{snippet.line}: FAILED: {snippet.claim}: {'; '.join(wrong)}")
        side_by_side(ext4, tally)
    return not wrong


def main(queue, test, *tops):
    snippets = load(queue)
    said = both(snippets, tops, queue)
    good = [judge(s, test, *two) for s, two in zip(snippets, said)]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
