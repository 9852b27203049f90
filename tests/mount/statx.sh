#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Times of birth are answered below libfuse: of an object, where the answer waits for sealing,
# without taking a thread from the others, and without being lost when the mount ends.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
needs getfattr
bad_disk "$W/under" threads
S=$D/store
begin
may_log '^tally: warning: .*(slow|waits)'
"$TALLY" -C "$M" set view_wait 60s >/dev/null
echo small >"$M/main/small"
drain
id=$(getfattr --absolute-names --only-values -n user.tally.object "$M/main/small")
exec 3<"$M/.tally/objects/${id:0:2}/$id"

# ask N - that many ask for its birth, in the background.
waiting=()
ask() {
    local i
    waiting=()
    for ((i = 0; i < $1; i++)); do
        stat -L -c %w /proc/self/fd/3 >>"$W/births" 2>/dev/null &
        waiting+=($!)
    done
}
# Each of them waits for the daemon, as the kernel says where it sleeps.
all_wait() {
    local pid
    for pid in "${waiting[@]}"; do
        grep -q '^request_wait_answer$' "/proc/$pid/wchan" 2>/dev/null || return 1
    done
}
# Has the daemon taken its SIGTERM (15)?
term_taken() { [[ $((0x$(awk '/^ShdPnd:/ { print $2 }' "/proc/$daemon/status") >> 14 & 1)) -eq 0 ]]; }

# Something to be sealed, by a disk whose syncs wait.
put_large() {
    fault "sync STALL"
    head -c 3M /dev/urandom >"$M/main/large"
}

claim "the mount is there for others while an object's stat waits for a large file to be sealed"
put_large
ask 20
wait_until all_wait || fail "not all of them ask: $(cat "/proc/${waiting[0]}/wchan")"
eq "$(cat "$M/main/small")" small
echo other >"$M/main/other"
all_wait || fail "they do not wait any more"
fault ""
wait_all "${waiting[@]}"
eq "$(grep -c . "$W/births")" 20

claim "a mount that ends while they wait ends well"
put_large
ask 2
exec 3<&-
wait_until all_wait || fail "they do not ask"
kill -TERM "$daemon"
wait_until term_taken
fault ""
wait "$daemon"
for pid in "${waiting[@]}"; do
    rc=0
    wait "$pid" || rc=$?
    [[ $rc -le 1 ]] || fail "exit code $rc of stat"
done
quiet_log
mount_store
eq "$(stat -c %s "$M/main/large")" $((3 << 20))
finish
