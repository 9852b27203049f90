#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The rules for alerts and the dashboard, beside a real Prometheus that scrapes a real mount.
. "$(dirname "$0")/lib.sh"
needs prometheus promtool curl python3
shipped=$(dirname "$test_file")/../../tools/prometheus
begin
mkdir "$W/shard" "$W/archive" "$W/data"
t() { "$TALLY" -C "$M" "$@" >/dev/null; }
t shard add 1 "dir:$W/shard"
t archive add "dir:$W/archive"
echo hello >"$M/main/a"
sync "$M/main/a"

claim "each rule fires when it must, and none of a healthy mount"
cp "$shipped/alerts.yml" "$(dirname "$test_file")/../observe/alerts_test.yml" "$W"
promtool test rules "$W/alerts_test.yml" >"$W/out" 2>&1 || fail "$(cat "$W/out")"
for alert in $(sed -n 's/^ *- alert: //p' "$W/alerts.yml"); do
    grep -q "^  - name: $alert$" "$W/alerts_test.yml" || fail "$alert is not seen to fire"
    grep -q "alertname: $alert, exp_alerts: \[\]" "$W/alerts_test.yml" || fail "$alert is not seen to be silent"
done

claim "the mount has every metric that the rules and the dashboard name"
"$TALLY" -C "$M" metrics >"$W/metrics"
grep -ohE 'tallyfs_[a-z_]+' "$shipped/alerts.yml" "$shipped/dashboard.json" | sort -u | while read -r name; do
    grep -qE "^$name(_bucket)?[{]" "$W/metrics" || fail "there is no metric $name"
done

claim "Prometheus scrapes the mount, evaluates every rule, and answers every query of the dashboard"
"$TALLY" -C "$M" metrics --listen 0 >"$W/served" &
pids+=($!)
wait_until grep -q '^serving' "$W/served"
target=$(sed -E 's|.*//([^/]*)/.*|\1|' "$W/served")
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >"$W/prometheus.yml" <<END
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [$W/alerts.yml]
scrape_configs: [{job_name: tallyfs, static_configs: [{targets: ['$target']}]}]
END
prometheus --config.file="$W/prometheus.yml" --storage.tsdb.path="$W/data" --web.listen-address="127.0.0.1:$port" \
    >"$W/prometheus.log" 2>&1 &
pids+=($!)
ask() { # PATH [QUERY] - the answer of its API
    curl -sfG "http://127.0.0.1:$port/api/v1/$1" --data-urlencode "query=${2-}"
}
scraped() { ask query 'tallyfs_up' 2>/dev/null | grep -q "\"mount\":\"$M\""; }
wait_until scraped
evaluated() { ask rules | python3 -c '
import json, sys
rules = json.load(sys.stdin)["data"]["groups"][0]["rules"]
assert len(rules) > 10
sys.exit(any(r["health"] != "ok" for r in rules))'; }
wait_until evaluated
python3 - "$shipped/dashboard.json" "http://127.0.0.1:$port/api/v1/query" <<'END'
import json, sys, urllib.parse, urllib.request
dashboard = json.load(open(sys.argv[1]))
assert len({p["id"] for p in dashboard["panels"]}) == len(dashboard["panels"])
for panel in dashboard["panels"]:
    for target in panel["targets"]:
        query = target["expr"].replace("$mount", ".*").replace("$__rate_interval", "1m")
        url = sys.argv[2] + "?" + urllib.parse.urlencode({"query": query})
        answer = json.load(urllib.request.urlopen(url, timeout=60))
        assert answer["status"] == "success", (panel["title"], answer)
        # of what happens seldom there may be nothing yet
        assert answer["data"]["result"] or "rate(" in query or "increase(" in query or "last_scrub" in query, (panel["title"], query)
END
kill "${pids[@]: -2}"
wait "${pids[@]: -2}" || true
finish
