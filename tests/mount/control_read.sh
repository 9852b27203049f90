#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Replies of the control file, read in all the ways that shells and programs have: line by line with
# reading ahead and seeking back, byte by byte, all at once, through buffers that are written, too.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
needs dash
begin
cd "$M"
C=.tally/control
# What `help` says, read in one piece.
ctl 'help\n' | sed 1d >"$W/help"
lines=$(wc -l <"$W/help")
[[ $lines -gt 25 && $(wc -c <"$W/help") -gt 1000 ]]
same() { cmp "$W/got" "$W/help" || fail "not all of the reply, or not that"; }

claim "bash: while read, on the descriptor that wrote"
exec 3<>$C
echo help >&3
while IFS= read -r line; do printf '%s\n' "$line"; done <&3 >"$W/got"
same
echo help >&3
while IFS= read -r -u 3 line; do printf '%s\n' "$line"; done >"$W/got"
same
exec 3>&-

claim "bash: while read, on one that only reads"
echo help >$C
while IFS= read -r line; do printf '%s\n' "$line"; done <$C >"$W/got"
same

claim "bash: one line, then the rest by another program"
exec 3<>$C
echo help >&3
{ IFS= read -r line <&3 && printf '%s\n' "$line" && cat <&3; } >"$W/got"
same

claim "bash: a line that was not read is still there after the next command"
echo help >&3
IFS= read -r line <&3
eq "$line" ok
echo 'get page_cache' >&3
{ echo ok && cat <&3; } | head -n "$lines" >"$W/got"
same
exec 3>&-

claim "bash: mapfile, all lines and some of them"
exec 3<>$C
echo help >&3
mapfile -t -u 3 all
printf '%s\n' "${all[@]}" >"$W/got"
same
echo help >&3
mapfile -t -n 3 -u 3 some
mapfile -t -u 3 rest
printf '%s\n' "${some[@]}" "${rest[@]}" >"$W/got"
same
exec 3>&-

claim "dash: while read, on the descriptor that wrote and on one that only reads"
dash -c 'exec 3<>"$1"; echo help >&3; while IFS= read -r line; do printf "%s\n" "$line"; done <&3' x $C >"$W/got"
same
dash -c 'echo help >"$1"; while IFS= read -r line; do printf "%s\n" "$line"; done <"$1"' x $C >"$W/got"
same

claim "echo and cat; append and cat"
echo help >$C
cat $C >"$W/got"
same
cat $C $C >"$W/got"
eq "$(wc -l <"$W/got")" $((2 * lines))
echo help >>$C
cat <$C >"$W/got"
same

claim "Python: files with buffers, for reading and writing, as text and as bytes; os.read"
python3 - $C "$W/help" <<'END'
import os, sys
path, want = sys.argv[1], open(sys.argv[2]).read()
def check(got, what):
    if got != want:
        sys.exit(f"{what}: {got!r}")
for mode in "r+", "w+", "a+":
    with open(path, mode) as f:
        for _ in range(3):
            f.write("help\n")
            f.flush()
            check(f.read(), mode)
with open(path, "r+") as f:
    for _ in range(3):
        f.write("help\n")
        f.flush()
        check("".join(iter(f.readline, "")), "readline")
    f.write("get page_cache\n")
    f.seek(0)
    line = f.readline()
    assert line.startswith("ok page_cache="), line
for buffering in 0, 16:
    with open(path, "r+b", buffering) as f:
        for _ in range(3):
            f.write(b"help\n")
            f.flush()
            check(f.read().decode(), f"r+b {buffering}")
            f.write(b"help\n")
            f.flush()
            check(b"".join(f).decode(), f"lines of r+b {buffering}")
fd = os.open(path, os.O_RDWR)
for size in 1, 7, 4096, 65536:
    os.write(fd, b"help\n")
    got = b""
    while piece := os.read(fd, size):
        got += piece
    check(got.decode(), f"os.read {size}")
    assert os.read(fd, size) == b""
try:
    os.write(fd, b"help help help\n")
    sys.exit("that should have failed")
except OSError:
    pass
assert os.read(fd, 65536).startswith(b"error EINVAL help: "), "after a failed write"
os.write(fd, b"help\n")
os.lseek(fd, 0, os.SEEK_SET)
check(os.read(fd, 65536).decode(), "after a seek to the beginning")
os.close(fd)
check(open(path).read() if os.system(f"echo help >{path}") == 0 else "", "open().read()")
END
cd /
finish
