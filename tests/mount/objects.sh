#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Listing all objects with their attributes costs few requests each; and what the kernel keeps for
# that is never seen to be old: counts, and whether an object is there at all.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin
needs getfattr
for i in {1..300}; do echo "content $i" >"$M/main/f$i"; done
drain
# Requests so far but those for extended attributes, which ls asks for whatever it has been told.
requests() {
    python3 - "$M/.tally/stats.json" <<'END'
import json, sys
r = json.load(open(sys.argv[1]))["requests"]
print(sum(n for op, n in r.items() if op != "GETXATTR"))
END
}

claim "ls -l of all objects: no more than 6 requests each, the directories included"
before=$(requests)
(cd "$M/.tally/objects" && ls -l -- * >"$W/listing")
after=$(requests)
eq "$(grep -c ' 1 root ' "$W/listing")" 300
((after - before <= 300 * 6)) || fail "$((after - before)) requests for 300 objects"

id=$(getfattr --absolute-names --only-values -n user.tally.object "$M/main/f7")
object=$M/.tally/objects/${id:0:2}/$id
for how in "a name is looked up" "it was listed"; do
    look() {
        if [[ $how == *listed ]]; then
            (cd "$M/.tally/objects" && ls -l -- * >/dev/null)
        else
            stat "$object" >/dev/null
        fi
    }
    claim "counts are exact at once after $how"
    for n in {2..20}; do
        look
        ln "$object" "$M/main/more$n"
        eq "$(stat -c %h "$object")" "$n"
    done
    for n in {20..2}; do
        look
        rm "$M/main/more$n"
        eq "$(stat -c %h "$object")" $((n - 1))
    done

    claim "an object that goes, and comes again, is gone and there at once after $how"
    for _ in {1..5}; do
        look
        rm "$M/main/f7"
        [[ ! -e $object ]] || fail "it is still there"
        fails cat "$object"
        drain
        [[ ! -e $object ]] || fail "it is still there after a drain"
        echo "content 7" >"$M/main/f7"
        eq "$(cat "$object")" "content 7"
        eq "$(stat -c %h "$object")" 1
        look
        rm "$M/main/f7"
        drain
        echo "content 7" >"$M/main/f7" # under another number
        eq "$(stat -c %h "$object")" 1
        eq "$(cat "$object")" "content 7"
    done
done
finish
