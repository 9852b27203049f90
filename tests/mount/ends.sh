#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every way in which a mount ends: afterwards all that had returned is there, no process is left, no
# dead mount, and the store is sound.
set -euo pipefail
leaks=all
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin
# What the daemon says when it is forced.
may_log '^tally: warning: told to end at once: what is not done is dropped, the next mount goes on from the log$'
may_log '^tally: note: '
may_log '^tally mount: '

# Files small and large, closed and not synced; some of them in a namespace of its own.
work() {
    local i
    mkdir -p "$M/main/$1"
    for i in {1..30}; do echo "$1 $i" >"$M/main/$1/f$i"; done
    head -c 3000000 /dev/urandom >"$M/main/$1/large"
    head -c 90000 /dev/urandom >"$M/main/$1/medium"
    mv "$M/main/$1/f1" "$M/main/$1/f2"
    ln "$M/main/$1/f3" "$M/main/$1/linked"
    "$TALLY" -C "$M" branch main "$1" >/dev/null
    echo more >>"$M/$1/$1/f4"
    setfattr -n user.k -v v "$M/main/$1/f5"
}
# Two signals, which it takes together, however long it has to end after the first.
tell_twice() {
    local signal
    for signal in STOP TERM INT CONT; do kill -"$signal" "$daemon"; done
}
a_drain_runs() { "$TALLY" -C "$M" jobs | grep -q 'running.*drain'; }
is_unmounted() { ! mountpoint -q "$M"; }
# all_is_there NAME [CODE] - the daemon must be gone, with that exit code, and all be there in the
# next mount.
all_is_there() {
    wait_until ended "$daemon" || fail "the daemon does not end"
    wait_until is_unmounted || fail "a dead mount is left"
    local rc=0
    wait "$daemon" 2>/dev/null || rc=$?
    eq "$rc" "${2:-0}"
    mount_store
    eq "$(tree_digest "$M")" "$want"
    eq "$(getfattr --only-values -n user.k "$M/main/$1/f5" 2>/dev/null)" v
}

claim "tally umount: the daemon is gone when it returns"
work a
want=$(tree_digest "$M")
"$TALLY" umount "$M"
ended "$daemon" || fail "the daemon is still there"
wait "$daemon"
check_clean
all_is_there a

claim "a process that has it in another mount namespace is named while tally umount waits for it"
mkfifo "$W/held"
unshare -m --propagation private sh -c 'echo >"$0"; exec sleep "$1"' "$W/held" "$limit" &
holder=$!
pids+=("$holder")
read -r _ <"$W/held"
"$TALLY" umount "$M" 2>"$W/said" &
umount=$!
pids+=("$umount")
named() { grep -qE "process $holder \((sh|sleep)\) has it mounted" "$W/said"; }
wait_until named
kill "$holder"
wait "$umount"
ended "$daemon" || fail "the daemon is still there"
wait "$daemon"
mount_store

claim "a plain umount: the daemon ends by itself, with everything on disk"
work b
want=$(tree_digest "$M")
umount -i "$M"
all_is_there b

for sig in TERM INT; do
    claim "SIG$sig, with files open and a drain that waits for one of them"
    work "s$sig"
    want=$(tree_digest "$M")
    exec 8>"$M/main/held" 9<"$M/main/a/large"
    head -c 1000000 /dev/zero >&8
    "$TALLY" -C "$M" drain --idle >"$W/drained" 2>&1 8>&- 9<&- &
    drain=$!
    pids+=("$drain")
    wait_until a_drain_runs
    kill -"$sig" "$daemon"
    wait_until ended "$daemon" || fail "the daemon does not end"
    rc=0
    wait "$drain" || rc=$?
    eq "$rc" 1
    exec 8>&- 9<&-
    wait "$daemon"
    wait_until is_unmounted
    mount_store
    eq "$(stat -c %s "$M/main/held")" 1000000
    rm "$M/main/held"
    eq "$(tree_digest "$M")" "$want"
done

claim "SIGTERM, while a branch waits for the kernel to write what a mapping made dirty"
# Prints OK or the errno of the branch. The signal comes as soon as the command is with the daemon.
rc=$(timeout "$limit" python3 - "$M/main/mapped" "$M/.tally/control" "$daemon" <<'END'
import errno, mmap, os, signal, sys, threading, time
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
os.ftruncate(fd, 48 << 20)
m = mmap.mmap(fd, 0)
for at in range(0, len(m), 4096):
    m[at:at + 8] = at.to_bytes(8, "little")
control = os.open(sys.argv[2], os.O_RDWR)
said = []
def branch():
    try:
        os.write(control, b"branch main mapped")
        said.append("OK")
    except OSError as e:
        said.append(errno.errorcode[e.errno])
t = threading.Thread(target=branch)
t.start()
def waits():
    with open(f"/proc/self/task/{t.native_id}/wchan") as f:
        return "wait_answer" in f.read()
end = time.monotonic() + 2
while not waits() and not said and time.monotonic() < end:
    pass
os.kill(int(sys.argv[3]), signal.SIGTERM)
t.join()
print(said[0])
END
)
wait_until ended "$daemon" || fail "the daemon does not end"
wait "$daemon"
wait_until is_unmounted
mount_store
[[ $rc != OK || -d $M/mapped ]] || fail "the branch that was told of is not there"
rm "$M/main/mapped"
[[ ! -e $M/mapped ]] || "$TALLY" -C "$M" drop mapped >/dev/null

claim "SIGTERM twice: forced, and the next mount goes on from the log"
for i in 1 2; do
    work "twice$i"
    want=$(tree_digest "$M")
    tell_twice
    all_is_there "twice$i" 1
done

claim "SIGKILL: nothing that had returned is lost"
for i in 1 2; do
    work "kill$i"
    want=$(tree_digest "$M")
    kill_daemon
    all_is_there "kill$i" 137
done

claim "in the background, too: a second signal leaves neither process nor mount"
unmount_store
"$TALLY" mount "$S" "$M"
daemon=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["pid"])' "$M/.tally/stats.json")
pids+=("$daemon")
work back
want=$(tree_digest "$M")
tell_twice
all_is_there back 127 # it is no child of the shell, which has no code of it

claim "while a drop is worked off: umount finishes it; after SIGKILL it goes on as a job"
fill() {
    mkdir "$M/gone"
    python3 - "$M/gone" <<'END'
import os, sys
for i in range(800):
    with open(f"{sys.argv[1]}/a-name-that-takes-its-room-{i:060}", "w") as f:
        f.write(str(i))
END
    want=$(tree_digest "$M/main")
}
fill
"$TALLY" -C "$M" drop gone >/dev/null
"$TALLY" umount "$M"
ended "$daemon" || fail "the daemon is still there"
wait "$daemon"
check_clean
mount_store
matches "$(cat "$M/.tally/status")" 'drops +pending_pages=0'
fill
"$TALLY" -C "$M" drop gone >/dev/null
kill_daemon
mount_store
[[ ! -e $M/gone ]]
eq "$(grep -l 'detail=resumed' "$M"/.tally/jobs/* | wc -l)" 1
drain
matches "$(cat "$M/.tally/status")" 'drops +pending_pages=0'
eq "$(tree_digest "$M/main")" "$want"
finish
