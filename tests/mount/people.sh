#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What people see: a terminal gets sentences and tables, a pipe key=value.
set -euo pipefail
leaks=all keeps=yes
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
export TERM=dumb
begin
cd "$M"
seen=

terminal() { "${test_file%/*}/on_terminal.py" "$@"; }

# human VERB… - what a terminal of 80 columns gets: some text, and no word of it is key=value.
human() {
    terminal 80 "$TALLY" "$@" >"$W/shown" || fail "tally $*: $(<"$W/shown")"
    [[ -s $W/shown ]] || fail "nothing is shown of: tally $*"
    ! grep -qE '(^|[ (])[a-z_]+=[^ ]' "$W/shown" || fail "tally $* shows $(<"$W/shown")"
    ! grep -q $'\033' "$W/shown" || fail "tally $* sends a command to the terminal"
    seen+=" $1"
}
shows() { grep -qE -- "$1" "$W/shown" || fail "no /$1/ in \"$(<"$W/shown")\""; }
# narrow - each line of a table fits.
narrow() { ! grep -qE '.{81}' "$W/shown" || fail "a line is too wide: $(<"$W/shown")"; }

claim "an empty store has a status of a few lines, without a word about what is usual"
human status
shows "^tallyfs store test/people at $M: all is well$"
[[ $(wc -l <"$W/shown") -le 5 ]] || fail "$(<"$W/shown")"

claim "namespaces: what was done, and how it is taken back"
printf x >main/a
head -c 300000 /dev/urandom >main/big
mkdir main/d
printf y >main/d/y
human branch main dev --ttl 1d
shows '^dev is a branch of main as of change [0-9]+; it is dropped by itself at .*\(in '
printf z >dev/new
human diff dev --stat
shows '1 new'
human diff dev
human commit dev
shows '^dev is committed to main as change [0-9]+: [0-9]+ files and directories changed, and 1 name\.$'
human commit dev
shows 'nothing was changed'
printf q >dev/more
human merge dev into main
human undo
shows '^Undone: change [0-9]+ \(merge main from dev\), as change'
human redo
human snapshot main v1
human snapshot list
shows '^main@v1 '
narrow
human hold main@v1
human unhold main@v1
human drop dev
shows '`tally undrop dev` takes it back'
human trash list
shows '^dev@dropped-'
human undrop dev
shows '^dev is back\.$'
human detach dev
human drop --now dev
human trash empty
human history
shows '^CHANGE +TIME +STATE'
narrow
human digest main --wait
shows '^[0-9a-f]{64}$'

claim "conflicts are a table, and the sentence names the options of the command"
human branch main other
printf ours >main/a
printf theirs >other/a
! terminal 80 "$TALLY" commit other >"$W/shown" 2>"$W/said" || fail "that is no conflict"
eq "$(<"$W/shown")" $'PATH  CONFLICT\na     both changed the content'
matches "$(<"$W/said")" '1 conflict; nothing was changed \(--conflicts RULE or --set PATTERN=RULE decides\)$'
fails "$TALLY" commit other
matches "$(<"$W/said")" '(^|[^-])content path=a'
human drop --now other

claim "settings"
human set trash_keep 2d
shows '^trash_keep is 2d now\.$'
human get trash_keep
shows '^trash_keep is 2d \(default 1d, from 0s to 3650d\): '
human get
shows '^trash_keep +2d +1d  '
narrow
human get ns:main.frozen
human set ns:main.frozen no

claim "what is on disk"
human drain
shows '^All changes up to number [0-9]+ are on disk'
human flush name
human wait ticket "$(sed -E 's/.*ticket ([0-9]+)`.*/\1/' "$W/shown")"
human wait durable main
human durable
human growth
shows '^TIME +INODES +FILES +STORED'
narrow

claim "objects"
for verb in refs object why pin unpin resolve; do
    human "$verb" main/big
done
shows '^It is at home\.$'

claim "jobs, and their results"
for verb in rebuild compact scrub sweep gc 'gc --dry-run'; do
    # shellcheck disable=SC2086 # a verb with an option
    human $verb --wait
done
shows '^A run now would delete'
human gc
human wait "$(sed -E 's/^Job ([0-9]+) .*/\1/' "$W/shown")"
shows '^GC cycle'
human jobs
shows '^JOB +STATE'
narrow
human jobs 1
shows '^Job 1, '
human cancel 1

claim "other shards"
mkdir "$W/cold"
human shard list
human shard add 1 "dir:$W/cold"
human move main/big 1 --wait
shows '^Moved: 1 object, 29[0-9] KiB\.$'
human resolve main/big
shows '^It is on shard 1\.$'
human status
shows "^  not here, but on shard 1 \(dir:$W/cold\): 1 content of 29[0-9] KiB$"
human shard list
shows '^ +1  ok +1  29[0-9] KiB'
narrow
human recall main/big --wait
human shard drain 1 --wait
human shard remove 1
human node list

claim "archives"
mkdir "$W/archive"
human archive status
"$TALLY" shard add 1 "dir:$W/cold" >/dev/null
mkdir "$W/cold/archive"
fails "$TALLY" archive add "dir:$W/cold/archive"
matches "$(<"$W/said")" "^tally archive: dir:$W/cold/archive is in shard 1 of this store, dir:$W/cold: use a directory that is in no shard$"
fails "$TALLY" shard add 2 "dir:$W/cold/archive/"
matches "$(<"$W/said")" "is in shard 1 of this store"
rmdir "$W/cold/archive"
"$TALLY" shard remove 1 >/dev/null
human archive add "dir:$W/archive"
human archive ship
human archive status
narrow
human archive check --read 100 --wait
shows ' [0-9]+ packs? (or file|and files) of contents, of which [1-9][0-9]* were read: nothing is wrong\.$'
human archive drill --wait
human archive pins
human archive prune --wait
human drain archive
human durable --archive
human restore main back --dry-run
human restore main back --wait
shows "^back is what it was.*: $(find main | wc -l) files and directories"
human archive fork
human archive remove
human log list main
human log find main 100000

claim "from elsewhere, and back"
mkdir "$W/src"
printf s >"$W/src/s"
human import "$W/src" new
shows '^new has 1 file of '
human export new "$W/copy"
human send --to "$W/stream" new
human receive --from "$W/stream" got
human du
shows '^NAMESPACE +FILES'
narrow
human du main
human du --bytes main
shows ' 30000[0-9] '

claim "every verb of a mount was looked at, but those that print no reply of the mount, and promote"
for verb in $("$TALLY" --help | sed -n '/^In a mount/,$s/^  \([a-z]*\) .*/\1/p'); do
    case $verb in help | exec | promote | top | profile | doctor | metrics | graph) ;; *)
        [[ " $seen " == *" $verb "* ]] || fail "$verb was not tried"
        ;;
    esac
done

claim "a pipe gets key=value, and with --porcelain a terminal does, too"
for verb in 'snapshot list' 'history' 'get' 'refs main/a' 'shard list' 'trash list' 'jobs 1'; do
    # shellcheck disable=SC2086 # a verb with an argument
    {
        "$TALLY" $verb >"$W/piped"
        terminal 80 "$TALLY" $verb --porcelain >"$W/shown"
    }
    cmp "$W/piped" "$W/shown" || fail "$verb differs"
done
matches "$("$TALLY" du main)" '^ns=main logical=[0-9]+ shared=[0-9]+ frees=[0-9]+ tree=[0-9]+$'
matches "$("$TALLY" status)" '^state=ok seq='
matches "$(terminal 80 "$TALLY" status --all)" '^state: ok;.*store       test/people'

claim "with --human a pipe gets sentences"
matches "$("$TALLY" refs main/a --human)" '^It has [0-9]+ references?, in '
matches "$("$TALLY" status --human)" '^tallyfs store'

claim "two of --human, --porcelain and --json are too many"
fails "$TALLY" du --human --json
matches "$(<"$W/said")" 'exclude each other'
fails "$TALLY" jobs --human --porcelain
matches "$(terminal 80 "$TALLY" refs main/a --json)" '"refs": [0-9]'

claim "a name that has commands for a terminal is shown without them"
name=$'e\033]0;title\a\n2'
mkdir "$name"
human du
shows 'e\?]0;title\?\?2'
human snapshot "$name" s
human snapshot list
human history
human drop "$name"
human trash list

claim "colours: only of the state, on a terminal that has them, unless NO_COLOR is set"
matches "$(TERM=xterm terminal 80 "$TALLY" status)" $'\033\\[32mall is well\033\\[0m'
[[ $(TERM=xterm NO_COLOR=1 terminal 80 "$TALLY" status) != *$'\033'* ]] || fail "colours"

claim "a narrow terminal gets narrow tables"
long=$(printf 'n%.0s' {1..200})
mkdir "$long"
human du
narrow
shows '^nnn+…'

claim "what is wrong stands in the first line"
mkdir "$W/gone"
human shard add 2 "dir:$W/gone"
human move main/big 2 --wait
mv "$W/gone" "$W/elsewhere"
shard_is_away() { "$TALLY" shard list | grep -q 'shard=2 state=unreachable'; }
wait_until shard_is_away
human status
shows ': DEGRADED: '
shows '^! shard 2 \(dir:.*\) is unreachable'
mv "$W/elsewhere" "$W/gone"
shard_is_back() { "$TALLY" shard list | grep -q 'shard=2 state=ok'; }
wait_until shard_is_back
may_log 'shard 2'

claim "a read-only mount has a status, too"
human recall main/big --wait
cd /
unmount_store
mount_with -o ro
cd "$M"
human status
shows '^! it is mounted ro'
cd /
unmount_store

claim "of an archive that is away since before the mount it is not known what it has"
mkdir "$W/away"
mount_store
"$TALLY" -C "$M" archive add "dir:$W/away" >"$W/out"
"$TALLY" -C "$M" archive ship >"$W/out"
unmount_store
mv "$W/away" "$W/kept"
mount_store
cd "$M"
is_failing() { "$TALLY" archive status | grep -q 'state=failing'; }
wait_until is_failing
human archive status
shows '^ *[0-9]+  failing  unknown  unknown '
human doctor
shows 'BAD +archives +nothing can be shipped to an archive;'

claim "what takes more than a second shows on a terminal how long it has taken"
# shellcheck disable=SC2016 # sh expands it
! terminal 80 sh -c '"$1" archive ship 3s 2>&1' sh "$TALLY" >"$W/shown" || fail "it was shipped"
shows 'waiting for the mount, 2 s'
[[ $(tr '\r' '\n' <"$W/shown" | grep -c 'waiting for the mount, 2 s') -eq 1 ]] || fail "it is drawn again: $(<"$W/shown")"
mv "$W/kept" "$W/away"
may_log 'archive|tally: ALARM'
cd /
finish
