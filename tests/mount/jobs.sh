#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Long work as people see it: .tally/jobs, tally jobs, wait, cancel, and the bar on a terminal.
set -euo pipefail
leaks=all
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin
cd "$M"
job() { sed -n "s/^$2=//p" "$M/.tally/jobs/$1"; }
newest() { names "$M/.tally/jobs" | tr ' ' '\n' | sort -n | tail -n 1; }
# A large file that is open keeps `drain idle` waiting: a job that lasts as long as we like.
hold() { exec 8>"$M/main/held" && head -c 3000000 /dev/urandom >&8; }
let_go() { exec 8>&-; }
begin_drain() {
    local before
    before=$(newest)
    hold
    "$TALLY" -C "$M" drain --idle >"$W/drained" 2>&1 8>&- &
    drain=$!
    pids+=("$drain")
    wait_until newer_than "${before:-0}"
    number=$(newest)
    wait_until is_begun "$number"
}
is_begun() { [[ $(job "$1" state) != queued ]]; }
threads() { find "/proc/$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["pid"])' "$M/.tally/stats.json")/task" -mindepth 1 -maxdepth 1 | wc -l; }
begun() { "$TALLY" "$@" | sed -n 's/.*job=//p'; }
newer_than() { [[ $(newest) -gt $1 ]]; }

claim "a rebuild tells how far it is, its rate, its ends and its result"
for i in {1..50}; do echo "$i" >"main/f$i"; done
matches "$("$TALLY" rebuild --wait)" '^changed=0 job=[0-9]+$'
number=$(newest)
eq "$(job "$number" state) $(job "$number" percent) $(job "$number" changed)" "done 100.0 0"
[[ $(job "$number" done) -ge 1 && $(job "$number" done) == "$(job "$number" total)" ]]
[[ $(job "$number" bytes_done) == "$(job "$number" bytes_total)" ]]
matches "$(job "$number" started) $(job "$number" ended)" '^20[0-9T:-]+Z 20[0-9T:-]+Z$'
eq "$(job "$number" error)" 0

claim "tally jobs lists them; one alone; as JSON"
matches "$("$TALLY" jobs)" "$number +done +rebuild 100.0%, [0-9]+ of [0-9]+"
matches "$("$TALLY" jobs "$number")" "state +done"
eq "$("$TALLY" jobs --json | python3 -c 'import json, sys; j = json.load(sys.stdin)[-1]; print(j["verb"], j["percent"], j["changed"])')" "rebuild 100.0 0"
eq "$("$TALLY" jobs --json "$number" | python3 -c 'import json, sys; print(json.load(sys.stdin)["state"])')" "done"
fails "$TALLY" jobs 99999
matches "$(cat "$W/said")" 'there is no job 99999'
fails "$TALLY" jobs some
matches "$(cat "$W/said")" 'some is not the number of a job'
eq "$(cd / && "$TALLY" -C "$M" jobs)" "$("$TALLY" jobs)"
matches "$("$TALLY" help jobs)" 'usage: tally jobs'

claim "a drain is a job that can be seen and cancelled; who waits for it hears so"
begin_drain
matches "$("$TALLY" jobs)" "$number +running +drain .*\(idle\)"
"$TALLY" cancel "$number"
rc=0
wait "$drain" || rc=$?
eq "$rc" 1
matches "$(cat "$W/drained")" "the drain was cancelled \(job $number\)"
eq "$(job "$number" state) $(job "$number" error)" "cancelled ECANCELED"
let_go

claim "a job that rests for its rate holds up no other, and status shows that it rests"
head -c 100000000 /dev/urandom >main/much # 100 seconds of a scrub at 1M
drain
before=$(threads)
"$TALLY" set max_in_flight_jobs 1
"$TALLY" set scrub_rate 1M
scrub=$(begun scrub)
rests() { grep -Eq 'long_idle +queued=0 running=0 waiting=0 resting=1' .tally/status; }
wait_until rests
matches "$(cat .tally/status)" 'jobs +running=1 queued=0'
matches "$(cat .tally/metrics)" 'tallyfs_workers_resting\{class="long_idle"\} 1'
eq "$(python3 -c 'import json; w = json.load(open(".tally/stats.json"))["workers"]["long_idle"]; print(w["queued"], w["running"], w["resting"])')" "0 0 1"
for verb in gc compact rebuild sweep; do "$TALLY" "$verb" --wait; done
drain
[[ $(threads) -le $((before + 3)) ]]
eq "$(job "$scrub" state)" running
fails "$TALLY" wait "$scrub" 10ms
matches "$(cat "$W/said")" "job $scrub goes on"
"$TALLY" cancel "$scrub"
fails "$TALLY" wait "$scrub" "${limit}s"
eq "$(job "$scrub" state)" cancelled
"$TALLY" set max_in_flight_jobs 0
"$TALLY" set scrub_rate 64M

claim "who is stopped and goes on waits on, for a job and for a drain"
# stopped_once COMMAND… - runs it in the background, as $stopped, and stops it once while it waits.
is_state() { [[ $(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$1/status") == "$2" ]]; }
in_write() { [[ $(<"/proc/$1/syscall") =~ ^(1|64)\  ]]; } # of x86 and of arm64
stopped_once() {
    local before
    before=$(newest)
    "$@" >"$W/stopped" 2>&1 8>&- &
    stopped=$!
    pids+=("$stopped")
    wait_until newer_than "$before"
    wait_until is_begun "$(newest)"
    wait_until in_write "$stopped"
    kill -STOP "$stopped"
    wait_until is_state "$stopped" T
    kill -CONT "$stopped"
}
"$TALLY" set scrub_rate 1M
stopped_once "$TALLY" scrub --wait
"$TALLY" set scrub_rate 1G
wait "$stopped"
matches "$(cat "$W/stopped")" 'damaged=0 .*job='
"$TALLY" set scrub_rate 64M
hold
stopped_once "$TALLY" drain --idle
let_go
wait "$stopped"
matches "$(cat "$W/stopped")" '^seq='

claim "a drop is a job; it cannot be cancelled, and ends at all of it"
mkdir "$M/gone"
for i in {1..300}; do echo "$i" >"$M/gone/f$i"; done
drain
number=$("$TALLY" drop gone | sed -n 's/.*job=\([0-9]*\).*/\1/p')
"$TALLY" wait "$number" "${limit}s"
eq "$(job "$number" verb) $(job "$number" state) $(job "$number" percent)" "drop done 100.0"
eq "$(job "$number" done)" "$(job "$number" total)"

claim "on a terminal a bar is drawn again and again, and wiped; elsewhere there is none"
begin_drain
timeout "$limit" python3 - "$TALLY" "$M" "$number" "$W/drawn" <<'END' 8>&- &
import os, pty, select, sys
tally, mnt, number, drawn = sys.argv[1:]
pid, fd = pty.fork()
if pid == 0:
    os.execv(tally, [tally, "-C", mnt, "wait", number])
said = b""
def read():
    global said
    try:
        part = os.read(fd, 4096)
    except OSError: # EIO: the other side is closed
        return False
    said += part
    return bool(part)
while said.count(b"\r[") < 3: # redrawn; the test's own limit of time ends a hang
    assert read(), said
assert b"] drain " in said and b"%" in said, said
os.close(os.open(drawn, os.O_CREAT | os.O_WRONLY)) # now the job may end
while read():
    pass
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, said
assert said.rstrip().split(b"\x1b[K")[-1].strip().startswith(b"All changes up to number "), said
END
terminal=$!
pids+=("$terminal")
wait_until test -e "$W/drawn"
let_go
wait "$terminal"
wait "$drain"
matches "$(cat "$W/drained")" '^seq='
eq "$("$TALLY" wait "$number" 2>&1)" "$(cat "$W/drained")"
finish
