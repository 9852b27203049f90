#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What a mount does, seen from outside: profile, top, metrics, doctor.
leaks=all
. "$(dirname "$0")/lib.sh"
needs python3 curl
begin
mkdir "$M/a secret namespace"
echo hello >"$M/main/a secret file"

# asks - reads and writes in a namespace until the profile, which is recorded meanwhile, has ended.
asks() {
    while [[ ! -e $W/ended ]]; do
        cat "$M/main/a secret file" >/dev/null
        echo more >>"$M/a secret namespace/b"
    done
}
recorded() { # OPTION… - a profile of two seconds beside asks
    local pid
    rm -f "$W/ended"
    asks &
    pid=$!
    "$TALLY" -C "$M" profile "$@" 2 >"$W/out"
    touch "$W/ended"
    wait "$pid"
}

claim "a profile names program, namespace and kind of request"
recorded
grep -qE '^program=cat pid=[0-9]+ ns=main op=OPEN count=[1-9][0-9]* total_us=[1-9]' "$W/out"
grep -qE '^program=bash pid=[0-9]+ ns="a secret namespace" op=WRITE count=' "$W/out"

claim "as JSON it has the quantiles of each, and none above the longest"
recorded --json
python3 - "$W/out" <<'END'
import json, sys
rows = json.load(open(sys.argv[1]))["rows"]
assert any(r["program"] == "cat" and r["op"] == "OPEN" for r in rows)
assert all(0 <= r["p50_us"] <= r["p99_us"] <= r["max_us"] and r["count"] > 0 for r in rows), rows
END

claim "for people it is three tables"
recorded --human
eq "$(grep -cE '^(REQUEST|NAMESPACE|PROGRAM) +COUNT +PER S +MEAN +P50 +P99 +MAX +TIME$' "$W/out")" 3

claim "an interrupted profile shows what there is so far"
python3 - "$TALLY" "$M" <<'END'
import signal, subprocess, sys, time
p = subprocess.Popen([sys.argv[1], "-C", sys.argv[2], "profile", "--json", "3600"], stdout=subprocess.PIPE,
                     preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))  # until it records
end = time.monotonic() + 60
while p.poll() is None:
    assert time.monotonic() < end
    p.send_signal(signal.SIGINT)
    time.sleep(0.1)
assert p.returncode == 0 and b'"rows"' in p.stdout.read()
END

claim "a number of seconds that is none is refused"
fails "$TALLY" -C "$M" profile 0
grep -q '0 is no number of seconds from 1 to 3600' "$W/said"
fails "$TALLY" -C "$M" profile 3601
fails "$TALLY" -C "$M" profile 1 2

claim "metrics of a mount have its name, and promtool has nothing to say"
"$TALLY" -C "$M" metrics >"$W/metrics"
grep -qF "tallyfs_up{mount=\"$M\"} 1" "$W/metrics"
grep -qE "^tallyfs_request_duration_seconds_bucket\{mount=\"[^\"]*\",op=\"WRITE\",le=\"\+Inf\"\} [1-9]" "$W/metrics"
if command -v promtool >/dev/null; then
    eq "$(promtool check metrics <"$W/metrics" 2>&1)" ""
fi

claim "without -C they are of all mounts that are seen"
# alone COMMAND… - in a mount namespace that has no mount of tally but this one: mounts of other tests, which may be
# about to be unmounted, are not touched.
alone() {
    # shellcheck disable=SC2016  # expands in the other shell
    unshare -m bash -c 'while read -r mnt; do
            [[ $mnt == "$1" ]] || umount -il "$mnt"
        done < <(findmnt -rno TARGET -t fuse.tally)
        shift
        exec "$@"' _ "$M" "$@"
}
alone "$TALLY" metrics >"$W/metrics"
grep -qF "tallyfs_up{mount=\"$M\"} 1" "$W/metrics"
eq "$(grep -c '^# TYPE tallyfs_objects gauge' "$W/metrics")" 1

claim "a textfile is whole, can be read by everybody, and replaces the last one"
mkdir "$W/collector"
(umask 077 && "$TALLY" -C "$M" metrics --textfile "$W/collector")
"$TALLY" -C "$M" metrics --textfile "$W/collector"
eq "$(ls -A "$W/collector")" tallyfs.prom
eq "$(stat -c %a "$W/collector/tallyfs.prom")" 644
grep -q '^tallyfs_objects{' "$W/collector/tallyfs.prom"
fails "$TALLY" -C "$M" metrics --textfile "$W/absent"
grep -q 'absent: No such file or directory' "$W/said"

claim "they are served by HTTP, to this machine only"
"$TALLY" -C "$M" metrics --listen 0 >"$W/served" &
pids+=($!)
wait_until grep -q '^serving http://127.0.0.1:[0-9]*/metrics' "$W/served"
url=$(sed 's/serving //' "$W/served")
curl -sf "$url" >"$W/metrics"
grep -qF "tallyfs_up{mount=\"$M\"} 1" "$W/metrics"
eq "$(curl -s -o /dev/null -w '%{http_code}' "${url%metrics}other")" 404
eq "$(curl -s -o /dev/null -w '%{http_code}' -d x "$url")" 405
fails "$TALLY" -C "$M" metrics --listen "${url//[^0-9:]/}"
kill "${pids[-1]}"
wait "${pids[-1]}"

claim "an address that is none is refused"
for address in '' x 70000 1:2:3 :80 '[::1' 127.0.0.1:x; do
    fails "$TALLY" -C "$M" metrics --listen "$address"
done
fails "$TALLY" -C "$M" metrics --listen 1 --textfile "$W"

claim "the doctor says what it looked at, with advice, and its report has no names"
"$TALLY" -C "$M" doctor >"$W/out"
grep -qE '^good +state ' "$W/out"
grep -qE '^hint +scrub +no scrub has ever read all contents; .tally scrub' "$W/out"
"$TALLY" -C "$M" doctor --output "$W/report" >/dev/null
python3 -c 'import json, sys; r = json.load(open(sys.argv[1])); assert r["stats"]["objects"] > 0 and r["settings"]["flush_interval"]' "$W/report"
fails grep -E "secret|$(basename "$W")|$(hostname)" "$W/report"
fails "$TALLY" -C "$M" doctor --output "$W/report"
grep -q 'report: File exists' "$W/said"

claim "top draws requests, and ends with q"
fails "$TALLY" -C "$M" top </dev/null
python3 - "$TALLY" "$M" <<'END'
import fcntl, os, pty, select, struct, sys, termios, time
pid, fd = pty.fork()
if pid == 0:
    os.environ["TERM"] = "xterm"
    os.execv(sys.argv[1], [sys.argv[1], "-C", sys.argv[2], "top", "1"])
fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
seen, end = b"", time.monotonic() + 60
while b"REQUEST" not in seen or b"PROGRAM" not in seen:
    assert time.monotonic() < end, seen
    os.listdir(sys.argv[2] + "/main")
    if select.select([fd], [], [], 0.1)[0]:
        seen += os.read(fd, 4096)
os.write(fd, b"q")
try:
    while os.read(fd, 4096):
        pass
except OSError:
    pass
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
END

claim "a mount whose daemon hangs is down, and the text is there all the same"
kill -STOP "$daemon"
# Without -C, since looking for that mount would wait for the daemon.
alone timeout "$limit" "$TALLY" metrics >"$W/metrics"
kill -CONT "$daemon"
grep -qF "tallyfs_up{mount=\"$M\"} 0" "$W/metrics"

claim "a mount whose daemon is gone is down, and none of these waits for it"
kill -KILL "$daemon"
wait "$daemon" 2>/dev/null || true
"$TALLY" -C "$M" metrics >"$W/metrics"
grep -qF "tallyfs_up{mount=\"$M\"} 0" "$W/metrics"
fails "$TALLY" -C "$M" profile 1
fails "$TALLY" -C "$M" doctor
umount -l "$M"
mount_store
finish
