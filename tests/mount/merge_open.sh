#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A commit changes files that somebody reads, maps or runs: these go on with what the files were.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
keeps=yes # read by lib.sh
needs python3
begin
cd "$M"
readers=$(dirname "$test_file")/merge_open.py

claim "who has a file open, or mapped, goes on with what it was; all its names have what it is"
for size in 100 200000 9000000; do # the last is read by the kernel itself, where it may
    python3 "$readers" make "$size" main/f "$size"
    ln main/f main/g
    "$TALLY" drain >/dev/null
    "$TALLY" branch main try >/dev/null
    python3 "$readers" make 77 try/f $((size + 5000))
    python3 "$readers" hold main/f main/g "$size" "$TALLY" commit try
    rm main/f main/g
    "$TALLY" drop try >/dev/null
done

claim "so it is when the file was open already the last time, and after an undo and a redo"
python3 "$readers" make 1 main/f 3000
"$TALLY" branch main try >/dev/null
python3 "$readers" again "$TALLY" main/f try/f

claim "a program that runs goes on, and the next one that is begun is the new one"
cp "$BASH" main/program
chmod 755 main/program
"$TALLY" drain >/dev/null
"$TALLY" branch main new >/dev/null
printf '#!/bin/sh\necho the new one\n' >new/program
mkfifo "$W/in" "$W/out"
main/program -c 'while read -r line; do printf "%s %q\n" "$line" "${line//o/0}"; done' <"$W/in" >"$W/out" &
pids+=($!)
runs=$!
exec 7>"$W/in" 8<"$W/out"
echo one >&7
read -r line <&8
eq "$line" "one 0ne"
"$TALLY" commit new >/dev/null
eq "$(main/program)" "the new one"
echo two >&7
read -r line <&8
eq "$line" "two tw0"
cmp "/proc/$runs/exe" "$BASH"
eq "$(errno_of 'open(argv[0], "r+b")' main/program)" OK "only the old program is busy"
exec 7>&- 8<&-
wait "$runs"
eq "$(main/program)" "the new one"

claim "a file that is open for writing is a conflict"
echo old >main/w
"$TALLY" branch main more >/dev/null
echo new >more/w
exec 7>>main/w
fails "$TALLY" commit more
matches "$(cat "$W/said")" "open path=w"
exec 7>&-
"$TALLY" commit more >/dev/null
eq "$(cat main/w)" new

claim "a reader that looks at the name before and after sees two files, as after a rename over it"
echo old >main/tailed
"$TALLY" branch main last >/dev/null
exec 7<main/tailed
read -r line <&7
eq "$line" old
before=$(stat -Lc %i "/proc/self/fd/7")
echo new >last/tailed
"$TALLY" commit last >/dev/null
[[ $(stat -c %i main/tailed) != "$before" ]] || fail "one inode number for two files"
eq "$(stat -Lc '%i %h %s' /proc/self/fd/7)" "$before 0 4"
echo more >>main/tailed
eq "$(cat main/tailed | tr '\n' ' ')" "new more "
! read -r line <&7 || fail "the old file has another line: $line"
exec 7<&-

claim "afterwards nothing is left of what the files were, and the store is sound"
cd /
unmount_store
check_clean
mount_store
eq "$(cat "$M/main/tailed" | tr '\n' ' ')" "new more "
eq "$("$M/main/program")" "the new one"
finish
