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
room 'xxhash\.h' core/format

# Arrows point down: each floor with the include directories it may see.
floors=(base format kv shard object tree project)
flags=(-std=c17 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -fsyntax-only -x c)
declare -A below=([base]="" [format]="base" [kv]="base" [shard]="base"
    [object]="base format kv shard" [tree]="base format kv shard object"
    [project]="base format kv shard object tree")
for floor in "${floors[@]}"; do
    dirs=("-Icore/$floor")
    for d in ${below[$floor]}; do
        dirs+=("-Icore/$d")
    done
    for header in core/"$floor"/*.h; do
        "${CC:-cc}" "${flags[@]}" "${dirs[@]}" -include stddef.h /dev/null -include "$header" ||
            wrong "$header does not compile alone, with only the floors below it"
    done
done
if echo '#include "project.h"' | "${CC:-cc}" "${flags[@]}" -Icore/base -Icore/kv - 2>/dev/null; then
    wrong "an include that points up compiles"
fi

# Functions that have no place here.
out=$(grep -rnE '\b(strcpy|strcat|sprintf|gets|strtok)\(' core fs tools --include='*.[ch]' || true)
[[ -z $out ]] || wrong "unbounded functions: $out"

# One line of licence in every source.
while read -r f; do
    head -n 2 "$f" | grep -q 'SPDX-License-Identifier: Apache-2.0' || wrong "$f has no SPDX line"
done < <(listed | grep -E '\.(c|h|sh|py)$')
exit "$bad"
