#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What the way in which requests come must not do: cost while nothing is asked for, need a system
# call that is forbidden, lose who is in a mount that goes. By io_uring where the kernel's switch is
# on (tests/matrix --only uring turns it on), else by threads. disk_stall.sh: a slow sync delays no
# neighbour.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin
by() { sed -n 's/^requests *by //p' "$M/.tally/status"; }
find_transports

# quiet_second PID - does some second of thirty cost all threads of it at most one tick (10 ms)?
# What is left of earlier work, and a busy machine, only make that later; whoever spins never gets
# there.
quiet_second() {
    python3 - "$1" <<'END'
import glob, sys, time
def ticks():
    total = 0
    for path in glob.glob(f"/proc/{sys.argv[1]}/task/*/stat"):
        with open(path) as f:
            field = f.read().rsplit(")", 1)[1].split()
        total += int(field[11]) + int(field[12])
    return total
used = []
for _ in range(30):
    before = ticks()
    time.sleep(1)
    used.append(ticks() - before)
    if used[-1] <= 1:
        sys.exit(0)
sys.exit(f"ticks in each second: {used}")
END
}

# Each worker puts $W/turned.N after each of its turns, until $W/stop is there.
writes() ( # NUMBER
    cd "$M/main"
    n=0
    while [[ ! -e $W/stop ]]; do
        n=$((n + 1))
        echo "$1 $n" >"w$1.new"
        mv "w$1.new" "w$1"
        eq "$(<"w$1")" "$1 $n"
        : >"$W/turned.$1"
    done
    echo "$n" >"$W/done$1"
)
reads() ( # NUMBER
    cd "$M/main"
    while [[ ! -e $W/stop ]]; do
        cmp large "$W/large"
        : >"$W/turned.$1"
    done
)
# in_the_mount - readers and writers, four of each.
in_the_mount() {
    for i in 1 2 3 4; do
        writes "$i" &
        workers[i]=$!
        reads "$((i + 4))" &
        workers[i + 4]=$!
        pids+=("${workers[i]}" "${workers[i + 4]}")
    done
}
all_turned() { [[ $(names "$W" | grep -o 'turned\.[1-8] ' | wc -l) -eq 8 ]]; }
# another_turn - each of them has begun and ended one.
another_turn() {
    for _ in 1 2; do
        rm -f "$W"/turned.*
        wait_until all_turned || fail "not all of them go on"
    done
}

head -c 1500000 /dev/urandom >"$W/large"
cp "$W/large" "$M/main/large"
for transport in "${transports[@]}"; do
    claim "$transport: nothing asked for costs nothing"
    unmount_store
    if ! mount_with -o "transport=$transport"; then
        [[ $transport == uring ]] && grep -q "switch is off" "$W/log" || fail "not mounted"
        echo "somebody who does not lock the switch turned it off: no more of io_uring here"
        : >"$W/log"
        transports=(threads)
        mount_store
        break
    fi
    matches "$(by)" "${transport/uring/io_uring}"
    cmp "$W/large" "$M/main/large"
    drain
    quiet_second "$daemon"

    claim "$transport: who is in a mount that is detached goes on; when the last has left, it ends"
    rm -f "$W/stop" "$M"/main/w?
    workers=()
    in_the_mount
    another_turn
    umount -l "$M"
    another_turn
    ! ended "$daemon" || fail "it ended while somebody is in there"
    touch "$W/stop"
    wait_all "${workers[@]}"
    wait_until ended "$daemon"
    wait "$daemon"
    quiet_log
    check_clean
    mount_store
    for i in 1 2 3 4; do
        eq "$(<"$M/main/w$i")" "$i $(<"$W/done$i")"
    done
done

# without_uring COMMAND… - in which io_uring_setup is EPERM, as under a container's seccomp
# profile.
without_uring() {
    python3 - "$@" <<'END'
import ctypes, errno, os, struct, sys
IO_URING_SETUP = 425  # on every architecture
# load the number; is it that one? EPERM : allow
code = [(0x20, 0, 0, 0), (0x15, 0, 1, IO_URING_SETUP), (0x06, 0, 0, 0x00050000 | errno.EPERM),
        (0x06, 0, 0, 0x7fff0000)]
text = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *c) for c in code))
class Program(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_void_p)]
program = Program(len(code), ctypes.addressof(text))
libc = ctypes.CDLL(None, use_errno=True)
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program)):
    sys.exit(f"seccomp: {os.strerror(ctypes.get_errno())}")
os.execv(sys.argv[1], sys.argv[1:])
END
}
claim "io_uring_setup is forbidden: the mount goes on by threads, and transport=uring is refused"
unmount_store
(
    tally=$TALLY TALLY=$W/tally
    printf '%s\n' '#!/bin/bash' "$(declare -f without_uring)" "without_uring '$tally' \"\$@\"" >"$TALLY"
    chmod +x "$TALLY"
    fails "$TALLY" mount -o transport=uring "$S" "$M"
    [[ ${#transports[@]} -eq 1 ]] || matches "$(<"$W/said")" 'no requests by io_uring: Operation not permitted'
    MOUNT_OPTIONS='' mount_with -o transport=auto
    eq "$(by)" threads
    cmp "$W/large" "$M/main/large"
    umount -i "$M"
    wait "$daemon"
)
quiet_log
mount_store
finish
