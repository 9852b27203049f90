#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Shards on a real Ceph and on a real server of S3 (radosgw): what every driver promises, a tree that
# moves there and comes home, engines that die, hang, are full, or refuse.
#
#     TALLY=… SHARD_CLAIMS=… bash engines.sh
set -euo pipefail
# shellcheck source=tests/engine/engines_lib.sh
. "$(dirname "$0")/engines_lib.sh"
: "${SHARD_CLAIMS:?is the program test-shard}"

shard_is() { t shard list | grep -E "^(shard=)?$1 .*state=$2" >/dev/null; }
# A busy engine may take longer than shard_patience, so what is to succeed is tried until it does.
moved() { t move --wait "$M/main/tree" "$1" >/dev/null 2>&1; }
recalled() { t recall --wait "$M/main/tree" >/dev/null 2>&1; }
swept() { t sweep --wait >"$W/said" 2>&1; }
is_same() { [[ $(tree_digest "$M/main/tree" 2>/dev/null) == "$want" ]]; }
patience() { t set shard_patience "$1" >/dev/null; }
move() { wait_until moved "$1"; }
recall() { wait_until recalled; }
same_tree() { wait_until is_same; }
# The time in ms that a command takes.
took() {
    local from
    from=$(date +%s%N)
    "$@" >/dev/null 2>&1 || true
    echo $((($(date +%s%N) - from) / 1000000))
}
cold() {
    drain
    echo 3 >/proc/sys/vm/drop_caches
}

engines_begin

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
patience 2s
refused "s3://tally?endpoint=http://127.0.0.1:$(<proxy.port)" 'no S3 server'
patience 30s

claim "a tree moves there, is read there, is swept and comes home"
mkdir "$M/main/tree"
small_files "$M/main/tree/linux"
head -c 20000000 /dev/urandom >"$M/main/tree/large" # two pieces
want=$(tree_digest "$M/main/tree")
drain
t shard add 1 "s3://tally/one?$s3_at" >/dev/null
t shard add 2 "rados:tally/two?conf=$CONF&id=tallytest" >/dev/null
for n in 1 2; do
    move $n
    shard_is $n "ok .* objects=[1-9]"
    cold
    same_tree
    wait_until swept
    eq "$(t shard list | grep -c 'lost=[1-9]' || true)" 0
    recall
    drain
    shard_is $n "ok .* objects=0 "
    same_tree
done

claim "no secret is in the store, the log, the process list or in .tally"
move 1
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
patience 6s
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
recall
move 2
cold
kill -STOP "${ceph_pid[osd]}"
ms=$(took cat "$M/main/tree/large")
[[ $ms -lt 20000 ]] || fail "a read took $ms ms"
swept
patience 30s
ceph_restart_osd
wait_until shard_is 2 ok
same_tree
eq "$(t shard list | grep -c 'lost=[1-9]' || true)" 0

claim "an OSD that dies in a move loses nothing"
recall
t move "$M/main/tree" 2 >/dev/null
ceph_kill osd
drain
ceph_restart_osd
wait_until shard_is 2 ok
move 2
cold
same_tree

claim "a move goes on while the monitor is dead, and when it is back"
recall
t move "$M/main/tree" 2 >/dev/null
ceph_kill mon
drain
same_tree
ceph_start mon
wait_until mon_answers
wait_until shard_is 2 ok
move 2
cold
same_tree
recall

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
move 1
cold
same_tree
[[ $(uploads) -le 1 ]] # it is ended when it is a day old
rm "$M/main/tree/larger"
want=$(tree_digest "$M/main/tree")

claim "a pool that is full says so, what did not fit stays at home, and what is there can go"
recall
# What the OSD's death left of an unfinished file stays for a day.
pieces() { rados -c "$CONF" --log-file=/dev/null -p tally -N two.pieces ls 2>/dev/null | sort; }
before=$(pieces)
large_moved() { t move --wait "$M/main/tree/large" 2 >/dev/null 2>&1; }
wait_until large_moved
[[ $(pieces) != "$before" ]]
drain
ceph_ osd pool set-quota tally max_bytes 1000 >/dev/null 2>&1
is_full() { ceph_ health detail 2>/dev/null | grep -q POOL_FULL; }
wait_until is_full
fails t move --wait "$M/main/tree" 2
matches "$(<"$W/said")" 'space|quota|full'
same_tree
recall
drain
all_gone() { [[ $(pieces) == "$before" ]]; }
wait_until all_gone
same_tree
ceph_ osd pool set-quota tally max_bytes 0 >/dev/null 2>&1
not_full() { ! is_full; }
wait_until not_full
move 2
same_tree

claim "a mount ends although the cluster hangs"
patience 6s
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

claim "a server that only pretends to know puts that must not replace is refused"
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
claim "all of ${test_file##*/}"
