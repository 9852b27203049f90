#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Who keeps the kernel from forgetting a listing holds up nobody: a program may list a directory into
# memory whose page faults it serves itself, and the kernel holds the listing's page locked meanwhile.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
: "${HOLD:?is the program hold, of the same build}"
begin

holder=
held_or_ended() { grep -q held "$W/held" || ended "$holder"; }
hold() {
    mkfifo "$W/go"
    "$HOLD" "$1" <"$W/go" >"$W/held" 2>"$W/listed" &
    holder=$!
    pids+=("$holder")
    exec 7>"$W/go"
    wait_until held_or_ended
    grep -q held "$W/held" || {
        let_go
        skip "no memory can be had whose page faults a program serves"
    }
}
let_go() {
    exec 7>&-
    wait "$holder" || true
    rm "$W/go"
}
# Stands in directory $1, which the kernel has listed; "list" through $W/ask prints how many names
# are read there then, or the error.
stand() {
    mkfifo "$W/ask" "$W/answer"
    python3 - "$1" "$W" <<'END' &
import os, sys
def count():
    return len(os.listdir(fd))
fd = os.open(sys.argv[1], os.O_RDONLY)
for i in range(3):
    count()
with open(sys.argv[2] + "/ask") as ask, open(sys.argv[2] + "/answer", "w") as answer:
    for line in ask:
        try:
            print(count(), file=answer, flush=True)
        except OSError as e:
            print(e.errno, file=answer, flush=True)
END
    pids+=("$!")
    exec 8>"$W/ask" 9<"$W/answer"
}
read_there() {
    local n
    echo list >&8
    read -r n <&9
    [[ $n == "$1" ]]
}

"$TALLY" -C "$M" branch main gone >/dev/null
mkdir "$M/gone/held" "$M/gone/other" "$M/main/busy"
touch "$M/gone/held/"{1..9} "$M/gone/other/"{1..9} "$M/main/busy/"{1..9}
ls "$M/main/busy" >/dev/null
ls "$M/main/busy" >/dev/null
stand "$M/gone/other"
read_there 9
hold "$M/gone/held"

claim "a namespace is dropped while one of its listings is held"
timeout -s KILL "$limit" "$TALLY" -C "$M" drop --force gone >/dev/null

claim "the mount goes on meanwhile, and waits for no other message either"
longest=$(timeout "$limit" python3 - "$M/main/busy" <<'END'
import os, sys, time
longest = 0
for i in range(200):
    start = time.monotonic()
    os.chmod(sys.argv[1], 0o705 | i % 8 << 3)
    longest = max(longest, time.monotonic() - start)
print(int(longest))
END
)
[[ $longest -lt 10 ]] || fail "it waited for the one that is held: $longest s"
eq "$(names "$M/main/busy")" "1 2 3 4 5 6 7 8 9 "

claim "what was to be forgotten is, once the listing is let go"
let_go
wait_until read_there 116 # ESTALE
exec 8>&- 9<&-
finish
