#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The benchmark runs, says all it should, and leaves nothing behind. No figure is judged.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/../mount/lib.sh"
bench=$(dirname "$test_file")/bench
source=$(dirname "$test_file")/../../core/format
[[ $(id -u) -eq 0 ]] || skip "not root"
(exec 3<>/dev/fuse) 2>/dev/null || skip "/dev/fuse does not open"
needs python3 findmnt cc make tar chattr mkfs.ext4 losetup
# An ext4 of its own, wherever the tests run; where not even that can be mounted, there is nothing
# to measure beside.
mkdir "$W/ext4" "$W/tiny"
truncate -s 1G "$W/image"
mkfs.ext4 -q -F "$W/image"
mount -o loop "$W/image" "$W/ext4" || skip "no loop device"

is_empty() { [[ $(names "$1") == "lost+found " ]] || fail "left behind in $1: $(names "$1")"; }
run() { TALLY=$TALLY "$bench" --quick --linux "$source" "$@"; }

claim "every row, both sides, every round; JSON says what the table says"
run --json "$W/json" --table "$W/table" "$W/ext4" >"$W/out" 2>"$W/err" || { cat "$W/err"; false; }
cmp "$W/out" "$W/table"
python3 - "$W/json" "$W/out" <<'END'
import json, sys
result, table = json.load(open(sys.argv[1])), open(sys.argv[2]).read()
assert [r["name"] for r in result["rows"]] == ["seq", "small", "linux", "make", "fsync", "pauses", "sustain", "branch"]
assert result["skipped"] == [] and result["machine"]["on"] == "disk"
values = {v["key"]: v for r in result["rows"] for v in r["values"]}
for r in result["rows"]:
    for v in r["values"]:
        assert v["label"] in table, v["label"]
        for side in "ext4", "tallyfs":
            assert len(v[side]["samples"]) == (1 if r["name"] in ("linux", "make") else 2), v
            assert 0 < v[side]["min"] <= v[side]["median"] <= v[side]["max"], v
        assert v["ratio_of_rounds"]["min"] <= v["ratio"] * 1.001 or len(v["ext4"]["samples"]) > 1
def requests(key):
    return values[key]["tallyfs_costs"]["requests_per_operation"]
assert requests("create")["CREATE"] == 1 and requests("delete")["UNLINK"] == 1
assert requests("fsync-new-median")["FSYNC"] == 1 and requests("write")["WRITE"] == 1
assert "WRITE" not in requests("small-stat-cold"), requests("small-stat-cold")
assert values["create"]["tallyfs_costs"]["rss_anon_peak_bytes"] > 100000
END
is_empty "$W/ext4"

claim "a row alone; one that cannot be run says why"
TALLY=$TALLY "$bench" --quick --only linux,fsync --linux "$W/nothing" "$W/ext4" >"$W/out" 2>"$W/err"
grep -q "^-- linux: skipped: there is no $W/nothing" "$W/out"
grep -q '^append 4 KiB' "$W/out"
fails run --only sequences "$W/ext4"
matches "$(cat "$W/said")" 'no row sequences; there are seq, small,'

claim "an image with an ext4 of its own, where the disk is no ordinary ext4"
run --on image --only fsync "$W/ext4" >"$W/out" 2>"$W/err" || { cat "$W/err"; false; }
matches "$(cat "$W/out")" 'on images in .*ext4'

claim "too little room is refused before anything is made"
mount -t tmpfs -o size=8m tmpfs "$W/tiny"
fails run "$W/tiny"
matches "$(cat "$W/said")" 'MiB free, [0-9]+ are needed'
fails run --on disk "$W/tiny"
eq "$(names "$W/tiny")" ""

claim "what getting space back costs: each row has its figures"
TALLY=$TALLY FILL=$FILL "${bench%/*}/space" --objects 1000 --rounds 1 --seconds 0.2 "$W/ext4" \
    --json "$W/json" >"$W/out" 2>"$W/err" || { cat "$W/err"; false; }
cmp "$W/json" "$W/out"
python3 - "$W/json" <<'END'
import json, sys
v = json.load(open(sys.argv[1]))
packs = v["packs"]
assert v["objects"] == 1000 and v["gc_cycle_s"]["n"] > 0
assert packs["whole"]["live"] - packs["half_deleted"]["live"] == 500 * 2000, packs
assert packs["half_deleted"]["live"] == packs["compacted"]["live"] < packs["compacted"]["disk"], packs
assert packs["compacted"]["disk"] < packs["whole"]["disk"], packs
for key in "lookup", "drop_lookup", "drop_create":
    assert 0 < v[f"{key}_median_beside_s"]["median"] <= v[f"{key}_p99_beside_s"]["median"], key
    assert v[f"{key}_p99_ratio"] > 0
assert 0 < v["drop_returned_s"] < v["drop_worked_off_s"]
END
is_empty "$W/ext4"

claim "what sweeps cost: their rate holds"
TALLY=$TALLY FILL=$FILL "${bench%/*}/space" --objects 1000 --rounds 1 --seconds 0.2 --only sweep "$W/ext4" \
    --json "$W/json" >"$W/out" 2>"$W/err" || { cat "$W/err"; false; }
python3 - "$W/json" <<'END'
import json, sys
v = json.load(open(sys.argv[1]))
assert v["objects"] == 1000 and v["sweep_s"]["n"] == 1
assert v["sweep_rate"]["set"] == 500 and 0 < v["sweep_rate"]["seen"] < 530, v["sweep_rate"]
for key in "sweep_default_lookup", "sweep_unlimited_lookup":
    assert 0 < v[f"{key}_median_beside_s"]["median"] <= v[f"{key}_p99_beside_s"]["median"], key
END
is_empty "$W/ext4"

claim "ended in the middle, it unmounts and removes what it made"
TALLY=$TALLY "$bench" --quick --linux "$source" --on image "$W/ext4" >"$W/out" 2>"$W/err" &
pid=$! # not that of a shell between
pids+=("$pid")
wait_until 60 grep -q 'small: round 1' "$W/err"
kill -TERM "$pid"
rc=0
wait "$pid" || rc=$?
eq "$rc" 143
is_empty "$W/ext4"
eq "$(pgrep -af "mount -f $W/ext4/" || true)" ""
claim "all of ${test_file##*/}"
