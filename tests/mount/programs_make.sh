#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# make -j2 on a mount: a real package from its source, its own tests, and what make goes by: times.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin
needs make cc ccache

# A Debian source package, unpacked in the current directory, by the machine's own package sources.
get_source() {
    local apt=$W/apt f
    mkdir -p "$apt/parts" "$apt/lists/partial" "$apt/archives/partial"
    while read -r f; do
        sed 's/^Types:.*/Types: deb-src/; s/^deb /deb-src /' "$f" >"$apt/parts/${f##*/}"
    done < <(grep -ls debian /etc/apt/sources.list /etc/apt/sources.list.d/*)
    local options=(-q -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$apt/parts"
        -o Dir::State::lists="$apt/lists" -o Dir::Cache="$apt" -o APT::Sandbox::User=root
        -o Acquire::http::Timeout=20 -o Acquire::Retries=1)
    timeout 60 apt-get "${options[@]}" update && timeout 30 apt-get "${options[@]}" source "$1"
} >"$W/apt.log" 2>&1

# A program of 60 files and a test, the same each time.
generate() {
    mkdir -p "$1"
    cd "$1"
    local i
    for i in {1..60}; do
        printf '#include "all.h"\nint f%d(void) { return %d; }\n' "$i" "$i" >"f$i.c"
        printf 'int f%d(void);\n' "$i"
    done >all.h
    {
        printf '#include "all.h"\n#include <stdio.h>\nint main(void) { int sum = 0;\n'
        printf 'sum += f%d();\n' {1..60}
        printf 'printf("%%d\\n", sum); return 0; }\n'
    } >main.c
    cat >Makefile <<'END'
OBJ := $(patsubst %.c,%.o,$(wildcard *.c))
CC = cc
sum: $(OBJ)
	$(CC) -o $@ $^
%.o: %.c all.h
	$(CC) -c -o $@ $<
check: sum
	test "$$(./sum)" = 1830
END
}

claim "a program of 60 files: built by two jobs, tested, and built again: nothing to do"
(generate "$M/main/made")
cd "$M/main/made"
make -s -j2 check
matches "$(make -j2 sum)" "up to date"
eq "$(./sum)" 1830

claim "make goes by times: a touched source is compiled again, and nothing else; so, too, in a branch"
touch f7.c
eq "$(make -n | grep -c -e ' -c ')" 1
make -s -j2
"$TALLY" branch main dev >/dev/null
cd "$M/dev/made"
matches "$(make)" "up to date"
touch f8.c all.h
eq "$(make -n | grep -c -e ' -c ')" 61
matches "$(make -C "$M/main/made")" "up to date"

claim "ccache with hard links, its cache on the mount: hits give the same objects by links"
cd "$M/main/made"
unset "${!CCACHE_@}" # what is set outside is for others
export CCACHE_DIR=$M/main/ccache CCACHE_HARDLINK=1 CCACHE_NOCOMPRESS=1
for _ in 1 2; do
    make -s clean 2>/dev/null || rm -f ./*.o sum
    make -s -j2 CC="ccache cc" check
done
[[ $(ccache --print-stats | awk '$1 == "direct_cache_hit" || $1 == "preprocessed_cache_hit" {n += $2} END {print n}') -ge 60 ]]
[[ $(stat -c %h f1.o) -eq 2 ]]
cd "$M"

claim "a package of Debian's: unpacked, configured, built by two jobs, its tests pass"
mkdir "$M/main/package"
cd "$M/main/package"
if get_source zlib; then
    cd zlib-*/
    ./configure >"$W/out" 2>&1
    make -s -j2 >"$W/out" 2>&1
    make -s test >"$W/out" 2>&1
    grep -q 'zlib shared test OK' "$W/out"
    matches "$(make)" "[Nn]othing to be done"
    ./minigzip <crc32.h >"$W/z"
    ./minigzip -d <"$W/z" | cmp - crc32.h
else
    echo "!!! NOT BUILT: the package source cannot be had here; only the generated program was:"
    tail -n 3 "$W/apt.log"
fi

claim "the same bytes after a remount, and make still has nothing to do"
cd /
before=$(tree_digest "$M")
unmount_store
mount_store
eq "$(tree_digest "$M")" "$before"
matches "$(make -C "$M/main/made" CC="ccache cc" sum)" "up to date"
finish
