#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# An automounter mounts a store, and a namespace of it, when somebody looks at the directory (x-systemd.automount).
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin
echo text >"$M/main/file"
unmount_store
mkdir "$W/auto"

# with_automounter COMMAND... - it is asked for $W/auto; says what it said.
with_automounter() {
    local rc=0
    coproc "$(dirname "$test_file")/automount.py" "$W/auto" "$@" 2>"$W/automounter"
    # shellcheck disable=SC2153  # of coproc
    automounter=$COPROC_PID said=${COPROC[0]} ends=${COPROC[1]}
    pids+=("$automounter")
    read -r -t "$limit" first <&"$said" || { wait "$automounter" || rc=$?; }
    [[ $rc -ne 77 ]] || skip "the kernel has no autofs"
    eq "${first:-}" ready
}
end_automounter() {
    exec {ends}>&-
    wait "$automounter"
}

claim "the whole is mounted when it is looked at, again after it was unmounted"
with_automounter "$TALLY" mount "$S" "$W/auto"
for _ in 1 2; do
    eq "$(timeout "$limit" cat "$W/auto/main/file")" text
    read -r -t "$limit" what _ <&"$said"
    eq "$what" mounted
    "$TALLY" umount "$W/auto"
done
end_automounter

claim "so is one namespace, and the daemon is in a session of its own"
with_automounter "$TALLY" mount -o ns=main "$S" "$W/auto"
eq "$(timeout "$limit" cat "$W/auto/file")" text
read -r -t "$limit" what _ <&"$said"
eq "$what" mounted
pid=$(daemon_of "$W/auto")
eq "$(ps -o sid= -p "$pid" | tr -d ' ')" "$pid"
"$TALLY" umount "$W/auto"
end_automounter
check_clean
claim "all of automount.sh"
