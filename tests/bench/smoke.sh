#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The benchmark runs, says all it should, and leaves nothing behind. No figure is judged.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/../mount/lib.sh"
bench=$(dirname "$test_file")/bench
unset OPS_PROGRAM
source=$(dirname "$test_file")/../../core/format
[[ $(id -u) -eq 0 ]] || skip "not root"
(exec 3<>/dev/fuse) 2>/dev/null || skip "/dev/fuse does not open"
needs python3 findmnt cc make tar chattr mkfs.ext4 losetup
# An ext4 of its own, wherever the tests run; where not even that can be mounted, there is nothing
# to measure beside.
mkdir "$W/ext4" "$W/tiny"
truncate -s 2G "$W/image"
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
assert [r["name"] for r in result["rows"]] == ["seq", "small", "linux", "make", "fsync", "pauses", "sustain",
    "branch", "read", "requests", "walk", "idle", "share", "memory", "scale"]
assert result["peers"] == [] and "t / floor" not in table
assert result["skipped"] == [] and result["machine"]["on"] == "disk"
sides = {"memory": ["tallyfs"], "scale": ["tallyfs"], "idle-cpu": ["tallyfs"],
    "loss-idle": ["tallyfs"]}
values = {v["key"]: v for r in result["rows"] for v in r["values"]}
for r in result["rows"]:
    for v in r["values"]:
        assert v["label"] in table, v["label"]
        rounds = {"linux": 1, "make": 1, "read": 1, "walk": 1, "share": 1, "memory": 1}.get(r["name"], 2)
        for side in sides.get(v["key"], sides.get(r["name"], ["ext4", "tallyfs"])):
            assert len(v[side]["samples"]) == rounds, v
            assert v[side]["min"] <= v[side]["median"] <= v[side]["max"], v
            assert v[side]["min"] > 0 or v["unit"] in ("%", "MiB"), v
        assert "ratio" not in v or v["ratio_of_rounds"]["min"] <= v["ratio"] * 1.001 or rounds > 1
def requests(key):
    return values[key]["tallyfs_costs"]["requests_per_operation"]
assert requests("create")["CREATE"] == 1 and requests("delete")["UNLINK"] == 1
assert requests("fsync-new-median")["FSYNC"] == 1 and requests("write")["WRITE"] == 1
assert "WRITE" not in requests("small-stat-cold"), requests("small-stat-cold")
assert values["create"]["tallyfs_costs"]["rss_anon_peak_bytes"] > 100000
for key in "missing-median", "missing-two-median":
    # One for each look, and those of the way there; a walk for each look would be more than these.
    assert 1 <= requests(key)["LOOKUP"] < 3, requests(key)
assert requests("write-at-median")["WRITE"] == 1
assert values["missing-median"]["peers"]["libfuse"]["min"] > 0
for key in "cp-growth", "open-growth", "update-growth":  # of 16 MiB
    assert values[key]["tallyfs"]["max"] < 8, values[key]
assert values["cp-growth"]["ext4"]["min"] >= 15, values["cp-growth"]
assert 0 < values["memory-before"]["tallyfs"]["min"] <= values["memory-peak"]["tallyfs"]["min"] < 1000
END
is_empty "$W/ext4"
eq "$(pgrep -f "^$W/ext4/" || true)" "" # neither a busy one

# That run compiled this program itself, and so does the first one of space; no other has to.
export OPS_PROGRAM=$W/ops
cc -std=c17 -D_GNU_SOURCE -pthread -o "$OPS_PROGRAM" "${bench%/*}"/ops*.c

claim "a picture of it"
if [[ -n $(type -P gnuplot) ]]; then
    "${bench%/*}/picture" "$W/json" "$W/svg"
    grep -q 'depth of branches' "$W/svg"
else
    matches "$("${bench%/*}/picture" "$W/json" "$W/svg")" 'no gnuplot'
fi
fails "${bench%/*}/picture" /dev/null "$W/svg"

claim "a row alone; one that cannot be run says why"
TALLY=$TALLY "$bench" --quick --only linux,fsync --linux "$W/nothing" "$W/ext4" >"$W/out" 2>"$W/err"
grep -q "^-- linux: skipped: there is no $W/nothing" "$W/out"
grep -q '^append 4 KiB' "$W/out"
fails run --only sequences "$W/ext4"
matches "$(cat "$W/said")" 'no row sequences; there are seq, small,'

claim "the floor is a filesystem: what was unpacked is there, and goes"
mkdir "$W/floor"
"$FLOOR" -o transport=threads "$W/floor" >"$W/out" 2>"$W/err" &
floor=$!
pids+=("$floor")
wait_until mountpoint -q "$W/floor"
mkdir "$W/floor/tree"
tar -C "$source" -cf "$W/tar" .
tar -C "$W/floor/tree" -xf "$W/tar"
tar -C "$W/floor/tree" -df "$W/tar"
head -c 5000000 /dev/urandom >"$W/large"
cat "$W/large" "$W/large" >"$W/floor/large"
cmp <(cat "$W/large" "$W/large") "$W/floor/large"
dd if="$W/large" of="$W/floor/large" bs=1000 seek=4000 conv=notrunc status=none
cmp <(head -c 4000000 "$W/large" && cat "$W/large" && tail -c 1000000 "$W/large") "$W/floor/large"
mv "$W/floor/tree" "$W/floor/moved"
ln "$W/floor/large" "$W/floor/moved/link"
eq "$(errno_of 'os.rmdir(argv[0])' "$W/floor/moved")" ENOTEMPTY
rm -r "$W/floor/moved" "$W/floor/large"
eq "$(names "$W/floor")" ""
umount -i "$W/floor"
wait "$floor"
eq "$(cat "$W/err")" ""
matches "$(cat "$W/out")" 'CREATE [0-9]+'
matches "$(cat "$W/out")" 'RENAME2? 1'

claim "others beside the two, as many as can be had here"
run --peers all --only branch --rounds 1 --json "$W/json" "$W/ext4" >"$W/out" 2>"$W/err" ||
    { cat "$W/err"; false; }
python3 - "$W/json" "$W/out" <<'END'
import json, sys
result, table = json.load(open(sys.argv[1])), open(sys.argv[2]).read()
there = [p["name"] for p in result["peers"]]
missing = {p["peer"]: p["reason"] for p in result["peers_skipped"]}
assert sorted([*there, *missing]) == sorted(
    ["floor", "btrfs", "xfs", "overlayfs", "fuse-overlayfs", "passthrough_ll"]), (there, missing)
assert "floor" in there, missing
for peer, reason in missing.items():
    assert f"-- {peer}: skipped: {reason}" in table, table
for r in result["rows"]:
    for v in r["values"]:
        assert all(v["peers"][name]["median"] > 0 for name in there), v
END
is_empty "$W/ext4"
fails run --peers zfs "$W/ext4"
matches "$(cat "$W/said")" 'there is no peer zfs; there are floor, btrfs,'

claim "another program of tallyfs beside this one, on the same kind of disk"
run --before "old=$TALLY,older=$TALLY" --only branch,share --on image --rounds 1 --json "$W/json" "$W/ext4" \
    >"$W/out" 2>"$W/err" || { cat "$W/err"; false; }
python3 - "$W/json" "$W/out" <<'END'
import json, sys
result, table = json.load(open(sys.argv[1])), open(sys.argv[2]).read()
assert result["before"] == ["old", "older"] and result["peers"] == []
assert table.count("Beside other programs of tallyfs") == 1
for v in (v for r in result["rows"] for v in r["values"]):
    for name in result["before"]:
        assert len(v["peers"][name]["samples"]) == len(v["tallyfs"]["samples"]), v
END
is_empty "$W/ext4"
fails run --before "old=$W/nothing" "$W/ext4"
matches "$(cat "$W/said")" 'nothing is no program'
fails run --before "disk=$TALLY" "$W/ext4"
matches "$(cat "$W/said")" 'disk is no name for a program'

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
OPS_PROGRAM='' TALLY=$TALLY FILL=$FILL "${bench%/*}/space" --objects 1000 --rounds 1 --seconds 0.2 "$W/ext4" \
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
wait_until grep -q 'small: round 1' "$W/err"
kill -TERM "$pid"
rc=0
wait "$pid" || rc=$?
eq "$rc" 143
is_empty "$W/ext4"
eq "$(pgrep -af "mount -f $W/ext4/" || true)" ""
claim "all of ${test_file##*/}"
