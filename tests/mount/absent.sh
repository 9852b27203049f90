#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Files whose bytes were never in the store, as an archive will leave them: everything can be done with
# them but reading what is not there.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
: "${ABSENT:?is the program absent, of the same build}"
begin
needs getfattr
attr() { getfattr --absolute-names --only-values -n user.tally.object "$1"; }
reading() { errno_of 'open(argv[0], "rb").read()' "$1"; }

mkdir "$M/main/doc"
echo "a few bytes" >"$M/main/doc/few"
head -c 700000 /dev/urandom >"$M/main/doc/many"
echo "these are here" >"$M/main/doc/here"
drain
few=$(attr "$M/main/doc/few") many=$(attr "$M/main/doc/many")
few_sum=$(sha256sum <"$M/main/doc/few") many_sum=$(sha256sum <"$M/main/doc/many")
unmount_store
"$ABSENT" "$S" "$few" "${few_sum%% *}"
"$ABSENT" "$S" "$many" "${many_sum%% *}"
check_clean
mount_store
cd "$M/main"

claim "reading says that the bytes are elsewhere; names, sizes and times are as ever"
for path in doc/few doc/many; do eq "$(reading $path)" EREMOTE; done
fails cat doc/many
matches "$(<"$W/said")" 'Object is remote'
eq "$(stat -c %s doc/few doc/many | tr '\n' ' ')" "12 700000 "
eq "$(cat doc/here)" "these are here"

claim "what they are is known by their SHA-256"
eq "$(attr doc/few)" "sha256:${few_sum%% *}"
eq "$(attr doc/many)" "sha256:${many_sum%% *}"
fails "$TALLY" why main/doc/many
matches "$(<"$W/said")" "the bytes of main/doc/many were never in this store.*sha256:${many_sum%% *}"

claim "a copy shares them, and so does a branch"
cp doc/many doc/copy
ln doc/many doc/link
"$TALLY" branch main dev >/dev/null
eq "$(attr "$M/dev/doc/copy")" "sha256:${many_sum%% *}"
eq "$(reading doc/copy)" EREMOTE

claim "a change of a part of one is the same error; one that is emptied or replaced is a file as any other"
eq "$(errno_of 'f = open(argv[0], "r+b", 0); f.seek(3); f.write(b"x")' doc/few)" EREMOTE
eq "$(errno_of 'f = open(argv[0], "r+b", 0); f.seek(3); f.write(b"x")' doc/many)" EREMOTE
eq "$(reading doc/few)" EREMOTE
echo new >doc/few
eq "$(cat doc/few)" new
mv doc/here doc/copy
eq "$(cat doc/copy)" "these are here"

claim "looking after the store takes them for nothing bad"
matches "$("$TALLY" scrub --wait)" ' damaged=0 '
"$TALLY" rebuild --wait >/dev/null
"$TALLY" compact --wait >/dev/null
"$TALLY" gc --grace 0s --wait >/dev/null
matches "$("$TALLY" status)" 'state +ok'
cd "$W"
unmount_store
check_clean
mount_store
eq "$(reading "$M/dev/doc/few")" EREMOTE

claim "they go with the last name"
rm -r "$M/main/doc"
"$TALLY" -C "$M" drop dev >/dev/null
drain
finish
