#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What hangs is said, with what it waits for, in journal, status, stats and metrics, and so is its end:
# a disk that hangs, in a sync and in a read. Nothing is said of a shard that never answers, of a
# stopped client, of commands that wait, or of a mount under load. systemd is told that the daemon
# lives, also while a disk hangs.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
bad_disk "$W/under" threads
S=$D/store
# What waits for it in the kernel is let go first.
end_all() {
    kill -KILL "$disk" 2>/dev/null || true
    wait "$disk" 2>/dev/null || true
    cleanup
}
trap end_all EXIT

t() { timeout "$limit" "$TALLY" -C "$M" "$@"; }
stat_of() { python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$M/.tally/stats.json" "$1"; }
metric() { sed -n "s/^tallyfs_$1 //p" "$M/.tally/metrics"; }
state() { t status | sed -n 's/^state  *//p'; }
journal() { grep -qE "$1" "$W/log"; }
count() { grep -cE "$1" "$W/log" || true; }
is_stuck() { [[ $(metric stuck_requests) -gt 0 ]]; }
is_well() { [[ $(metric stuck_requests) -eq 0 && $(metric stuck_threads) -eq 0 ]]; }

begin
claim "the setting is in the table, with its bounds"
matches "$(t get watchdog_patience)" 'watchdog_patience=30s'
fails t set watchdog_patience 2d

claim "under load with a patience of a second nothing is said"
t set watchdog_patience 3s >/dev/null
for i in 1 2 3; do
    (for k in {1..60}; do
        head -c 200000 /dev/urandom >"$M/main/load$i-$k"
        sync "$M/main/load$i-$k"
    done) &
    loads[i]=$!
done
exec {waiter}<>"$M/.tally/control" # a command that may wait for as long as it likes
sleep 600 >>"$M/main/stopped" &    # a client that is stopped with a file open
stopped=$!
pids+=("$stopped")
kill -STOP "$stopped"
t drain --idle 4s >/dev/null 2>&1 || true
wait_all "${loads[@]}"
eq "$(metric stuck_requests) $(metric stuck_threads)" "0 0"
eq "$(stat_of stuck_requests)" 0
quiet_log
kill -KILL "$stopped"
exec {waiter}>&-
drain

claim "a disk that hangs in a sync: the file is named, in the journal, the status and the numbers"
may_log '^tally: (ALARM|alarm|warning|note): .*(not answered|has not gone on|has not come back) for [0-9]+ seconds: waits for '
may_log '^tally: note: over after [0-9]+ seconds: the wait for '
fault "sync STALL"
python3 -c 'import os, sys
fd = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY)
os.write(fd, b"x" * 5000)
os.fsync(fd)' "$M/main/synced" &
writer=$!
pids+=("$writer")
wait_until is_stuck
matches "$(<"$W/log")" 'FSYNC, inode [0-9]+, is not answered for [0-9]+ seconds: waits for (a sync of the log of thread [0-9]+, which waits for )?a sync of [^ ]*/log/'
matches "$(state)" '^degraded: .*waits for .*a sync of [^ ]*/log/'
eq "$(stat_of state)" degraded
eq "$(stat_of stuck_requests)" 1
[[ $(metric longest_wait_seconds) -ge 3 ]]
eq "$(metric ok)" 0
matches "$(t status)" 'waiting  *[0-9]+, the longest for [0-9]+ s \(FSYNC\): ALARM'

claim "others go on, and it is said once"
eq "$(timeout "$limit" cat "$M/main/load1-1" | wc -c)" 200000
longer() { [[ $(metric longest_wait_seconds) -ge 6 ]]; }
wait_until longer
eq "$(count 'FSYNC, inode [0-9]+, is not answered')" 1

claim "when the disk goes on, that is said, and all is well again"
fault ""
wait "$writer"
wait_until is_well
wait_until journal 'over after [0-9]+ seconds: the wait for a sync of [^ ]*/log/'
eq "$(state)" ok

claim "a disk that hangs in a read: likewise"
drain
unmount_store
echo 3 >/proc/sys/vm/drop_caches
mount_with -o transport=threads # a ring's thread reads by itself, and who shares its CPU waits
fault "read STALL objects"
timeout "$limit" cat "$M/main/load1-1" >/dev/null &
reader=$!
pids+=("$reader")
wait_until is_stuck
matches "$(state)" '^degraded: READ, inode [0-9]+, is not answered for [0-9]+ seconds: waits for a read of [^ ]*/objects/'
fault ""
wait "$reader"
wait_until is_well
drain

claim "with 0 nothing is looked for"
t set watchdog_patience 0 >/dev/null
fault "sync STALL"
lines=$(wc -l <"$W/log")
python3 -c 'import os, sys
fd = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY)
os.write(fd, b"x" * 5000)
os.fsync(fd)' "$M/main/again" &
writer=$!
pids+=("$writer")
wait_until longer
eq "$(metric stuck_requests)" 0
eq "$(wc -l <"$W/log")" "$lines"
fault ""
wait "$writer"
t set watchdog_patience 3s >/dev/null

claim "a shard that never answers: who reads there gets an error, and no alarm is raised"
may_log '^tally: warning: shard 1 is unreachable: it does not answer$'
may_log '^tally: note: shard 1 is ok$'
mkdir "$D/cold"
t shard add 1 "dir:$D/cold" >/dev/null
t set shard_patience 5s >/dev/null
head -c 3000000 /dev/urandom >"$M/main/cold"
drain
t move main/cold 1 --wait >/dev/null
fault "read STALL cold"
echo 3 >/proc/sys/vm/drop_caches
eq "$(errno_of 'open(argv[0], "rb").read()' "$M/main/cold")" EIO
lines=$(count 'ALARM|alarm')
timeout "$limit" cat "$M/main/load2-2" >/dev/null
eq "$(metric stuck_requests) $(metric stuck_threads)" "0 0"
eq "$(count 'ALARM|alarm')" "$lines"
fault ""
back() { [[ $(t shard list) =~ 1\ .*ok ]]; }
wait_until back
unmount_store

claim "systemd is told that the daemon lives, and still is while a disk hangs"
cat >"$W/systemd.py" <<'END'
import os, socket, subprocess, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
child = subprocess.Popen(["bash", "-c", 'WATCHDOG_PID=$$ exec "$@"', "_", *sys.argv[3:]],
                         env={**os.environ, "NOTIFY_SOCKET": sys.argv[1], "WATCHDOG_USEC": "2000000"})
with open(sys.argv[2], "w") as out:
    print(child.pid, file=out, flush=True)
    s.settimeout(0.5)
    while child.poll() is None:
        try:
            print(s.recv(100).decode(), file=out, flush=True)
        except TimeoutError:
            pass
sys.exit(child.returncode)
END
ASAN_OPTIONS=$DAEMON_ASAN python3 "$W/systemd.py" "$W/notify" "$W/told" "$TALLY" mount -f "$S" "$M" </dev/null >>"$W/log" 2>&1 &
daemon=$!
pids+=("$daemon")
wait_until mounted_or_ended
pids+=("$(head -n 1 "$W/told")")
told() { [[ $(grep -c '^WATCHDOG=1$' "$W/told") -ge $1 ]]; }
wait_until told 3
fault "sync STALL"
python3 -c 'import os, sys
fd = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY)
os.write(fd, b"x" * 5000)
os.fsync(fd)' "$M/main/last" &
writer=$!
pids+=("$writer")
wait_until is_stuck
wait_until told $(($(grep -c WATCHDOG "$W/told") + 3))
is_stuck
fault ""
wait "$writer"
wait_until is_well
finish
