#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A mount that cannot put its store in order yet comes up all the same: everything can be read,
# nothing can be changed, status says why, and as soon as it can be done changes go on.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
[[ $(id -u) -eq 0 ]] || skip "not root"
small_disk 100M
S=$D/store
begin
state() { "$TALLY" -C "$M" status | sed -n 's/^state  *//p'; }
makes() { errno_of 'os.close(os.open(argv[0], os.O_CREAT | os.O_WRONLY))' "$M/main/$1"; }
is_ok() { [[ $(state) == ok ]]; }
"$TALLY" -C "$M" set flush_interval 1h >/dev/null
for i in {1..40}; do head -c 50000 /dev/urandom >"$M/main/old$i"; done
drain
for i in {1..40}; do head -c 50000 /dev/urandom >"$M/main/new$i"; done
head -c 3000000 /dev/urandom >"$M/main/large"
want=$(tree_digest "$M/main")

claim "killed on a disk that somebody else fills then: what the log has can be read, and is not changed"
may_log 'tally: ALARM: what was recovered from the log cannot be committed \(No space left on device\)'
may_log 'tally: note: what was recovered from the log is committed: changes go on'
may_log 'tally: warning: slot [0-9]+ cannot be sealed \(No space left on device\)'
kill_daemon
dd if=/dev/zero of="$D/other" bs=64k status=none 2>/dev/null || true
dd if=/dev/zero of="$D/other2" bs=1 count=4096 status=none 2>/dev/null || true
mount_with -o rw
eq "$(tree_digest "$M/main")" "$want"
eq "$(makes more)" EROFS
eq "$(errno_of 'os.unlink(argv[0])' "$M/main/old1")" EROFS
matches "$(state)" '^read-only: what was recovered from the log is not committed yet.*No space left'
fails "$TALLY" -C "$M" drain
eq "$(tree_digest "$M/main")" "$want"

claim "killed again, likewise"
kill_daemon
mount_with -o rw
eq "$(tree_digest "$M/main")" "$want"
eq "$(makes more)" EROFS

claim "where there is room again it is committed, and changes go on"
rm "$D/other" "$D/other2"
drain
wait_until is_ok || fail "$(state)"
eq "$(makes more)" OK
rm "$M/main/more"
eq "$(tree_digest "$M/main")" "$want"
echo later >"$M/main/later"
sync "$M/main/later"
want=$(tree_digest "$M/main")
kill_daemon
mount_store
eq "$(tree_digest "$M/main")" "$want"

finish
