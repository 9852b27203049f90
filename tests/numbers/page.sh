#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The page of numbers is what was measured, and the README's figure is one of it.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/../mount/lib.sh"
needs python3 xmllint
numbers=$(dirname "$test_file")
top=${numbers%/tests/numbers}
cd "$W"

claim "the page and its pictures are what is made of what was measured"
mkdir out
cp -r "$numbers/measured" out
"$numbers/publish" --page --out out
for file in NUMBERS.md beside.svg branches.svg; do
    cmp "out/$file" "$numbers/$file"
done

claim "another measurement makes another page"
sed -i '0,/"ext4": [0-9.]*/s//"ext4": 4321/' out/measured/bench.json
"$numbers/publish" --page --out out
! cmp -s out/NUMBERS.md "$numbers/NUMBERS.md" || fail "the page has not changed"

claim "pictures are whole, with a title and a description, for a light and a dark page"
for picture in "$numbers"/*.svg; do
    xmllint --noout "$picture"
    for part in '<title id="t">' '<desc id="d">' 'prefers-color-scheme:dark'; do
        grep -q "$part" "$picture" || fail "${picture##*/} has no $part"
    done
done

claim "the README has the figure, the picture and the page"
figure=$(cd "$numbers" && python3 -IBS -c '
import json, sys
sys.path.insert(0, ".")
import page
print(page.headline(json.load(open("measured/bench.json"))))')
[[ $(tr '\n' ' ' <"$top/README.md") == *"$figure"* ]] || fail "the README does not say: $figure"
grep -q '(tests/numbers/beside.svg)' "$top/README.md" || fail "the README has no picture"
grep -q '(tests/numbers/NUMBERS.md)' "$top/README.md" || fail "the README has no link"

claim "each key of the table and of the picture was measured, or its row was left out"
(cd "$numbers" && python3 -IBS -c '
import json, sys
sys.path.insert(0, ".")
import page
bench = json.load(open("measured/bench.json"))
measured = {v["key"] for v in bench["values"]}
shown = [key for _, rows in page.TABLE for key, _ in rows] + [key for key, _ in page.PICTURE]
missing = [key for key in shown if key not in measured]
assert not missing or bench["skipped"], missing')

claim "what is not a part, or not a directory, is refused before anything is measured"
fails "$numbers/publish" --only speed "$W"
matches "$(<"$W/said")" 'there is no part speed; there are bench, limits, proofs'
fails "$numbers/publish" --quick "$W"
matches "$(<"$W/said")" 'figures that mean nothing'
fails "$numbers/publish" "$W/nowhere"
matches "$(<"$W/said")" 'WORKDIR is a directory'

claim "limits and proofs work, by a little of each"
[[ $(id -u) -eq 0 ]] || skip "not root"
(exec 3<>/dev/fuse) 2>/dev/null || skip "/dev/fuse does not open"
for program in tests/crash/crash_store tests/sim/sim tests/fsx/fsx tests/fuzz/fuzz-thin; do
    [[ -x $BUILD/$program ]] || fail "$BUILD has no $program: ninja -C $BUILD"
done
python3 -IBS - "$numbers" "$BUILD" "$W" <<'END'
import sys
sys.path.insert(0, sys.argv[1])
import limits, proofs
for part in limits, proofs:
    for what, much, seen in part.measure(sys.argv[2], sys.argv[3], True)["rows"]:
        assert what and much and seen, (what, much, seen)
END
claim "all of page.sh"
