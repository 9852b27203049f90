#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The documents say what is so: the tour of README.md works as it stands there, CONTROL.md has every
# verb and every setting, links lead to files and citations to sections.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
top=$(realpath "${test_file%/*}/../..")
S=$W/tally-store M=$W/tally-mnt
keeps=yes # a newcomer has what a mount has by itself
begin

# The sources and documents, in or out of a checkout.
listed() {
    git -C "$top" ls-files 2>/dev/null || (cd "$top" && find core fs tools tests README.md -type f)
}

claim "README.md is one that a newcomer reads"
[[ $(wc -w <"$top/README.md") -le 1200 ]] || fail "it has $(wc -w <"$top/README.md") words"

# section FILE HEADING - the text below that heading, up to the next one.
section() { awk -v h="## $2" '$0 == h { on = 1; next } /^## / { on = 0 } on' "$1"; }

claim "the tour of README.md: each command does what stands behind it"
section "$top/README.md" "A tour" | sed -n 's/^    //p' >"$W/tour"
[[ $(wc -l <"$W/tour") -ge 25 ]] || fail "there is no tour"
{
    printf '%s\n' 'set -e' 'shopt -s expand_aliases' 'PS4="+ "' 'mkdir -p build/tools' 'cp -s "$TALLY" build/tools/'
    cat "$W/tour"
} >"$W/walk"
(cd "$W" && HOME=$W TALLY=$TALLY bash -x walk) >"$W/seen" 2>&1 ||
    { cat "$W/seen"; fail "it does not work"; }
wait "$daemon"
quiet_log
# What stands behind a command, as its output has it.
mapfile -t seen <"$W/seen"
expect() {
    local i
    for i in "${!seen[@]}"; do
        [[ ${seen[i]} == *"$1"* && ${seen[i + 1]-} == *"$2"* ]] && return
    done
    cat "$W/seen"
    fail "after \"$1\" there is no \"$2\""
}
expect 'tally refs main/a' 'refs=2 namespaces=2'
expect 'tally diff try' 'M	a'
expect '+ cat main/a' two
expect '+ ls -l .tally/objects/' 'total 0'

mount_store
claim "CONTROL.md has every verb of the control file, and none that is not there"
ctl help | sed -n 's/^| //p' >"$W/help"
verbs=$(sed -n 's/^\([a-z][a-z-]*\).*/\1/p' "$W/help" | sort -u)
written=$(section "$top/tools/CONTROL.md" "The verbs" | sed -n 's/\\|/ /g; s/^| \(`.*\)/\1/p' | cut -d'|' -f1 |
    grep -oE '`[a-z][a-z-]*' | tr -d '`' | sort -u)
eq "$written" "$verbs" "CONTROL.md, then help"

claim "it has every setting, with its default and range"
"$TALLY" -C "$M" get >"$W/settings"
section "$top/tools/CONTROL.md" "Settings" | sed -n 's/^| `\([a-z_]*\)` | \([^|]*[^ |]\) | \([^|]*[^ |]\) |.*/\1 \2 \3/p' |
    sed 's/, / – /' | sort >"$W/written"
sed -E 's/^([a-z_]+)=\S+ default=(\S+) min=(\S+) max=(\S+) .*/\1 \2 \3 – \4/' "$W/settings" | sort >"$W/got"
[[ $(wc -l <"$W/got") -ge 20 ]]
diff "$W/written" "$W/got" || fail "CONTROL.md (<) and get (>) differ"

claim "and it says of each what get says"
section "$top/tools/CONTROL.md" "Settings" | sed -n 's/^| `\([a-z_]*\)` |.*| \([^|]*[^ |]\) |$/\1 \2/p' | sort >"$W/written"
sed -E 's/^([a-z_]+)=\S+ default=\S+ min=\S+ max=\S+ /\1 /' "$W/settings" | sort >"$W/got"
diff "$W/written" "$W/got" || fail "CONTROL.md (<) and get (>) differ"

claim "help on a mount and the help of the program have the same verbs, first words and options"
# words TEXT - the keywords of a usage and the names of its options, sorted.
words() { grep -oE '\b[a-z][a-z-]*\b' <<<"$1" | sort -u | tr '\n' ' ' || true; }
compared=0
while read -r verb; do
    ours=$("$TALLY" "$verb" --help | head -n 1 | sed "s/^usage: tally $verb *//; s/\[-C MNT\] //; s/\[--json\] *//")
    ours=${ours#"[--foreign-store] STORE | "}
    ours=${ours/"[--name-only] [--patch] [-z] "/} # how the program prints what it was told
    ours=${ours/"[--bytes] "/}
    ours=${ours/"[--all]"/}
    theirs=$(sed -nE "s/^$verb( .*|)$/\1/p" "$W/help")
    theirs=${theirs%%  *}
    ours=${ours/"[--with CMD] "/} # what the program does, and what it needs for that
    ours=${ours//"[--archive URL] [--lineage N] "/}
    ours=${ours/" | fetch [--archive URL] [--data] [--index] KEY"/}
    theirs=${theirs/" [paths=all] [if_seq=SEQ]"/}
    eq "$(words "$ours")" "$(words "${theirs//| $verb/|}")" "$verb: of the program, of the mount"
    compared=$((compared + $(words "$ours" | wc -w)))
done <<<"$verbs"
[[ $compared -ge 20 ]] || fail "only $compared words were compared"
unmount_store

claim "links in documents lead to files"
links=0
while read -r doc; do
    while read -r to; do
        links=$((links + 1))
        [[ $to == *://* || -e $top/$(dirname "$doc")/${to%%#*} ]] || fail "$doc: $to is not there"
    done < <({ grep -oE '\]\([^)#]+' "$top/$doc" || true; } | cut -c3-)
done < <(listed | grep '\.md$')
[[ $links -ge 15 ]] || fail "only $links links were looked at"

claim "pages that a page or README.md names are there"
pages=0
while read -r page; do
    pages=$((pages + 1))
    [[ -s $top/tools/man/${page%(*}.${page: -2:1} ]] || fail "there is no $page"
done < <({
    grep -ohE '^\.Xr tally[a-z-]* [17]' "$top"/tools/man/* | awk '{ print $2 "(" $3 ")" }'
    grep -oE '\btally[a-z-]*\([17]\)' "$top/README.md"
} | sort -u)
[[ $pages -ge 10 ]] || fail "only $pages pages were looked at"

claim "sections that are cited are there"
# headings FILE - the numbers of its sections, and of the promises of DESIGN 2.
headings() { sed -nE 's/^#+ ([0-9]+(\.[0-9]+)?)\.? .*/\1/p' "$top/core/$1"; }
promises() { section "$top/core/DESIGN.md" "2. The promises" | sed -nE 's/^ *(\*\*)?([0-9]+b?)\..*/2.\2/p'; }
{ headings DESIGN.md; promises; } >"$W/design"
headings CONTRACTS.md >"$W/contracts"
[[ $(wc -l <"$W/design") -ge 25 && $(wc -l <"$W/contracts") -eq 6 ]]
# cited WORD - "FILE:LINE: NUMBER" of each citation.
cited() {
    (cd "$top" && listed | grep -E '^(core|fs|tools|tests)/' | grep -v '\.md$' |
        xargs grep -noiE "\\b$1(\\.md)?,?( section)? [0-9]+(\\.[0-9]+b?)?") |
        sed -E 's/^([^:]*:[0-9]+):.* ([0-9.]+b?)$/\1 \2/' || true
}
for document in design contracts; do
    cited "$document" >"$W/cited"
    [[ $(wc -l <"$W/cited") -ge 10 ]]
    while read -r where number; do
        grep -qxF "$number" "$W/$document" || fail "$where: $document has no section $number"
    done <"$W/cited"
done
# Sections of FORMAT.md are cited by their headings, or by numbers.
headings format/FORMAT.md >"$W/numbers"
cited FORMAT >"$W/cited"
[[ $(wc -l <"$W/cited") -ge 3 ]]
while read -r where number; do
    grep -qxF "$number" "$W/numbers" || fail "$where: FORMAT.md has no section $number"
done <"$W/cited"
sed -nE 's/^#+ ([0-9]+\. )?(.*)/\2/p' "$top/core/format/FORMAT.md" >"$W/format"
headings=0
while read -r heading; do
    headings=$((headings + 1))
    grep -qxF "$heading" "$W/format" || fail "FORMAT.md has no section \"$heading\""
done < <(cd "$top" && listed | grep '\.[ch]$' | xargs grep -ohE 'FORMAT\.md,( section)? ("[^"]+"|[0-9]+)' |
    sed -nE 's/.*"(.*)"/\1/p' | sort -u)
[[ $headings -ge 3 ]] || fail "only $headings sections of FORMAT.md were looked at"

claim "all of ${test_file##*/}"
