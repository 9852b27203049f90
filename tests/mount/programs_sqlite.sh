#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# SQLite on a mount: several processes in WAL mode (its index is a shared mapping) and with rollback
# journals, processes that die, and a branch of a database in use.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin
needs sqlite3 # what looks at the results; the writers are Python's
cd "$M/main"

# writer DATABASE NAME COUNT - rows (NAME, 0…COUNT-1), each a transaction that also counts in `total`.
# Ends the (sub)shell it is called in, so that $! is the process that writes.
writer() {
    exec python3 - "$@" <<'END'
import sqlite3, sys
path, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
db = sqlite3.connect(path, timeout=60, isolation_level=None)
for i in range(count):
    db.execute("begin immediate")
    db.execute("insert into t values (?, ?, randomblob(abs(random() % 3000)))", (name, i))
    db.execute("update total set n = n + 1")
    db.execute("commit")
    if i % 50 == 7:
        print(i, flush=True)
END
}
create() {
    rm -f "$1"*
    eq "$(sqlite3 "$1" "pragma journal_mode=$2; create table t (w text, i int, b blob);
        create index ti on t (w, i); create table total (n int); insert into total values (0);")" "$2"
}
sound() {
    eq "$(sqlite3 "$1" 'pragma integrity_check; select (select count(*) from t) = (select n from total);')" \
        "$(printf 'ok\n1')"
}
rows() { sqlite3 "$1" 'select count(*) from t'; }

for mode in wal delete truncate persist; do
    claim "journal mode $mode: two writers and a reader at once, nothing is lost or torn"
    create a.db "$mode"
    writer a.db one 100 >/dev/null &
    first=$!
    writer a.db two 100 >/dev/null &
    second=$!
    pids+=("$first" "$second")
    for _ in {1..8}; do
        sqlite3 -cmd '.timeout 60000' a.db 'select (select count(*) from t) - n from total' >"$W/out"
        eq "$(cat "$W/out")" 0 "a reader sees whole transactions"
    done
    wait "$first"
    wait "$second"
    sound a.db
    eq "$(rows a.db)" 200

    claim "journal mode $mode: a process that is killed leaves what it had committed, and no more"
    create a.db "$mode"
    : >"$W/progress" # of the mode before
    writer a.db one 100000 >"$W/progress" 2>/dev/null &
    victim=$!
    pids+=("$victim")
    wait_until grep -q 57 "$W/progress"
    kill -KILL "$victim"
    wait "$victim" 2>/dev/null || true
    [[ $(rows a.db) -ge 58 ]]
    sound a.db
    (writer a.db two 20) >/dev/null
    sound a.db
done

claim "memory-mapped reads, a large transaction that spills, vacuum, backup"
create m.db wal
sqlite3 m.db "pragma mmap_size=268435456; pragma cache_size=-500; begin;
    insert into t select 'big', value, randomblob(2000) from generate_series(1, 6000);
    update total set n = 6000; commit; pragma wal_checkpoint(truncate); delete from t where i % 3 = 0;
    update total set n = 4000; vacuum;" >/dev/null
sound m.db
sqlite3 m.db ".backup copy.db"
sound copy.db
eq "$(sqlite3 m.db 'select sum(length(b)), sum(i) from t')" "$(sqlite3 copy.db 'select sum(length(b)), sum(i) from t')"

claim "a branch of a database in use is a whole database of one instant"
create a.db wal
: >"$W/progress"
writer a.db one 100000 >"$W/progress" 2>/dev/null &
victim=$!
pids+=("$victim")
for i in 1 2 3; do
    wait_until grep -q "${i}57" "$W/progress"
    "$TALLY" branch main "b$i" >/dev/null
    sound "$M/b$i/a.db"
    [[ $(rows "$M/b$i/a.db") -ge ${i}58 ]]
done
kill -KILL "$victim"
wait "$victim" 2>/dev/null || true
[[ $(rows a.db) -ge $(rows "$M/b3/a.db") ]]
sound a.db

claim "what was committed is there after the daemon is killed"
create d.db wal
create e.db delete # `extra` syncs the directory, too, when the journal is gone
for db in d e; do
    sqlite3 "$db.db" 'pragma synchronous=extra; begin; insert into t values (1, 1, randomblob(5000));
        update total set n = 1; commit;'
done
cd /
kill_daemon
mount_store
sound "$M/main/d.db"
eq "$(rows "$M/main/d.db")" 1
sound "$M/main/e.db"
eq "$(rows "$M/main/e.db")" 1
finish
