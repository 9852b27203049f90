#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Shards on a real Ceph and on a real server of S3 (radosgw): what every driver promises, a tree that
# moves there and comes home, engines that die, hang, are full, or refuse.
#
#     TALLY=… SHARD_CLAIMS=… CLOCK_AHEAD=… bash engines.sh
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/../mount/lib.sh"
# shellcheck source=tests/engine/ceph.sh
. "$(dirname "$0")/ceph.sh"
: "${SHARD_CLAIMS:?is the program test-shard}"
: "${CLOCK_AHEAD:?is what clock_ahead.c became}"
[[ $(id -u) -eq 0 ]] || skip "not root"

# The libraries of the engines have threads that end when they like, in the midst of which the search
# for leaks at the end of a daemon crashes. Drivers without these libraries are searched elsewhere.
export ASAN_OPTIONS=detect_leaks=0:handle_sigill=1 DAEMON_ASAN=detect_leaks=0:handle_sigill=1

t() { "$TALLY" -C "$M" "$@"; }
shard_is() { t shard list | grep -E "^(shard=)?$1 .*state=$2" >/dev/null; }
# moved SHARD - on a busy machine an engine that is back may once more take longer than shard_patience.
moved() { t move --wait "$M/main/tree" "$1" >/dev/null 2>&1; }
same_tree() { [[ $(tree_digest "$M/main/tree" 2>/dev/null) == "$want" ]]; }
# The time in ms that a command takes.
took() {
    local from
    from=$(date +%s%N)
    "$@" >/dev/null 2>&1 || true
    echo $((($(date +%s%N) - from) / 1000000))
}
# small_files DIRECTORY - a new one with 300 of them.
small_files() {
    local files=(/usr/include/linux/*.h)
    mkdir "$1"
    cp "${files[@]:0:300}" "$1"
}
cold() {
    drain
    echo 3 >/proc/sys/vm/drop_caches
}

claim "a Ceph and a radosgw start"
ceph_begin
rgw_begin

claim "a shard on an engine is a shard"
for url in "$CEPH_RADOS" "$CEPH_S3"; do
    TALLY_ENGINES=$url "$SHARD_CLAIMS" -j4 >"$W/claims" 2>&1 || fail "$(tail -n 40 "$W/claims")"
done

claim "what a person got wrong is said in one sentence, and nothing is added"
# shellcheck disable=SC2119
begin
cd "$W"
printf '[default]\naws_access_key_id = %s\naws_secret_access_key = wrong\n' "$S3_ID" >wrong-keys
# refused URL REGEX
refused() {
    fails t shard add 9 "$1"
    matches "$(<"$W/said")" "$2"
    fails shard_is 9 .
}
s3_at="endpoint=http://127.0.0.1:$rgw_port"
refused "s3://tally/x?$s3_at&credentials=$W/wrong-keys" 'SignatureDoesNotMatch'
refused "s3://tally/x?$s3_at&credentials=$W/none" 'credentials cannot be read'
refused "s3://no-such-bucket?$s3_at" 'NoSuchBucket'
refused "s3://tally?endpoint=http://127.0.0.1:1" "connect"
refused "rados:no-such-pool?conf=$CONF&id=tallytest" 'no-such-pool'
refused "rados:tally?conf=$CONF&id=nobody" 'client.nobody'
refused "rados:tally?conf=$W/none" 'configuration'
refused "s3://tally?$s3_at&secret=x" 'unknown option'
may_log 'shard|s3://'

claim "what answers in place of the server is not taken for one"
cat >proxy.py <<'END'
import http.server, sys
class Page(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        text = b"<html><body>Please log in</body></html>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)
    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = answer
    def log_message(self, *args): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
print(server.server_port, flush=True)
server.serve_forever()
END
python3 proxy.py >proxy.port &
pids+=("$!")
wait_until test -s proxy.port
t set shard_patience 2s >/dev/null
refused "s3://tally?endpoint=http://127.0.0.1:$(<proxy.port)" 'no S3 server'
t set shard_patience 30s >/dev/null

claim "a tree moves there, is read there, is swept and comes home"
mkdir "$M/main/tree"
small_files "$M/main/tree/linux"
head -c 20000000 /dev/urandom >"$M/main/tree/large" # two pieces
want=$(tree_digest "$M/main/tree")
drain
t shard add 1 "s3://tally/one?$s3_at" >/dev/null
t shard add 2 "rados:tally/two?conf=$CONF&id=tallytest" >/dev/null
for n in 1 2; do
    t move --wait "$M/main/tree" $n >/dev/null
    shard_is $n "ok .* objects=[1-9]"
    cold
    same_tree
    t sweep --wait >/dev/null
    eq "$(t shard list | grep -c 'lost=[1-9]' || true)" 0
    t recall --wait "$M/main/tree" >/dev/null
    drain
    shard_is $n "ok .* objects=0 "
    same_tree
done

claim "no secret is in the store, the log, the process list or in .tally"
t move --wait "$M/main/tree" 1 >/dev/null
drain
fails grep -rqF "$S3_SECRET" "$S" "$W/log"
fails grep -qF "$S3_SECRET" "/proc/$daemon/cmdline"
for f in "$M"/.tally/*; do
    if [[ -f $f && $f != */control ]]; then
        fails grep -qF "$S3_SECRET" "$f"
    fi
done

claim "a server that is gone gives an error in time, and when it is back so are the bytes"
cold
t set shard_patience 6s >/dev/null
ceph_kill rgw
ms=$(took cat "$M/main/tree/large")
[[ $ms -lt 20000 ]] || fail "a read took $ms ms"
matches "$(errno_of 'open(argv[0], "rb").read()' "$M/main/tree/large")" 'EIO|EHOSTUNREACH'
shard_is 1 unreachable
ceph_start rgw
wait_until rgw_answers
wait_until shard_is 1 ok
same_tree

claim "what was read from a server is there while it is gone, until the next mount"
cold
ceph_kill rgw
same_tree
matches "$(<"$M/.tally/status")" 'cache: kept_bytes=[1-9][0-9]* .* hits=[1-9]'
unmount_store
eq "$(ls -A "$S/cache")" ""
mount_store
fails cat "$M/main/tree/large"

claim "who reads or checks many files there does not wait for each of them"
ms=$(took cat "$M"/main/tree/linux/*.h)
[[ $ms -lt 30000 ]] || fail "reading took $ms ms"
unmount_store
ms=$(took "$TALLY" check "$S")
[[ $ms -lt 60000 ]] || fail "the check took $ms ms"
ceph_start rgw
mount_store
wait_until rgw_answers
wait_until shard_is 1 ok
same_tree

claim "an OSD that hangs holds neither a read nor a sweep for ever"
t recall --wait "$M/main/tree" >/dev/null
t move --wait "$M/main/tree" 2 >/dev/null
cold
kill -STOP "${ceph_pid[osd]}"
ms=$(took cat "$M/main/tree/large")
[[ $ms -lt 20000 ]] || fail "a read took $ms ms"
t sweep --wait >"$W/said"
ceph_restart_osd
wait_until shard_is 2 ok
wait_until same_tree
eq "$(t shard list | grep -c 'lost=[1-9]' || true)" 0

claim "an OSD that dies in a move loses nothing"
t recall --wait "$M/main/tree" >/dev/null
t move "$M/main/tree" 2 >/dev/null
ceph_kill osd
drain
ceph_restart_osd
wait_until shard_is 2 ok
wait_until moved 2
cold
wait_until same_tree

claim "a move goes on while the monitor is dead, and when it is back"
t recall --wait "$M/main/tree" >/dev/null
t move "$M/main/tree" 2 >/dev/null
ceph_kill mon
drain
same_tree
ceph_start mon
wait_until mon_answers
wait_until shard_is 2 ok
wait_until moved 2
cold
same_tree
t recall --wait "$M/main/tree" >/dev/null

claim "a mount that is killed in the midst of an upload loses nothing"
uploads() {
    eq "$(s3_curl GET '/tally?uploads=')" 200
    grep -c '<UploadId>' "$W/said" || true
}
uploading() { [[ $(uploads) -gt 0 ]]; }
head -c 200000000 /dev/urandom >"$M/main/tree/larger"
drain
want=$(tree_digest "$M/main/tree")
t move "$M/main/tree/larger" 1 >/dev/null
wait_until uploading
kill_daemon
mount_store
same_tree
all_moved() { t move --wait "$M/main/tree" 1 >/dev/null 2>&1; } # on a busy machine the server may not answer in time
wait_until all_moved
cold
same_tree
[[ $(uploads) -le 1 ]] # it is ended when it is a day old
rm "$M/main/tree/larger"
want=$(tree_digest "$M/main/tree")

claim "a pool that is full says so, what did not fit stays at home, and what is there can go"
t recall --wait "$M/main/tree" >/dev/null
# What the OSD's death left of an unfinished file stays for a day.
pieces() { rados -c "$CONF" --log-file=/dev/null -p tally -N two.pieces ls 2>/dev/null | sort; }
before=$(pieces)
t move --wait "$M/main/tree/large" 2 >/dev/null
[[ $(pieces) != "$before" ]]
drain
ceph_ osd pool set-quota tally max_bytes 1000 >/dev/null 2>&1
is_full() { ceph_ health detail 2>/dev/null | grep -q POOL_FULL; }
wait_until is_full
fails t move --wait "$M/main/tree" 2
matches "$(<"$W/said")" 'space|quota|full'
same_tree
t recall --wait "$M/main/tree" >/dev/null
drain
all_gone() { [[ $(pieces) == "$before" ]]; }
wait_until all_gone
same_tree
ceph_ osd pool set-quota tally max_bytes 0 >/dev/null 2>&1
not_full() { ! is_full; }
wait_until not_full
t move --wait "$M/main/tree" 2 >/dev/null
same_tree

claim "a mount ends although the cluster hangs"
kill -STOP "${ceph_pid[osd]}" "${ceph_pid[mon]}"
ms=$(took "$TALLY" umount "$M")
kill -CONT "${ceph_pid[mon]}"
[[ $ms -lt 30000 ]] || fail "umount took $ms ms"
wait "$daemon" || true
ceph_restart_osd
mount_store
same_tree
unmount_store
check_clean

# ---- archives ----

# both COMMAND… - with the URL of each of the two archives behind it.
both() { "$@" "$rados_archive" && "$@" "$s3_archive"; }
ship() { t archive ship "$1" "${2:-100s}" >/dev/null 2>&1; }
add() { t archive add "$1" >/dev/null; }
# has_all URL - a machine that has only the archive gets the tree from it.
has_all() {
    rm -rf "$W/elsewhere"
    "$TALLY" clone "$1" "$W/elsewhere" main >/dev/null
    mkdir -p "$W/there"
    "$TALLY" mount "$W/elsewhere" "$W/there"
    [[ $(tree_digest "$W/there/main/tree") == "$want" ]] || fail "$1 has another tree"
    "$TALLY" umount "$W/there"
}
rados_archive="rados:tally/archive?conf=$CONF&id=tallytest" s3_archive="s3://tally/archive?$s3_at"

claim "a store ships to RADOS and to S3: its daemon dies, and another machine has from either what was shipped"
S=$W/store.ships
"$TALLY" init "$S"
mount_store
both add
mkdir "$M/main/tree"
cp -r /usr/include/linux "$M/main/tree/"
head -c 20000000 /dev/urandom >"$M/main/tree/large"
both ship
want=$(tree_digest "$M/main/tree")
kill_daemon
both has_all

claim "servers that are away hold nobody up, and when they are back they get what they lack"
may_log 'archive (s3:|rados:|6553[0-9] is )'
mount_store
t set shard_patience 6s >/dev/null
ceph_kill rgw
ceph_kill osd
mv "$M/main/tree/linux" "$M/main/tree/moved"
echo later >"$M/main/tree/later"
head -c 3000000 /dev/urandom | dd of="$M/main/tree/large" bs=1M seek=7 conv=notrunc status=none
fails ship "$s3_archive" 1s
fails ship "$rados_archive" 1s
ceph_start rgw
ceph_restart_osd
wait_until rgw_answers
both wait_until ship
want=$(tree_digest "$M/main/tree")
kill_daemon
both has_all

# ---- two stores in one pool ----

# in_pool - how many files with contents the pool has.
in_pool() {
    rados -c "$CONF" --log-file=/dev/null -p tally -N shared ls | grep -cE '^(objects|packs)/.*[0-9a-f]$' || true
}
s3_in_pool() {
    s3_curl GET '/tally?list-type=2&max-keys=1000&prefix=shared%2F' >/dev/null
    grep -oE '<Key>shared/(objects|packs)/[^<]*[0-9a-f]</Key>' "$W/said" | grep -c . || true
}
# use one|two
use() {
    S=$W/store.$1 M=$W/mnt.$1 daemon=${daemons[$1]:-}
}
# When the store reported last, by its own clock.
reported_at() { sed -nE 's/.*"last_report_seconds": *([0-9]+).*/\1/p' "$1/.tally/stats.json" | head -n 1; }
reported() { "$TALLY" -C "$1" status | grep -Eq '^ *report=[1-9]'; }
told() {
    "$TALLY" -C "$1" drain >/dev/null
    "$TALLY" -C "$1" gc --dry-run --wait >/dev/null
}
collected() {
    "$TALLY" -C "$W/mnt.one" gc --grace 0s --wait >/dev/null
    "$TALLY" -C "$W/mnt.two" gc --grace 0s --wait >/dev/null
    [[ $($1) -le $2 ]]
}
declare -A daemons

# A GC cycle of the pool begins, and the only OSD dies.
osd_dies_in_a_cycle() {
    "$TALLY" -C "$W/mnt.one" set shard_patience 6s >/dev/null
    "$TALLY" -C "$W/mnt.two" set shard_patience 6s >/dev/null
    "$TALLY" -C "$W/mnt.one" gc --grace 0s >/dev/null
    ceph_kill osd
    fails "$TALLY" -C "$W/mnt.one" gc --grace 0s --wait
    ceph_restart_osd
}

# share URL COUNT_FUNCTION [FAULT]: the clocks of both stores differ by 1,000 s
share() {
    local url=$1 count=$2 fault=${3:-true} both node ahead dates
    for node in one two; do
        use "$node"
        rm -rf "$S"
        "$TALLY" init --pool "$url" "$S" >/dev/null
        ahead=$([[ $node == one ]] && echo 500 || echo -500)
        LD_PRELOAD=$CLOCK_AHEAD SECONDS_AHEAD=$ahead mount_store
        daemons[$node]=$daemon
        wait_until reported "$M"
    done
    use one
    small_files "$M/main/tree"
    head -c 10000000 /dev/urandom >"$M/main/large"
    told "$M"
    told "$W/mnt.two"
    both=$($count)
    cp "$M/main/large" "$W/mnt.two/main/large"
    cp -r "$M/main/tree" "$W/mnt.two/main"
    told "$W/mnt.two"
    [[ $($count) -le $((both + 1)) ]] || fail "the pool has $($count) files, and had $both"
    want=$(tree_digest "$M/main")
    echo 3 >/proc/sys/vm/drop_caches
    eq "$(tree_digest "$W/mnt.two/main")" "$want"
    rm -r "$M/main/tree" "$M/main/large"
    told "$M"
    "$fault"
    collected "$count" 100000 || true
    eq "$(tree_digest "$W/mnt.two/main")" "$want" "what one store let go of, the other keeps"
    rm -r "$W/mnt.two/main/tree" "$W/mnt.two/main/large"
    matches "$(<"$M/.tally/status")" 'requests: puts=[1-9][0-9]* gets=[1-9]'
    told "$W/mnt.two"
    wait_until collected "$count" 0
    dates=$(("$(reported_at "$W/mnt.one")" - "$(reported_at "$W/mnt.two")"))
    [[ $dates -gt 900 ]] || fail "the clocks differ by $dates s"
    for node in one two; do
        use "$node"
        unmount_store
        check_clean
    done
}

may_log 'gc: '
may_log 'reporting to the pool failed'
claim "two stores in a pool on RADOS have what both have there once, and what nobody has goes"
# and that the only OSD dies in a cycle, and that their clocks differ, changes nothing of that
share "rados:tally/shared?conf=$CONF&id=tallytest" in_pool osd_dies_in_a_cycle
claim "and so on S3"
share "s3://tally/shared?$s3_at" s3_in_pool

claim "a server that only pretends to know puts that must not replace is refused"
S=$W/store M=$W/mnt
python3 "$(dirname "$test_file")/s3_server.py" >server.port 2>/dev/null &
pids+=("$!")
wait_until test -s server.port
export AWS_ACCESS_KEY_ID=ID AWS_SECRET_ACCESS_KEY=SECRET
mount_store
refused "s3://pretends?endpoint=http://127.0.0.1:$(<server.port)" '16 writers'
fails "$TALLY" init --pool "s3://pretends?endpoint=http://127.0.0.1:$(<server.port)" "$W/store.three"
matches "$(<"$W/said")" '16 writers'
t shard add 9 "s3://plain?endpoint=http://127.0.0.1:$(<server.port)" >/dev/null
unmount_store
