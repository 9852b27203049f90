#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# How fast a tree moves to a shard, is read there, again, swept, and comes home: on a directory, on RADOS
# and on S3, beside the engines' own tools in the same run. It starts a Ceph and a radosgw of its own.
#
#     TALLY=build/tools/tally bash tests/bench/engines.sh [TREE]
#
# TREE: a directory or a tar file; default: /usr/src/linux-source-6.1.tar.xz. The tools get objects of 8 MiB,
# and of the sizes that the move has put: curl all of them, `rados bench` their mean.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/../mount/lib.sh"
# shellcheck source=tests/engine/ceph.sh
. "$(dirname "$0")/../engine/ceph.sh"
[[ $(id -u) -eq 0 ]] || skip "not root"
tree=${1:-/usr/src/linux-source-6.1.tar.xz}
limit=1000

t() { "$TALLY" -C "$M" "$@"; }
# What the requests to shard N were so far, and the bytes: "puts gets stats deletes lists".
requests() { t shard list | sed -nE "s/^(shard=)?$1 .*(puts=.*)$/\2/p"; }
# row NAME COMMAND… - seconds, MB/s and requests of the command.
row() {
    local name=$1 from to before
    sync
    before=$(requests "$n")
    from=$(date +%s.%N)
    "${@:2}" >/dev/null
    to=$(date +%s.%N)
    awk -v name="$name" -v s="$(echo "$to - $from" | bc)" -v bytes="$bytes" -v a="$before" -v b="$(requests "$n")" '
        BEGIN { na = split(a, x, /[ =]/); split(b, y, /[ =]/)
            for (i = 1; i < na; i += 2) text = text sprintf(" %s %d", x[i], y[i + 1] - x[i + 1])
            printf "%-14s %8.1f s %8.1f MB/s %s\n", name, s, bytes / s / 1e6, text }'
}
read_all() { find "$M/main/tree" -type f -print0 | xargs -0 cat | cat >/dev/null; }
remount() {
    unmount_store
    echo 3 >/proc/sys/vm/drop_caches
    mount_store
}

# The sizes of all objects that are in the bucket.
sizes_put() {
    local after=""
    while eq "$(s3_curl GET "/tally?list-type=2&max-keys=1000&prefix=bench%2F$after")" 200 && grep -q '<Size>' "$W/said"; do
        grep -oE '<Size>[0-9]+' "$W/said" | cut -d'>' -f2
        after=$(grep -oE '<Key>[^<]+' "$W/said" | tail -n 1 | sed 's/<Key>//; s|/|%2F|g; s/^/\&start-after=/')
    done
}
# curl_all - puts and gets of all these sizes by one curl, 16 at once.
curl_all() {
    local i=0 size sum
    mkdir "$W/bodies"
    head -c 100000000 /dev/urandom >"$W/random"
    : >"$W/puts" >"$W/gets"
    while read -r size; do
        i=$((i + 1))
        head -c "$size" "$W/random" >"$W/bodies/$i"
        printf 'next\naws-sigv4 = "aws:amz:us-east-1:s3"\nuser = "%s"\nheader = "x-amz-content-sha256: UNSIGNED-PAYLOAD"\nsilent\nfail\nurl = "http://127.0.0.1:%s/tally/all/%s"\noutput = "/dev/null"\n' \
            "$S3_ID:$S3_SECRET" "$rgw_port" "$i" | tee -a "$W/gets" >>"$W/puts"
        printf 'upload-file = "%s"\n' "$W/bodies/$i" >>"$W/puts"
    done <"$W/sizes"
    sum=$(du -sb "$W/bodies" | cut -f1)
    echo "curl, the $i objects that the move has put, $sum bytes, 16 at once:"
    for kind in puts gets; do
        from=$(date +%s.%N)
        curl -Z --no-progress-meter --parallel-max 16 -K "$W/$kind"
        awk -v name="$kind" -v bytes="$sum" -v s="$(echo "$(date +%s.%N) - $from" | bc)" \
            'BEGIN { printf "%s: %.1f s %.1f MB/s\n", name, s, bytes / s / 1e6 }'
    done
}

ceph_begin
rgw_begin
# shellcheck disable=SC2119
begin
may_log 'shard'
t set sweep_rate 1000000/s >/dev/null # else that is what is measured
t set shard_cache 2G >/dev/null       # the tree fits
mkdir "$M/main/tree" "$W/dir"
if [[ -d $tree ]]; then cp -r "$tree/." "$M/main/tree"; else tar -xf "$tree" -C "$M/main/tree"; fi
t drain >/dev/null
bytes=$(du -sb "$M/main/tree" | cut -f1)
printf '%d files, %d bytes\n' "$(find "$M/main/tree" -type f | wc -l)" "$bytes"

n=0
remount
row "read at home" read_all
for url in "dir:$W/dir" "${CEPH_RADOS/tally?/tally/bench?}" "${CEPH_S3/tally?/tally/bench?}"; do
    n=$((n + 1))
    t shard add "$n" "$url" >/dev/null
    printf '%s\n' "${url%%:*}:"
    row move t move --wait "$M/main/tree" "$n"
    [[ $url != s3:* ]] || sizes_put >"$W/sizes"
    remount
    row "read, cold" read_all
    echo 3 >/proc/sys/vm/drop_caches
    row "read, again" read_all
    row sweep t sweep --wait
    row recall t recall --wait "$M/main/tree"
    t drain >/dev/null
done

# ---- a GC cycle of a pool on RADOS, of 100,000 objects ----

unmount_store
S=$W/member
"$TALLY" init --pool "${CEPH_RADOS/tally?/tally/pool?}" "$S" >/dev/null
mount_store
may_log 'gc: '
pool_requests() { sed -nE 's/^ *requests: *(puts=.*)/\1/p' "$M/.tally/status"; }
python3 - "$M/main" <<'END'
import os, sys
for i in range(100):
    os.mkdir(f"{sys.argv[1]}/{i}")
    for j in range(1000):
        with open(f"{sys.argv[1]}/{i}/{j}", "w") as f:
            f.write(f"{i} {j} " * 20)
END
t drain >/dev/null
echo "GC cycles of a pool on RADOS with 100,000 objects:"
timed() {
    local from to before
    before=$(pool_requests)
    from=$(date +%s.%N)
    "${@:2}" >/dev/null
    to=$(date +%s.%N)
    printf '%-14s %8.1f s  before: %s\n%25s after: %s\n' "$1" "$(echo "$to - $from" | bc)" "$before" "" "$(pool_requests)"
}
timed "nothing to do" t gc --grace 0s --wait
rm -r "$M/main/"*
t drain >/dev/null
timed "all to delete" t gc --grace 0s --wait
timed "the next one" t gc --grace 0s --wait
unmount_store

echo "rados bench, objects of 8 MiB, 16 at once:"
rados -c "$CONF" --log-file=/dev/null -p tally -N bench bench 15 write -b 8388608 -t 16 --no-cleanup | grep -E '^(Bandwidth|Total writes)'
echo 3 >/proc/sys/vm/drop_caches
rados -c "$CONF" --log-file=/dev/null -p tally -N bench bench 15 seq -t 16 | grep -E '^(Bandwidth|Total reads)'
echo "curl, objects of 8 MiB, 16 at once:"
head -c 8388608 /dev/urandom >"$W/eight"
one() {
    curl -sf -o /dev/null --aws-sigv4 aws:amz:us-east-1:s3 --user "$S3_ID:$S3_SECRET" \
        -H "x-amz-content-sha256: UNSIGNED-PAYLOAD" "${@:2}" "http://127.0.0.1:$rgw_port/tally/curl/$1"
}
export -f one
export S3_ID S3_SECRET rgw_port W
# curls NAME CURL_OPTION… - a hundred of them.
curls() {
    local from
    from=$(date +%s.%N)
    # shellcheck disable=SC2016  # it is for the inner shell
    seq 100 | xargs -P 16 -I{} bash -c 'one "$@"' - {} "${@:2}"
    awk -v name="$1" -v s="$(echo "$(date +%s.%N) - $from" | bc)" \
        'BEGIN { printf "%s: %.1f MB/s\n", name, 100 * 8.388608 / s }'
}
curls put -T "$W/eight"
curls get
curl_all
each=$(awk '{ sum += $1 } END { printf "%d", sum / NR }' "$W/sizes")
echo "rados bench, objects of $each bytes, 16 at once:"
rados -c "$CONF" --log-file=/dev/null -p tally -N bench2 bench 15 write -b "$each" -t 16 --no-cleanup | grep -E '^(Bandwidth|Total writes)'
echo 3 >/proc/sys/vm/drop_caches
rados -c "$CONF" --log-file=/dev/null -p tally -N bench2 bench 15 seq -t 16 | grep -E '^(Bandwidth|Total reads)'
