#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# npm on a mount: packages made here, so that no network is needed; one from the registry if it answers.
set -euo pipefail
# shellcheck source=tests/mount/lib.sh
. "$(dirname "$0")/lib.sh"
begin
needs npm node
export HOME=$W npm_config_cache=$M/main/cache npm_config_update_notifier=false
export npm_config_audit=false npm_config_fund=false npm_config_loglevel=error
mkdir "$M/main/work"
cd "$M/main/work"

# package NAME DEPENDENCIES - a tarball NAME-1.0.0.tgz of 40 files, with a program and a script.
package() {
    mkdir -p "src/$1/lib"
    cat >"src/$1/package.json" <<END
{"name": "$1", "version": "1.0.0", "main": "index.js", "bin": {"$1": "cli.js"}, "dependencies": {$2},
 "scripts": {"postinstall": "node -e \"require('fs').writeFileSync('installed', 'yes')\""}}
END
    local i
    for i in {1..40}; do echo "module.exports = $i;" >"src/$1/lib/m$i.js"; done
    echo "module.exports = '$1:' + require('./lib/m7.js');" >"src/$1/index.js"
    printf '#!/usr/bin/env node\nconsole.log(require("./index.js"));\n' >"src/$1/cli.js"
    npm pack --silent "./src/$1" >/dev/null
}

claim "npm pack, npm install of packages that need each other, and the program that uses them"
package leaf ""
package middle "\"leaf\": \"file:$PWD/leaf-1.0.0.tgz\""
mkdir app
cd app
cat >package.json <<END
{"name": "app", "version": "1.0.0", "scripts": {"start": "middle"},
 "dependencies": {"middle": "file:../middle-1.0.0.tgz", "leaf": "file:../leaf-1.0.0.tgz"}}
END
npm install --offline >/dev/null
eq "$(node -e 'console.log(require("middle"), require("leaf"))')" "middle:7 leaf:7"
eq "$(npm run --silent start)" middle:7
eq "$(node_modules/.bin/leaf)" leaf:7
eq "$(cat node_modules/leaf/installed)" yes
matches "$(cat package-lock.json)" '"node_modules/leaf"'

# All that a second install could change. (The two lock files npm writes anew each time, equal.)
state() {
    find . -printf '%p %i %n %s %m %T@ %l\n' | grep -v -e '^\./node_modules ' -e 'package-lock.json ' | sort
    cat package-lock.json node_modules/.package-lock.json
}

claim "a second install is no work: no file of the tree is written again"
state >"$W/before"
matches "$(npm install --offline)" 'up to date'
state | diff "$W/before" -

claim "npm ci from the lock file puts the same tree there again, and npm ls finds it whole"
digest=$(tree_digest node_modules)
npm ci --offline >/dev/null
eq "$(tree_digest node_modules)" "$digest"
npm ls --all >/dev/null

claim "in a branch the tree works as it is"
"$TALLY" branch main dev >/dev/null
cd "$M/dev/work/app"
eq "$(npm run --silent start)" middle:7
npm uninstall --offline middle >/dev/null
fails node -e 'require("middle")'
cd "$M/main/work/app"
eq "$(npm run --silent start)" middle:7

claim "a package of the registry, if it answers"
mkdir "$W/registry"
if timeout 40 npm pack --cache "$W/registry" --pack-destination "$W/registry" is-number >"$W/version" 2>&1; then
    npm install --offline "$W"/registry/is-number-*.tgz >/dev/null
    eq "$(node -e 'console.log(require("is-number")(5))')" true
    matches "$(npm install --offline)" 'up to date'
else
    echo "!!! NOT TRIED: the registry does not answer: $(tail -n 1 "$W/version")"
fi

claim "the same after a remount"
cd /
digest=$(tree_digest "$M/main")
unmount_store
mount_store
eq "$(tree_digest "$M/main")" "$digest"
cd "$M/main/work/app"
eq "$(npm run --silent start)" middle:7
finish
