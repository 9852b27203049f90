#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What the control file refuses: the errno of each write, the sentence, and that nothing changed.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin
cd "$M"
mkdir full
touch full/x
cat >"$W/control.py" <<'END'
import errno, os
def run(text):
    """(outcome, replies) of one write on a session of its own."""
    data = text if isinstance(text, bytes) else text.encode()
    fd = os.open(".tally/control", os.O_RDWR)
    try:
        n = os.write(fd, data)
        outcome = "OK" if n == len(data) else n
    except OSError as e:
        outcome = errno.errorcode[e.errno]
    replies = b""
    while piece := os.read(fd, 65536):
        replies += piece
    os.close(fd)
    return outcome, replies.decode(errors="replace")
def expect(text, outcome, *words):
    got, replies = run(text)
    assert got == outcome, (text[:60], got, replies)
    assert isinstance(outcome, int) or outcome == "OK" or \
        replies.startswith(f"error {outcome} "), (text[:60], replies)
    for w in words:
        assert w in replies, (text[:60], w, replies)
END
py() { PYTHONPATH=$W PYTHONDONTWRITEBYTECODE=1 python3 -c "from control import *
$1"; }
untouched() { eq "$(names .)" "full main "; }

claim "syntax: a malformed line anywhere is EINVAL, and nothing of that write ran"
py '
for line in ("FROBNICATE", "frob=1", "branch \"main", "branch m\\ain x", "branch main x\0y", "branch \"a\"b c",
             "branch \"\\q\" c", "\"branch\" main x",
             "branch main k=v x", "branch main x k=1 k=2"):
    expect("branch main never\n" + line + "\n", "EINVAL")
'
untouched

claim "unknown verbs and keys, missing and surplus words, bad values: EINVAL"
py '
for line in ("frobnicate", "gc a", "gc dry-run 1", "node", "node list 1", "flush a b", "wait ticket", "shard", "sweep now", "sweep list list", "resolve", "resolve x", "branch", "branch main",
             "diff", "diff main full main", "diff main full stat now", "diff main full path=/x", "diff main full a=b", "diff main wait",
             "branch main a b", "branch main a key=1", "branch main a wait", "drop",
             "snapshot", "snapshot main a b", "snapshot main auto-x", "digest", "digest main x", "digest main/../x", "branch main a ttl=soon",
             "set ns:main.snapshots 5s*3", "set ns:main.ttl soon", "hold", "unhold", "detach",
             "undrop", "undrop a b", "merge main full", "merge main into full conflicts=all", "commit",
             "commit main to full", "undo main full", "redo 1 2", "undo main ns=main", "redo main conflicts=all", "history a b", "history last=x", "growth main", "growth since=yesterday", "trash", "trash all", "drop main later", "drop main now now", "drop full a=b",
             "drop full now later", "status now", "help nothing", "help a b", "get nothing", "get a b",
             "get ns:main.colour", "set", "set page_cache", "set nothing 5", "set page_cache lots",
             "set page_cache 99999999999999T", "set seal_delay 5", "set ns:main.frozen maybe",
             "set ns:.frozen yes", "drain fast", "drain 5", "drain 5s 5s", "drain idle 1s 1s",
             "refs", "refs 12", "refs nothing", "object zz", "object", "why", "pin", "unpin",
             "pin " + "g" * 32, "rebuild now", "wait", "wait x", "wait 1 soon", "cancel", "cancel -1",
             "cancel 1 2", "branch main ..", "branch main .tally", "branch main .", "branch main a/b",
             "drop . force", "branch main \"\""):
    expect(line + "\n", "EINVAL")
'
untouched

claim "what is not there is ENOENT, what is there EEXIST, a name too long ENAMETOOLONG"
py '
zero = "0" * 32
for line in ("branch nothing x", "diff nothing", "diff main nothing", "drop nothing", "drop nothing force", "set ns:nothing.frozen yes",
             "get ns:nothing.frozen", "get ns:nothing.ttl", "set ns:nothing.snapshots off", "digest nothing", "digest main/nothing", "wait 999999", "cancel 999999", f"pin {zero}",
             f"unpin {zero}", f"resolve {zero}", "resolve main/nothing", "refs main/nothing", "refs nothing/x"):
    expect(line, "ENOENT")
expect(f"refs {zero}", "OK", "refs=0")
expect(f"object {zero}", "OK", "state=none")
for line in ("branch main full", "branch main main"):
    expect(line, "EEXIST")
expect("branch main " + "n" * 256, "ENAMETOOLONG")
expect("branch main " + "n" * 255, "OK")
expect("drop " + "n" * 255, "OK")
'
untouched

claim "EBUSY with the number of open files, ETIMEDOUT with what is pending"
py '
held = open("full/x")
expect("drop full", "EBUSY", "1 file is open")
held.close()
held = open("full/x", "wb")
held.write(os.urandom(5000000))
held.flush()
expect("drain idle 200ms", "ETIMEDOUT", "unsealed=1")
held.truncate(0)
held.close()
'
untouched

claim "64 KiB is the most; one byte more is E2BIG"
py '
line = "branch main big\ndrop big\n"
text = line + "#" * (65536 - len(line))
expect(text, "OK", "ok ns=")
expect(text + "#", "E2BIG")
expect("branch main x" * 100000, "E2BIG")
'
untouched

claim "if command k fails: a short count up to its line, the replies of both, and none after it"
py '
first = "branch main a\n"
got, replies = run(first + "branch nothing b\nbranch main c\n")
assert got == len(first), got
lines = replies.splitlines()
assert len(lines) == 2 and lines[0].startswith("ok ns=") and \
    lines[1].startswith("error ENOENT branch: "), lines
first = "# what for\n\ndrop a\n"
got, replies = run(first + "drop a\n")
assert got == len(first), got
got, replies = run("# a comment first\ndrop a\n")
assert got == "ENOENT" or got == len("# a comment first\n"), got
'
untouched

claim "after a failed write the session is as good as before"
py '
fd = os.open(".tally/control", os.O_RDWR)
for i in range(3):
    try:
        os.write(fd, b"drop nothing\n")
        raise SystemExit("it worked")
    except OSError as e:
        assert e.errno == errno.ENOENT
    assert os.read(fd, 4096).startswith(b"error ENOENT drop: ")
    os.write(fd, b"get page_cache\n")
    assert os.read(fd, 4096).startswith(b"ok page_cache=")
    assert os.read(fd, 4096) == b""
'

claim "random bytes are refused or harmless"
py '
import random
rng = random.Random(5)
words = [b"branch", b"main", b" ", b"\n", b"\"", b"\\", b"x=1", b"wait", b"help", b"#", b"\xff", b"get", b"\t", b"drain"]
for i in range(2000):
    run(b"".join(rng.choice(words) for _ in range(rng.randrange(1, 12))))
'

claim "nobody but the mount's owner gets in"
as_nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }
for command in 'cat .tally/control' 'cat .tally/status' 'ls .tally' 'cat .tally/refcounts' \
    'echo "drop full" >.tally/control' 'ls .tally/objects'; do
    fails as_nobody sh -c "$command"
    matches "$(cat "$W/said")" '[Pp]ermission denied'
done
[[ -d full ]]
finish
