# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# A real Ceph on this machine, for tests: one monitor, one manager, one OSD on a file, and radosgw as
# a server of S3. To be sourced behind lib.sh, which gives $W and ends the processes in ${pids[@]}.
#
#     ceph_begin            # pool "tally" exists; $CONF is the configuration, $CEPH_RADOS a URL
#     rgw_begin             # bucket "tally" exists; $CEPH_S3 is a URL, the keys are in the environment
#     ceph_kill osd         # mon, mgr, osd or rgw; by SIGKILL
#     ceph_start osd        # or ceph_restart_osd, which waits until the pool can be used
#
# All ports are on the loopback address. Messages of the daemons are in $W/ceph/*.log.

CEPH=$W/ceph CONF=$W/ceph/ceph.conf
declare -A ceph_pid

# A port that nobody uses now, and neither do the next few.
free_port() {
    python3 -c '
import random, socket
while True:
    port = random.randrange(20000, 32000)
    socks = []
    try:
        for p in range(port, port + 30):
            s = socket.socket()
            socks.append(s)
            s.bind(("127.0.0.1", p))
        print(port)
        break
    except OSError:
        pass
    finally:
        for s in socks:
            s.close()'
}

write_conf() {
    local port=$1
    cat >"$CONF" <<END
[global]
fsid = $(cat /proc/sys/kernel/random/uuid)
mon host = v2:127.0.0.1:$port
public addr = 127.0.0.1
cluster addr = 127.0.0.1
run dir = $CEPH
admin socket = $CEPH/\$name.asok
pid file = $CEPH/\$name.pid
log file = $CEPH/\$name.log
keyring = $CEPH/keyring
mon data = $CEPH/mon
mgr data = $CEPH/mgr
osd data = $CEPH/osd
rgw data = $CEPH/rgw
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pgp num = 8
osd crush chooseleaf type = 0
osd objectstore = bluestore
bluestore block size = 21474836480
bluestore fsck on mount = false
osd memory target = 939524096
mon allow pool size one = true
mon allow pool delete = true
mon warn on pool no redundancy = false
mon data avail warn = 1
mon data avail crit = 1
mgr initial modules =
ms bind port min = $((port + 4))
ms bind port max = $((port + 25))
osd heartbeat grace = 5
mon osd min down reporters = 1

[client.tallytest]
admin socket =

[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:$((port + 2))
END
}


# add_key NAME MON_CAPS OSD_CAPS [MGR_CAPS]
add_key() {
    ceph-authtool "$CEPH/keyring" --gen-key -n "$1" --cap mon "$2" --cap osd "$3" \
        --cap mgr "${4:-allow r}" >/dev/null
}

write_keys() {
    ceph-authtool -C "$CEPH/keyring" --gen-key -n mon. --cap mon 'allow *' >/dev/null
    add_key client.admin 'allow *' 'allow *' 'allow *'
    add_key mgr.x 'allow profile mgr' 'allow *'
    add_key osd.0 'allow profile osd' 'allow *' 'allow profile osd'
    add_key client.rgw 'allow rw' 'allow rwx'
    add_key client.tallytest 'allow r' 'allow rwx'
    add_key client.reader 'allow r' 'allow r'
}

ceph_() { timeout 60 ceph -c "$CONF" --log-file=/dev/null "$@"; }

# ceph_start NAME - in the foreground as a child, so that its number is known.
ceph_start() {
    case $1 in
        mon) ceph-mon -c "$CONF" -i a -f & ;;
        mgr) ceph-mgr -c "$CONF" -i x -f & ;;
        osd) ceph-osd -c "$CONF" -i 0 -f & ;;
        rgw) radosgw -c "$CONF" -n client.rgw -f & ;;
    esac >>"$CEPH/$1.out" 2>&1 </dev/null
    ceph_pid[$1]=$!
    pids+=("$!")
}

# ceph_kill NAME - and wait until it is gone.
ceph_kill() {
    kill -KILL "${ceph_pid[$1]}"
    wait "${ceph_pid[$1]}" 2>/dev/null || true
}

# ceph_restart_osd - also of one that was stopped (SIGSTOP): where it only went on, groups of objects may stay
# "laggy", and what is asked of them is blocked.
ceph_restart_osd() {
    ! kill -0 "${ceph_pid[osd]}" 2>/dev/null || ceph_kill osd
    ceph_start osd
    wait_until osd_is_up
    wait_until pool_works
}

mon_answers() { ceph_ status >/dev/null 2>&1; }
osd_is_up() { ceph_ osd stat 2>/dev/null | grep -q '1 up'; }
pool_works() { timeout 20 rados -c "$CONF" -p tally --log-file=/dev/null put probe /dev/null 2>/dev/null; }

ceph_begin() {
    local port monmap=$W/ceph/monmap uuid
    needs ceph-mon ceph-osd ceph-mgr rados
    mkdir -p "$CEPH"/{mon,mgr,osd,rgw}
    port=$(free_port)
    write_conf "$port"
    write_keys
    monmaptool --create --addv a "[v2:127.0.0.1:$port]" --fsid "$(sed -n 's/^fsid = //p' "$CONF")" \
        "$monmap" >/dev/null
    ceph-mon -c "$CONF" --mkfs -i a --monmap "$monmap" --keyring "$CEPH/keyring" >>"$CEPH/mon.out" 2>&1
    ceph_start mon
    ceph_start mgr
    uuid=$(cat /proc/sys/kernel/random/uuid)
    ceph_ osd new "$uuid" 0 >/dev/null
    ceph-osd -c "$CONF" -i 0 --mkfs --osd-uuid "$uuid" >>"$CEPH/osd.out" 2>&1
    ceph_start osd
    wait_until osd_is_up
    ceph_ osd pool create tally 8 2>/dev/null >/dev/null
    wait_until pool_works
    rados -c "$CONF" -p tally --log-file=/dev/null rm probe
    # shellcheck disable=SC2034  # for the tests
    CEPH_RADOS="rados:tally?conf=$CONF&id=tallytest"
}

rgw_answers() { curl -s -o /dev/null "http://127.0.0.1:$rgw_port/"; }

# s3_curl METHOD PATH CURL_OPTION… - a signed request without a body; prints the status.
s3_curl() {
    curl -s -o "$W/said" -w '%{http_code}' --aws-sigv4 aws:amz:us-east-1:s3 --user "$S3_ID:$S3_SECRET" \
        -H "x-amz-content-sha256: $(sha256sum </dev/null | cut -d' ' -f1)" -X "$1" "${@:3}" \
        "http://127.0.0.1:$rgw_port$2"
}

rgw_begin() {
    needs radosgw radosgw-admin curl
    rgw_port=$(sed -n 's/^rgw frontends.*://p' "$CONF")
    S3_ID=TALLYTESTID S3_SECRET=tallytestsecret0123456789
    ceph_start rgw
    timeout 100 radosgw-admin -c "$CONF" --log-file=/dev/null user create --uid=t --display-name=t \
        --access-key="$S3_ID" --secret="$S3_SECRET" >/dev/null 2>&1
    wait_until rgw_answers
    eq "$(s3_curl PUT /tally)" 200
    # shellcheck disable=SC2034  # for the tests
    CEPH_S3="s3://tally?endpoint=http://127.0.0.1:$rgw_port"
    export AWS_ACCESS_KEY_ID=$S3_ID AWS_SECRET_ACCESS_KEY=$S3_SECRET
}
