#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The control file: sessions, replies, and the words of its grammar. Errnos: control_errors.sh.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin
cd "$M"

claim "tally-status(1) has each key of the status"
man_dir=${MAN_DIR:-$(dirname "$test_file")/../../tools/man}
# What the first word of a line and each KEY= are; the lines of the workers begin with the name of a class.
sed -E 's/^([a-z]+) .*/\1/; t; d' .tally/status >"$W/keys"
grep -oE '(^| )[a-z_]+=' .tally/status | tr -d ' =' >>"$W/keys"
sort -u -o "$W/keys" "$W/keys"
[[ $(wc -l <"$W/keys") -ge 50 ]] || fail "the status has only $(wc -l <"$W/keys") keys"
while read -r key; do
    grep -qE "^\.(It|Va|Pq|Ic|Cm)( | .* )$key( |$)" "$man_dir/tally-status.1" || fail "it does not have $key"
done <"$W/keys"

claim "write and read on one descriptor, in a shell"
exec 3<>.tally/control
echo 'branch main dev' >&3
read -r reply <&3
matches "$reply" '^ok ns=[a-z0-9]+ seq=[0-9]+$'
echo 'drop dev' >&3
read -r reply <&3
matches "$reply" '^ok queued_bytes=[0-9]+ job=[0-9]+ only_here=[0-9]+$'
if read -r reply <&3; then fail "a reply too many: $reply"; fi
exec 3>&-

claim "who never wrote reads the reply last completed"
echo 'branch main one' >.tally/control
matches "$(cat .tally/control)" '^ok ns='
echo 'drop one' >>.tally/control
matches "$(cat .tally/control)" '^ok queued_bytes='
matches "$(cat .tally/control)" '^ok queued_bytes='

claim "two sessions do not see each other's replies"
exec 3<>.tally/control 4<>.tally/control
echo 'get page_cache' >&3
echo 'get seal_delay' >&4
matches "$(cat <&3)" '^ok page_cache='
matches "$(cat <&4)" '^ok seal_delay='
eq "$(cat <&3)$(cat <&4)" ""
exec 3>&- 4>&-

claim "several commands in one write: replies in order; blanks and comments have none"
got=$(ctl '\n# a comment\nbranch main a\n   \n  branch main b  \ndrop a\ndrop b')
eq "$(cut -d' ' -f1 <<<"$got" | tr '\n' ' ')" "OK ok ok ok ok "
eq "$(ctl '# nothing\n\n')" OK

claim "further lines of a reply start with a bar"
got=$(ctl 'help\n')
eq "$(sed -n 1,2p <<<"$got")" "$(printf 'OK\nok')"
got=$(sed 1,2d <<<"$got")
[[ $(wc -l <<<"$got") -gt 30 ]] || fail "help has only these lines: $got"
eq "$(grep -vc '^| ' <<<"$got" || true)" 0

claim "quoted words: blanks, quotes, newlines, octal bytes; a quoted word is no keyword"
ctl 'branch main "a b"\nbranch main "q\\"\\\\"\nbranch main "n\\nl"\nbranch main "\\101"\nbranch main "wait"\n' >/dev/null
for name in 'a b' $'q"\\' $'n\nl' A wait; do
    [[ -d $name ]] || fail "there is no namespace $name"
    "$TALLY" drop "$name" >/dev/null
done

claim "wait: the write returns when the job has ended; without it there is a job to ask"
matches "$(ctl 'rebuild wait\n')" '^OK.ok.* changed=0'
got=$(ctl 'rebuild\n')
matches "$got" '^OK.ok job=[0-9]+'
job=${got##*job=}
matches "$(ctl "wait $job ${limit}s\n")" '^OK.ok'
matches "$(cat ".tally/jobs/$job")" 'state=done'
eq "$(errno_of 'os.stat(".tally/jobs/999999")')" ENOENT

claim "settings: shown with range and default, changed, kept over a remount"
matches "$("$TALLY" get page_cache)" 'page_cache=64M default=64M min=.* max='
"$TALLY" set page_cache 128M >/dev/null
"$TALLY" set ns:main.frozen yes >/dev/null
eq "$(errno_of 'open("main/x", "w")')" EROFS
drain
cd /
unmount_store
mount_store
cd "$M"
matches "$("$TALLY" get page_cache)" '^page_cache=128M '
eq "$(errno_of 'open("main/x", "w")')" EROFS
"$TALLY" set ns:main.frozen no >/dev/null
touch main/x

claim "O_TRUNC and O_APPEND and offsets are ignored; unlink, rename and chmod are refused"
python3 - <<'END'
import os
fd = os.open(".tally/control", os.O_RDWR | os.O_TRUNC | os.O_APPEND)
os.pwrite(fd, b"get page_cache\n", 12345)
assert os.read(fd, 100).startswith(b"ok page_cache=")
with open(".tally/control", "r+") as f:
    f.write("get seal_delay\n"); f.flush()
    assert f.readline().startswith("ok seal_delay=")
END
eq "$(errno_of 'os.unlink(".tally/control")')" EPERM
eq "$(errno_of 'os.rename(".tally/control", ".tally/x")')" EPERM
eq "$(stat -c %a .tally/control)" 600

claim "stats.json is JSON with the daemon's pid; status and the views are texts"
eq "$(python3 -c 'import json; print(json.load(open(".tally/stats.json"))["pid"])')" "$daemon"
matches "$(cat .tally/status)" '^store +test/control'
eq "$(errno_of 'os.open(".tally/status", os.O_WRONLY)')" EPERM

claim "the requests of the mount are counted by kind; stats.json and metrics show them"
requests() { python3 -c '
import json, sys
print(json.load(open(".tally/stats.json"))["requests"].get(sys.argv[1], 0))' "$1"; }
before=$(requests MKDIR)
mkdir main/r{1..5}
eq "$(($(requests MKDIR) - before))" 5
eq "$(requests INIT)" 1
matches "$(cat .tally/metrics)" "tallyfs_requests_total\{op=\"MKDIR\"\} $((before + 5))"
eq "$(grep -vcE '^(# (HELP tallyfs_[a-z_]+ .*\.|TYPE tallyfs_[a-z_]+ (gauge|counter|histogram))|tallyfs_[a-z_]+(\{((op|class)="[A-Za-z0-9_]+")?,?(le="[0-9.+Inf]+")?\})? [0-9.]+)$' \
    .tally/metrics || true)" 0
eq "$(grep -c "^tallyfs_workers_queued{class=" .tally/metrics)" 4
matches "$(cat .tally/status)" "workers +urgent +queued=[0-9]+ running=[0-9]+ waiting=0"
python3 -c 'import json; w = json.load(open(".tally/stats.json"))["workers"]; assert w["threads"] > 1 and w["long_idle"]["waiting"] == 0'
eq "$(grep -c '^# TYPE' .tally/metrics)" \
    "$(sed -n 's/^\(tallyfs_[a-z_]*\).*/\1/p' .tally/metrics | sed -E 's/(duration_seconds)_(bucket|sum|count)$/\1/' | sort -u | wc -l)"

claim "a waiting write ends with EINTR within 100 ms of a signal (once, here: 300), and the mount goes on"
python3 - <<'END'
import os, signal, time
class Alarm(Exception): pass
def on_alarm(*_): raise Alarm
signal.signal(signal.SIGALRM, on_alarm)
held = os.open("main/held", os.O_CREAT | os.O_RDWR)  # `drain idle` waits for such a file
os.write(held, os.urandom(5000000))
fd = os.open(".tally/control", os.O_RDWR)
def took():
    start = time.monotonic()
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    try:
        os.write(fd, b"drain idle 1h\n")
        raise SystemExit("it did not wait")
    except Alarm:
        seconds = time.monotonic() - start
    assert os.read(fd, 1000).startswith(b"error EINTR drain: ")
    return seconds
# A busy machine makes some of them later; who looks every second only is never in time.
times = []
while not times or times[-1] > 0.8:
    assert len(times) < 100, times
    times.append(took())
    assert times[-1] > 0.4, times
END
matches "$("$TALLY" status)" 'passthrough (yes|no: )'

claim "ctl_mode and ctl_group decide who else may command"
cd /
unmount_store
mount_with -o ctl_mode=0660,ctl_group=daemon
cd "$M"
eq "$(stat -c '%a %G' .tally/control)" "660 daemon"
as() { setpriv --reuid 65534 --regid "$1" --clear-groups "${@:2}"; }
as daemon sh -c 'echo "branch main ours" >.tally/control'
[[ -d ours ]]
fails as nogroup sh -c 'echo "drop ours" >.tally/control'
[[ -d ours ]]
finish
