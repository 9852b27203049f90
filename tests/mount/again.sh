#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A mount that is asked for while the last daemon of the store is ending waits for it, as that of a
# disk does; says so after a second, and does not wait for who does not end.
set -euo pipefail
leaks=all
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin
"$TALLY" umount "$M"
wait "$daemon"
up() {
    timeout "$limit" "$TALLY" mount "$S" "$M" 2>"$W/said" || fail "not mounted: $(<"$W/said")"
    daemon=$(daemon_of "$M")
    pids+=("$daemon")
}
tells_end() { grep -q what=ending "$S/lock" || ended "$daemon"; }
said() { grep -q "$1" "$W/said"; }

claim "after umount(2), and after SIGTERM: at once, and all is there"
up
for i in {1..8}; do
    head -c 8000000 /dev/urandom >"$M/main/large"
    for n in {1..20}; do echo "$i $n" >"$M/main/f$n"; done
    want=$(tree_digest "$M")
    if [[ $((i % 2)) == 0 ]]; then
        umount -i "$M"
    else
        kill -TERM "$daemon"
    fi
    up
    eq "$(tree_digest "$M")" "$want"
done

claim "a daemon that takes long: a sentence after a second, and the mount when it is gone"
kill -STOP "$daemon"
python3 -c 'import ctypes, os, sys
sys.exit(ctypes.CDLL(None).umount2(os.fsencode(sys.argv[1]), 0))' "$M" # umount(8) would ask the daemon first
"$TALLY" mount "$S" "$M" 2>"$W/said" &
mounting=$!
pids+=("$mounting")
wait_until said 'waiting for process' || fail "said: $(<"$W/said")"
! mountpoint -q "$M" || fail "it is mounted beside the one that ends"
kill -CONT "$daemon"
wait "$mounting" || fail "not mounted: $(<"$W/said")"
daemon=$(daemon_of "$M")
pids+=("$daemon")
eq "$(tree_digest "$M")" "$want"

# Also where the list of mounts has the store by another name.
ln -s "$W" "$W/itself"
for verb in check log; do
    claim "the same for tally $verb, which says what it waits for and then looks"
    kill -STOP "$daemon"
    python3 -c 'import ctypes, os, sys
sys.exit(ctypes.CDLL(None).umount2(os.fsencode(sys.argv[1]), 0))' "$M"
    (cd "$W/itself" && exec "$TALLY" "$verb" store) >"$W/said" 2>&1 &
    looking=$!
    pids+=("$looking")
    wait_until said 'waiting for process' || fail "said: $(<"$W/said")"
    kill -CONT "$daemon"
    wait "$looking" || fail "$verb: $(<"$W/said")"
    up
done

claim "told to end, with a file open: the same at the same mount point, while it is still mounted"
exec 8<"$M/main/large"
kill -TERM "$daemon"
wait_until tells_end
up
exec 8<&-
eq "$(tree_digest "$M")" "$want"

claim "one that is mounted is refused at once, and so is one that is used by another command"
mkdir "$W/other"
at_once() { ! said 'waiting for' || fail "it waited: $(<"$W/said")"; } # which it says after a second
fails "$TALLY" mount "$S" "$W/other"
matches "$(<"$W/said")" "in use: mounted at $M"
at_once
fails "$TALLY" mount "$S" "$M"
matches "$(<"$W/said")" 'is a tally mount already'
at_once

claim "the same where the list of mounts has a symlink to the store"
"$TALLY" umount "$M"
ln -s "$S" "$W/alias"
"$TALLY" mount "$W/alias" "$M"
pids+=("$(daemon_of "$M")")
fails "$TALLY" check "$S"
matches "$(<"$W/said")" "in use: mounted at $M"
at_once
"$TALLY" umount "$M"
up

claim "one that was unmounted lazily, and is still in use, is not waited for for ever"
exec 8<"$M/main/large"
umount -il "$M"
fails timeout "$limit" "$TALLY" mount "$S" "$W/other"
matches "$(<"$W/said")" 'in use'
exec 8<&-
up
"$TALLY" umount "$M"
check_clean
claim "all of ${test_file##*/}"
