#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A disk whose syncs take for ever: who syncs waits, and who writes once the memory for what is not
# written is full. Nobody else does, also not who shares a CPU with any number of those, by io_uring
# (where the kernel's switch is on) as by threads.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
bad_disk "$W/under" threads
S=$D/store
needs taskset
begin
may_log '^tally: warning: .*(slow|waits)'
"$TALLY" -C "$M" set flush_interval 1h >/dev/null # only who asks meets the disk
"$TALLY" -C "$M" set buffers 1M >/dev/null
# The kernel lets nobody look for a name that it has forgotten while somebody makes a file beside
# it.
mkdir "$M/main/d" "$M/main/w"
echo other >"$M/main/d/other"
drain
cpu=$(python3 -c 'import os; print(min(os.sched_getaffinity(0)))') # a container need not have the first
by() { sed -n 's/^requests *by //p' "$M/.tally/status"; }

# in_threads N CODE - Python in N threads on one CPU, each with its number i; GO appears when all that
# have not ended wait in the kernel and none gets any further.
in_threads() {
    rm -f "$W/go"
    taskset -c "$cpu" python3 - "$1" "$M/main/w" "$2" "$W/go" <<'END' &
import os, sys, threading, time
count, top, code, go = int(sys.argv[1]), sys.argv[2], compile(sys.argv[3], "x", "exec"), sys.argv[4]
steps = [0] * count
failed = []
def one(i):
    try:
        exec(code, {"i": i, "os": os, "top": top, "steps": steps})
    except OSError as e:
        failed.append(e)
ts = [threading.Thread(target=one, args=(i,)) for i in range(count)]
for t in ts:
    t.start()
def look():
    waits = 0
    for t in ts:
        try:
            with open(f"/proc/self/task/{t.native_id}/wchan") as f:
                waits += t.is_alive() and f.read() != "0"
        except FileNotFoundError:
            pass
    return list(steps), waits == sum(t.is_alive() for t in ts)
before = None
while (now := look()) != before or not now[1]:
    before = now
    time.sleep(0.5)
open(go, "w").close()
for t in ts:
    t.join()
print(f"{sum(steps)} steps, {failed}")
sys.exit(1 if failed else 0)
END
    threads=$!
    pids+=("$threads")
    wait_until test -e "$W/go"
}
others_go_on() {
    eq "$(timeout "$limit" taskset -c "$cpu" stat --cached=never -c %s "$M/main/d/other")" 6
    eq "$(timeout "$limit" taskset -c "$cpu" cat "$M/main/d/other")" other
    fails timeout "$limit" taskset -c "$cpu" ls "$M/main/d/nothing-of-that-name"
}

for transport in threads uring; do
    [[ $transport == threads || $(cat /sys/module/fuse/parameters/enable_uring 2>/dev/null) == Y ]] || continue
    unmount_store
    mount_with -o "transport=$transport"
    touch "$M/main/d/other" # the log's first segment is there

    claim "$transport: 200 fsyncs at once on one CPU: others go on there"
    fault "sync STALL"
    in_threads 200 '
fd = os.open(f"{top}/sync{i}", os.O_CREAT | os.O_WRONLY)
os.write(fd, b"x")
steps[i] += 1
os.fsync(fd)
steps[i] += 1
os.close(fd)'
    kill -0 "$threads"
    eq "$(python3 -c 'import json, sys
s = json.load(open(sys.argv[1]))
print(s["waiting_requests"] > 0, s["longest_wait_seconds"] > 0)' "$M/.tally/stats.json")" "True True"
    others_go_on
    fault ""
    wait "$threads"

    claim "$transport: who asks what 100 new files are when they are sealed: others go on there"
    fault "sync STALL"
    in_threads 100 '
with open(f"{top}/ask{i}", "wb") as f:
    f.write(os.urandom(200000))
try:
    os.getxattr(f"{top}/ask{i}", "user.tally.object")
except OSError as e:
    if e.errno != 61:
        raise # ENODATA: not yet
steps[i] += 1'
    others_go_on
    fault ""
    wait "$threads"
    rm -r "$M"/main/w/*

    claim "$transport: writers that wait for memory: others go on there"
    mkdir "$M"/main/w/{0..99} # of their own: in one the kernel lets one at a time make a file
    fault "sync STALL"
    in_threads 100 '
for k in range(20):
    with open(f"{top}/{i}/write{k}", "wb") as f:
        f.write(os.urandom(20000))
    steps[i] += 1'
    kill -0 "$threads"
    others_go_on
    fault ""
    wait "$threads"
    eq "$(cat "$M"/main/w/*/write* | wc -c)" $((100 * 400000))
    rm -r "$M"/main/w/*
done
finish
