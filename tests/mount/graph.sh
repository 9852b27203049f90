#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Pictures of a store: a browser and Graphviz can read them whatever names there are; they say what was made
# of what, and what each takes.
set -euo pipefail
leaks=all
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
keeps=yes # read by lib.sh
needs xmllint dot python3
tally() { "$TALLY" "$@"; }
# kinds - of each node of the picture, from its JSON: "name kind parent", a line each.
kinds() {
    tally -C "$M" graph branches --json | python3 -IS -c '
import json, sys
for n in json.load(sys.stdin)["nodes"]:
    print(n["name"], n["kind"].replace(" ", "-"), n["parent"] or "-")' | sort
}
begin
cd "$M"

claim "a new store has one namespace, on a terminal and in a picture"
matches "$(tally graph branches --text)" "● main  .*0 B.*1 namespace"
tally graph branches | xmllint --noout -
tally graph space | xmllint --noout -
matches "$(tally graph space --text)" "main .*Metadata"

claim "a branch, a snapshot, a branch of that, a commit, and what was dropped are drawn below their origins"
head -c 300000 /dev/urandom >main/base
tally branch main dev >/dev/null
head -c 200000 /dev/urandom >dev/own
tally commit dev >/dev/null
tally snapshot main v1 >/dev/null
tally branch main@v1 hotfix >/dev/null
tally branch dev old >/dev/null
dropped=$(tally drop old | sed 's/^kept=\([^ ]*\) .*/\1/')
tally branch dev between >/dev/null
tally branch between last >/dev/null
tally drop --now between >/dev/null
mv dev develop
eq "$(kinds | grep -v '@before-\|@after-' | tr '\n' '/')" \
    "between gone develop/develop namespace main/hotfix namespace main@v1/last namespace between/main namespace -/main@v1 snapshot main/$dropped in-the-trash develop/"
matches "$(tally graph branches)" "develop was committed into main by change [0-9]+<"
tally undo "$(tally history main | sed -n 's/^seq=\([0-9]*\) .*op=commit.*/\1/p')" >/dev/null
matches "$(tally graph branches)" "which was undone"

claim "the sizes are those of du"
rm hotfix/base
head -c 100000 /dev/urandom >hotfix/own
tally drain >/dev/null
read -r frees tree < <(tally du hotfix | sed -n 's/.*ns=hotfix .*frees=\([0-9]*\) tree=\([0-9]*\).*/\1 \2/p')
eq "$(tally graph space --json | python3 -IS -c '
import json, sys
print(next(n["alone"] for n in json.load(sys.stdin)["nodes"] if n["name"] == "hotfix"))')" $((frees + tree))

claim "the same store gives the same picture, and another state another one"
tally graph branches -o "$W/a.svg"
tally graph branches --out "$W/b.svg" --svg
cmp "$W/a.svg" "$W/b.svg"
fails tally graph branches -o c.svg
matches "$(<"$W/said")" 'c.svg: in the root of a mount there are only namespaces: choose another directory'
mkdir more
tally graph branches -o "$W/b.svg"
fails cmp "$W/a.svg" "$W/b.svg"

claim "only the family of a namespace is drawn, if asked"
matches "$(tally graph branches --text more)" "● more  .*1 namespace"
fails tally graph branches nothing
matches "$(cat "$W/said")" "there is no namespace nothing"

claim "whatever the names are, the picture is XML, the graph is one for dot, and the terminal gets no command"
mkdir 'a "quoted" & <tagged>' 'back\slash' $'control \001\033[31m' $'bad \377 bytes' 'größe 日本語' \
    "$(printf 'w%.0s' {1..255})" 'x=y' "it's"
for subject in branches space; do
    tally graph "$subject" -o "$W/odd.svg"
    xmllint --noout "$W/odd.svg"
    grep -q 'a &quot;quoted&quot; &amp; &lt;tagged&gt;' "$W/odd.svg"
    tally graph "$subject" --text >"$W/text"
    eq "$(tr -cd '\001\033' <"$W/text" | wc -c)" 0
done
tally graph branches -o "$W/odd.dot"
dot -Tsvg "$W/odd.dot" | xmllint --noout -
grep -q 'label="back\\\\slash' "$W/odd.dot"

claim "a picture has a title and a description, and colours for light and dark"
for word in '<title id="title">Branches of test/graph' '<desc id="desc">' 'role="img"' 'prefers-color-scheme:dark'; do
    grep -qF "$word" <(tally graph branches) || fail "no $word"
done

claim "hundreds of branches stay readable: those that hold least share a line, and --all draws each"
for ((i = 0; i < 200; i++)); do echo "branch main many$i"; done | dd bs=64K of=.tally/control status=none
tally graph branches -o "$W/many.svg"
grep -q "and [0-9]* more branches" "$W/many.svg"
grep -q "share lines that say so" "$W/many.svg"
[[ $(grep -c '>many[0-9]*</text>' "$W/many.svg") -lt 60 ]]
tally graph branches --all -o "$W/many.svg"
eq "$(grep -c '>many[0-9]*</text>' "$W/many.svg")" 200
xmllint --noout "$W/many.svg"

claim "how the store has grown is drawn from its samples, and from how it is now"
head -c 1000000 /dev/urandom >main/new
drain
eq "$(tally growth | tail -1 | sed 's/.*stored=\([0-9]*\).*/\1/')" "$(sed -n 's/.*"stored_bytes": \([0-9]*\).*/\1/p' .tally/stats.json)"
matches "$(tally growth | tail -1)" "^time=20[0-9T:-]+Z inodes=[0-9]+ logical=[0-9]+ stored=[0-9]+ objects=[0-9]+ namespaces=[0-9]+ disk_free=[0-9]+"
tally graph history -o "$W/growth.svg"
xmllint --noout "$W/growth.svg"
grep -q ">Namespaces</text>" "$W/growth.svg"
matches "$(tally graph history --text --since 1d)" "Stored .*sample"
eq "$(tally graph history --json | python3 -IS -c 'import json, sys; print(len(json.load(sys.stdin)))')" \
    "$(tally growth | sed -n 's/^samples=//p')"

claim "samples are there after a crash, and after another mount"
before=$(tally growth | sed 1d | head -1)
cd /
kill_daemon
mount_store
cd "$M"
eq "$(tally growth | sed 1d | head -1)" "$before"

claim "a call that cannot be right says so and writes nothing"
for call in "" "trees" "space --dot" "space main" "branches --svg --dot" "history main" "history --all" "space --since 1d" "history --since never" "branches main dev"; do
    # shellcheck disable=SC2086  # several words
    fails tally graph $call -o "$W/none"
    [[ ! -e $W/none ]]
done
fails tally graph branches -o "$W/no/such/file.svg"
matches "$(cat "$W/said")" "no/such/file.svg: No such file"

claim "a device and a symlink are written to, and not replaced"
tally graph branches -o /dev/null
[[ -c /dev/null ]]
ln -s target.svg "$W/link.svg"
tally graph space -o "$W/link.svg"
[[ -L $W/link.svg ]]
xmllint --noout "$W/target.svg"
finish
