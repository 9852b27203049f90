#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A scrub as people see it: a byte of the store goes bad, the scrub names the file, reading it is an
# error, and everything else can be read.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin
cd "$M"
# flip FILE OFFSET - one bit of a byte.
flip() {
    python3 -c '
import sys
with open(sys.argv[1], "r+b") as f:
    f.seek(int(sys.argv[2]))
    b = f.read(1)[0]
    f.seek(int(sys.argv[2]))
    f.write(bytes([b ^ 4]))' "$1" "$2"
}
offset_of() { grep -obaF "$2" "$1" | head -n 1 | cut -d: -f1; }
is_eio() { eq "$(errno_of 'open(argv[0], "rb").read()' "$1")" EIO; }

claim "a sound store: everything is read, nothing is damaged"
mkdir -p main/doc
for i in {1..40}; do echo "the text of letter $i" >"main/doc/letter$i"; done
cp main/doc/letter7 "main/a copy"
head -c 700000 /dev/urandom >main/large
head -c 900000 /dev/urandom >main/other
"$TALLY" branch main dev >/dev/null
"$TALLY" drain >/dev/null
matches "$("$TALLY" status)" 'scrub +last=never '
matches "$("$TALLY" scrub --wait)" '^objects=42 pages=[1-9][0-9]* bytes=[0-9]+ damaged=0 job=[0-9]+$'
matches "$("$TALLY" status)" 'scrub +last=20[0-9T:-]+Z objects=42 '

claim "a bit of a pack: the scrub names the paths, reading them is an error"
pack=$S/packs/0000000000000001
flip "$pack" "$(offset_of "$pack" 'text of letter 7')"
may_log '^tally: ALARM: ((scrub|read): )?object [0-9a-f]{32} (is|was) '
said=$("$TALLY" scrub --wait)
matches "$said" '^objects=42 .* damaged=1 '
matches "$said" 'object [0-9a-f]{32} is damaged: .*\(packs/0000000000000001 at [0-9]+\)'
for path in main/doc/letter7 '"main/a copy"' dev/doc/letter7 '"dev/a copy"'; do
    grep -qE -- "object [0-9a-f]{32} is used by $path\$" <<<"$said" || fail "no $path in $said"
done
eq "$(grep -c ' is used by ' <<<"$said")" 4
is_eio main/doc/letter7
is_eio "dev/a copy"
for i in {1..6} {8..40}; do eq "$(cat "main/doc/letter$i")" "the text of letter $i"; done

claim "it stays in the status and is an alarm; stats and metrics have it"
# A terminal, where a bar is drawn, shows the same lines.
matches "$(script -qec "$TALLY scrub --wait" /dev/null </dev/null)" 'is used by main/'
matches "$("$TALLY" status)" 'the last scrub found 1 damaged'
grep -qF 'is used by main/doc/letter7' "$W/log"
python3 -c 'import json; s = json.load(open(".tally/stats.json")); assert s["scrub_damaged"] == 1 and s["last_scrub_seconds"] > 0'
grep -q '^tallyfs_scrub_damaged 1$' .tally/metrics

claim "the same bytes written again bring it back for all"
rm main/doc/letter7
echo "the text of letter 7" >main/doc/letter7
"$TALLY" drain >/dev/null
eq "$(cat dev/doc/letter7)" "the text of letter 7"
matches "$("$TALLY" scrub --wait)" ' damaged=0 '
status=$("$TALLY" status)
[[ $status != *"the last scrub found"* ]] || fail "said: $status"

claim "a bit of an object file: so, too, and the rest of the file can be read"
object=$(getfattr --only-values -n user.tally.object main/large 2>/dev/null)
flip "$(find "$S/objects/${object:0:2}" -name "$object.*" ! -name '*.sums')" 500000
said=$("$TALLY" scrub --json --wait)
python3 -c '
import json, sys
r = json.loads(sys.argv[1])
assert r["ok"] and int(r["damaged"]) == 1, r
assert any(line.endswith("is used by main/large") for line in r["lines"]), r' "$said"
is_eio main/large
cmp -n 300000 main/large dev/large
cmp main/other dev/other
"$TALLY" drain >/dev/null

claim "the rate, the job, one at a time; cancelled, it goes on where it was"
matches "$("$TALLY" get scrub_rate)" '^scrub_rate=64M/s default=64M/s min=1M/s max=64G/s'
fails "$TALLY" set scrub_rate 1K/s
"$TALLY" set scrub_rate 1M/s >/dev/null
for i in {1..30}; do head -c 1000000 /dev/urandom >"main/slow$i"; done
"$TALLY" drain >/dev/null
matches "$("$TALLY" scrub)" '^job=[0-9]+$'
job=$(names .tally/jobs | tr ' ' '\n' | sort -n | tail -n 1)
eq "$("$TALLY" scrub)" "job=$job"
under_way() { grep -qE '^bytes_done=[1-9][0-9]{5}' ".tally/jobs/$job"; }
wait_until under_way
"$TALLY" cancel "$job" >/dev/null
fails "$TALLY" wait "$job"
matches "$(cat "$W/said")" 'was cancelled'
matches "$("$TALLY" status)" 'stopped=20'
"$TALLY" set scrub_rate 1G/s >/dev/null
matches "$("$TALLY" scrub --wait)" '^objects=[0-9]+ .* damaged=1 resumed=1 '

claim "one that the end of the mount interrupts goes on by itself"
"$TALLY" set scrub_rate 1M/s >/dev/null
matches "$("$TALLY" scrub)" '^job=[0-9]+$'
it_runs() { "$TALLY" status | grep -q 'running=20'; }
wait_until it_runs # its thread begins when it gets to it
cd /
unmount_store
mount_store
cd "$M"
eq "$(sed -n 's/^verb=//p' .tally/jobs/1)" scrub
eq "$(sed -n 's/^detail=//p' .tally/jobs/1)" resumed
"$TALLY" set scrub_rate 1G/s >/dev/null
"$TALLY" wait 1 >/dev/null
matches "$("$TALLY" status)" 'the last scrub found 1 damaged'

claim "the daemon ends well; check names the same file"
cd /
unmount_store
fails "$TALLY" check "$S"
grep -q 'main/large' "$W/said"
