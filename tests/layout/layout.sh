#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What the build cannot enforce by itself: which entries the top level has, who may include foreign
# headers, that no include points up, and that every header compiles alone.
set -euo pipefail
cd "$(dirname "$(realpath "$0")")/../.."

bad=0
wrong() {
    printf '%s\n' "$*" >&2
    bad=1
}

listed() { # the files of the project, in or out of a checkout
    git ls-files 2>/dev/null || find . -path ./.git -prune -o -type f -printf '%P\n'
}

# Top level: the agreed folders and files, and dotfiles.
extra=$(listed | cut -d/ -f1 | sort -u | grep -vxE 'fs|core|tools|tests|meson\.build|README\.md|LICENSE|\..*|build.*' || true)
[[ -z $extra ]] || wrong "top level: $extra does not belong there"

# Foreign headers stay in their room.
room() { # HEADER ROOM
    local out
    out=$(grep -rlE "include <$1>" core fs tools | grep -v "^$2/" || true)
    [[ -z $out ]] || wrong "$1 is included outside of $2: $out"
}
room 'lmdb\.h' core/kv
room 'fuse(_lowlevel|_common)?\.h' fs
room 'xxhash\.h' 'core/\(format\|engine\)'
room 'curl/.*' core/engine
room 'rados/.*' core/engine
room 'openssl/.*' 'core/\(digest\|engine\|format\)'
room 'expat\.h' core/engine

# The rooms of core.
tests/layout/rooms.py || bad=1
flags=(-std=c17 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -fsyntax-only -x c)

# The rooms of tools, from the ground up: each sees those before it. meson.build links a room with what
# its README says that it stands on, and with no more; tests/layout/meson.build sees to the calls.
dirs=()
for d in core/*/; do
    dirs+=("-I$d")
done
for room in client people observe bulk graph mount verbs; do
    says=$(sed -n 's/^Stands on: \(.*\)\.$/\1/p' "tools/$room/README.md" | grep -oE '[a-z]+(,|$)' | tr -d , | sort)
    links=$(grep -oE '[a-z]+_dep\b' "tools/$room/meson.build" | sed 's/_dep//' | grep -vx "$room" | sort -u)
    [[ -n $says && $says == "$links" ]] ||
        wrong "tools/$room stands on" $says", says its README, but is linked with" $links
    [[ $says != *fs* ]] || dirs+=(-Ifs -Ifs/base)
    if echo "#include \"$(basename "$(find tools/$room -name '*.h' | head -n 1)")\"" |
        "${CC:-cc}" "${flags[@]}" "${dirs[@]}" - 2>/dev/null; then
        wrong "tools/$room can be included from below"
    fi
    dirs+=("-Itools/$room")
    for header in tools/"$room"/*.h; do
        "${CC:-cc}" "${flags[@]}" "${dirs[@]}" /dev/null -include "$header" ||
            wrong "$header does not compile alone, with only the rooms below it"
    done
done

# The lock table has each lock of an open store and of a mount, and the file that it says it is in.
table=$(sed -n '1,/#pragma once/p' core/state/state.h)
locks=$(grep -rhoE '(mutex_init|rwlock_init|apart_start)\(.*"[^"]+"' core fs --include='*.c' \
    --exclude='*_mem.c' --exclude=lock.c | grep -oE '"[^"]+"$' | sort -u)
[[ $(wc -l <<<"$locks") -gt 60 ]] || wrong "too few locks: $locks"
while read -r lock; do
    [[ $table == *"$lock"* ]] || wrong "lock $lock is not in the table of core/state/state.h"
done <<<"$locks"
guards=$(grep -rhE --include='*.h' '^ +[^ *].*GUARDED_BY\(' core fs | grep -oE 'GUARDED_BY\([^)]*' | cut -d'(' -f2 |
    sed 's/, */\n/g' | sort -u)
[[ $(wc -l <<<"$guards") -gt 10 ]] || wrong "too few locks in GUARDED_BY: $guards"
while read -r lock; do
    [[ $table == *"\"${lock//_/ }\""* ]] || wrong "GUARDED_BY names $lock, which is no lock of that table"
done <<<"$guards"
files=$(grep -oE '^ \*   "[a-z _]+" +[a-z_/]+\.c' <<<"$table" | grep -oE '[a-z_/]+\.c$')
[[ $(wc -w <<<"$files") -gt 30 ]] || wrong "too few files in the table of core/state/state.h:" $files
for file in $files; do
    [[ -n $(listed | grep -E "^core/(.*/)?$file\$") ]] || wrong "the table of core/state/state.h names $file, which is not there"
done

# Functions that have no place here.
out=$(grep -rnE '\b(strcpy|strcat|sprintf|gets|strtok)\(' core fs tools --include='*.[ch]' || true)
[[ -z $out ]] || wrong "unbounded functions: $out"
# As .clang-format has it, which leaves comments alone. A character is a column.
out=$(LC_ALL=C.UTF-8 grep -rnE '^.{101,}' core fs tools --include='*.[ch]' || true)
[[ -z $out ]] || wrong "lines of more than 100 columns: $out"

# Assertions of shell tests that cannot fail: `set -e` does not look at the status of `! COMMAND`
# (`! COMMAND || fail "..."` is right), nor has a value another one than itself.
unchecked() {
    awk '
        function report() { if (held != "" && $0 !~ /^[[:space:]]*}/) print held; held = "" }
        FNR == 1 { held = ""; before = "" }
        { report(); line = $0; gsub(/\[\[.*\]\]/, "TEST", line) }
        before !~ /(&&|\|\||\\)$/ && line ~ /(^[[:space:]]*|&& |\|\| )! / && line !~ /! .*(\|\| |; then|; do)/ &&
            line !~ /^[[:space:]]*(#|if |elif |while |until |wait_until )|\(\) [({]/ { held = FILENAME ":" FNR ": " $0 }
        { before = $0 }
        END { if (held != "") print held }' "$@"
    grep -HnE '\b(eq|cmp|diff) ("\$.*"|[^ ]+) \2( |$)' "$@" || true
}
mapfile -t scripts < <(listed | grep -E '^tests/.*\.sh$')
[[ ${#scripts[@]} -gt 50 ]] || wrong "too few shell tests: ${#scripts[@]}"
out=$(unchecked "${scripts[@]}")
[[ -z $out ]] || wrong "assertions that cannot fail: $out"
out=$(tests/layout/lists.py "${scripts[@]}" || true)
[[ -z $out ]] || wrong "A && B, where set -e does not see that A fails: give each a line of its own: $out"

# One line of licence in every source.
mapfile -t sources < <(listed | grep -E '\.(c|h|sh|py)$' | sort)
[[ ${#sources[@]} -gt 500 ]] || wrong "too few sources: ${#sources[@]}"
out=$(awk 'FNR <= 2 && /SPDX-License-Identifier: Apache-2\.0/ { print FILENAME; nextfile } FNR > 2 { nextfile }' \
    "${sources[@]}" | comm -23 <(printf '%s\n' "${sources[@]}") -)
[[ -z $out ]] || wrong "no SPDX line is in: $out"
exit "$bad"
