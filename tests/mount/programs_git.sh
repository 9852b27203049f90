#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# git on a mount: real repositories, and what a branch of a namespace means to its index.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin
needs git strace
export HOME=$W GIT_CONFIG_NOSYSTEM=1
git config --global user.name tester
git config --global user.email tester@example.org
git config --global init.defaultBranch trunk
git config --global --add safe.directory '*'
git config --global gc.auto 0 # nothing in the background
git config --global protocol.file.allow always
cd "$M/main"

fsck() { git -C "$1" fsck --full --strict --no-dangling; }

# A linear history of 40 commits over 2,000 files, the same each time.
history() {
    python3 - <<'END' | git -C "$1" fast-import --quiet
import random
rng = random.Random(3)
def data(b):
    print(f"data {len(b)}\n{b}")
for n in range(1, 41):
    print(f"commit refs/heads/trunk\ncommitter tester <t@example.org> {1700000000 + n * 60} +0000")
    data(f"change {n}")
    for i in range(2000 if n == 1 else 50):
        f = i if n == 1 else rng.randrange(2000)
        print(f"M 100644 inline src/d{f % 40}/file{f}.c")
        data("".join(f"int f{f}_{rng.randrange(1000)}(void);\n" for _ in range(rng.randrange(40))))
print("done")
END
}

claim "this project's own history is cloned, checked and the same as its source"
project=$(git -C "$(dirname "$test_file")" rev-parse --show-toplevel 2>/dev/null) || project=
if [[ -z $project ]]; then
    echo "(not in a git work tree: a generated history only)"
    git init -q "$W/source"
    history "$W/source"
    project=$W/source
fi
git clone -q --no-local "$project" own
fsck own
eq "$(git -C own rev-parse 'HEAD^{tree}')" "$(git -C "$project" rev-parse 'HEAD^{tree}')"
eq "$(git -C own status --porcelain)" ""

claim "a few thousand files: import, checkout, clone with hard links, status"
git init -q made
history made
git -C made reset -q --hard
eq "$(find made/src -type f | wc -l)" 2000
eq "$(git -C made status --porcelain)" ""
git clone -q made linked # objects/ by hard links
eq "$(git -C linked rev-parse HEAD)" "$(git -C made rev-parse HEAD)"
fsck linked

claim "commit, branch, merge with a conflict, stash, rebase, tag"
cd linked
git checkout -q -b topic
echo changed >>src/d1/file1.c
git commit -qam topic
git checkout -q trunk
echo other >>src/d1/file1.c
git commit -qam other
fails git merge -q topic
printf 'both\n' >src/d1/file1.c
git commit -qam merged
git mv src/d2 moved
git commit -qm moved
echo x >>moved/file2.c
git stash -q
git stash pop -q
git checkout -q moved/file2.c
git checkout -q topic
git rebase -q --strategy-option=theirs trunk
git tag -am one v1
eq "$(git status --porcelain)" ""
fsck .

claim "gc, repack and prune leave what there was; the packs are read again"
tree=$(git rev-parse 'HEAD^{tree}')
git repack -qadf --depth=20
git gc -q --aggressive --prune=now
fsck .
rm -rf moved src
git checkout -q -f
eq "$(git rev-parse 'HEAD^{tree}') $(git status --porcelain)" "$tree "
git bundle create -q "$W/bundle" --all
git bundle verify -q "$W/bundle"
cd ..

# The tracked files of the clone in directory $1 that `git status` there opens or reads.
opened() {
    (cd "$1" && strace -f -qq -e trace=open,openat,openat2 -o "$W/trace" git status --porcelain)
    git -C "$1" ls-files | sed 's/^/"/; s/$/"/' >"$W/tracked"
    grep -v ENOENT "$W/trace" | grep -Fc -f "$W/tracked" || true
}

claim "git status in a fresh branch opens no tracked file: ctime, mtime and the inode's low half are equal"
drain # sealing changes no times
sleep 1.1 # what is as young as the index git must look at, anywhere
git -C made update-index --really-refresh
eq "$(opened made)" 0 "where it was made"
"$TALLY" branch main dev >/dev/null
look() { (cd "$1" && find made -type f -printf '%p %s %T@ %C@ %i\n' | awk '{$5 = $5 % 4294967296} 1' | sort); }
look "$M/main" >"$W/there"
look "$M/dev" | cmp - "$W/there"
eq "$(opened "$M/dev/made")" 0 "in a branch"
touch "$M/dev/made/src/d0/file0.c" # and the trace would have shown it
[[ $(opened "$M/dev/made") -ge 1 ]]
eq "$(git -C "$M/main/made" status --porcelain)" ""

claim "what is done in the branch of the namespace is not seen in the other"
(cd "$M/dev/made" && echo dev >src/d0/file0.c && git commit -qam dev && git gc -q --prune=now)
eq "$(git -C "$M/main/made" log --format=%s -1)" "change 40"
git -C "$M/main/made" pull -q "$M/dev/made" trunk
eq "$(cat "$M/main/made/src/d0/file0.c")" dev

claim "work trees of one repository, also in another namespace"
git -C made worktree add -q ../work -b work
git -C made worktree add -q "$M/dev/far" -b far
for tree in work "$M/dev/far"; do
    (cd "$tree" && echo "$tree" >src/d3/file3.c && git commit -qam "$tree")
done
eq "$(git -C made log --format=%s -1 far)" "$M/dev/far"
git -C made worktree remove "$M/dev/far"
git -C made worktree prune
fsck made

claim "the same after a remount"
cd /
before=$(tree_digest "$M/main")
unmount_store
mount_store
eq "$(tree_digest "$M/main")" "$before"
fsck "$M/main/made"
eq "$(git -C "$M/main/linked" status --porcelain)" ""
finish
