#!/bin/sh
# Debian's cyrus-imapd as a peer of the benchmark: JMAP, IMAP and LMTP on the loopback.
#
#   cyrus.sh start DIRECTORY      install it if need be, configure it in DIRECTORY, start it
#   cyrus.sh user DIRECTORY NAME  add a user NAME, password NAME-secret, and an empty mailbox
#   cyrus.sh index DIRECTORY NAME bring the text index of a user up to date
#   cyrus.sh stop DIRECTORY
#
# As root. CYRUS_HTTP, CYRUS_IMAP and CYRUS_LMTP are the ports. What differs from Debian's
# configuration is what JMAP, text search and dates beyond it need: conversations, xapian, and a
# squatter that follows the changes; it takes many messages at a time, else the first index of a
# large account would take hours. Nothing is done to how safe it writes.
set -eu

verb=${1:?start, user, index or stop} dir=${2:?DIRECTORY}
http=${CYRUS_HTTP:-18080} imap=${CYRUS_IMAP:-18143} lmtp=${CYRUS_LMTP:-18024}
bin=/usr/lib/cyrus/bin
conf=$dir/imapd.conf

install_packages() {
    [ -x $bin/httpd ] && [ -x /usr/sbin/saslpasswd2 ] && return
    # No daemon is to be started by dpkg; msmtp-mta is a mail-transport-agent without one.
    guard=/usr/sbin/policy-rc.d
    [ -e $guard ] && guard= || { printf '#!/bin/sh\nexit 101\n' >$guard; chmod 755 $guard; }
    mta=msmtp-mta
    [ -x /usr/sbin/sendmail ] && mta=
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $mta \
        cyrus-imapd cyrus-caldav cyrus-admin cyrus-clients sasl2-bin libsasl2-modules \
        libsasl2-modules-db curl >&2
    [ -z "$guard" ] || rm -f "$guard"
}

configure() {
    install -d -m 755 "$dir"
    for d in conf run spool search sieve conf/db conf/socket conf/log conf/msg conf/proc \
        conf/lock conf/quota conf/user conf/sync run/proc run/lock; do
        install -d -o cyrus -g mail -m 755 "$dir/$d"
    done
    cat >"$conf" <<END
configdirectory: $dir/conf
partition-default: $dir/spool
defaultpartition: default
proc_path: $dir/run/proc
mboxname_lockpath: $dir/run/lock
sievedir: $dir/sieve
hashimapspool: on
servername: localhost
unixhierarchysep: on
altnamespace: yes
admins: admin
allowplaintext: yes
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_sasldb_path: $dir/sasldb2
sasl_mech_list: PLAIN LOGIN
specialusealways: on
conversations: on
conversations_db: twoskip
expunge_mode: delayed
httpmodules: jmap
httptimeout: 30m
jmap_nonstandard_extensions: on
jmap_pushpoll: 1s
search_engine: xapian
search_batchsize: 8192
defaultsearchtier: t1
t1searchpartition-default: $dir/search
sync_log: on
sync_log_channels: squatter
event_groups: mailbox message flags
idlesocket: $dir/run/idle
notifysocket: $dir/run/notify
lmtpsocket: $dir/run/lmtp
maxlogins_per_host: 0
maxlogins_per_user: 0
syslog_prefix: cyrus
END
    cat >"$dir/cyrus.conf" <<END
START {
  recover  cmd="$bin/ctl_cyrusdb -C $conf -r"
}
SERVICES {
  imap  cmd="$bin/imapd -C $conf" listen="127.0.0.1:$imap" prefork=1
  http  cmd="$bin/httpd -C $conf" listen="127.0.0.1:$http" prefork=3
  lmtp  cmd="$bin/lmtpd -C $conf -a" listen="127.0.0.1:$lmtp" prefork=1
}
DAEMON {
  idled     cmd="$bin/idled -C $conf"
  squatter  cmd="$bin/squatter -C $conf -R -d"
}
EVENTS {
  checkpoint  cmd="$bin/ctl_cyrusdb -C $conf -c" period=30
}
END
}

password() {
    printf %s "$2" | saslpasswd2 -f "$dir/sasldb2" -u localhost -p -c "$1"
    chown cyrus:mail "$dir/sasldb2"
}

case $verb in
start)
    install_packages
    configure
    password admin admin-secret
    setsid $bin/master -C "$conf" -M "$dir/cyrus.conf" -p "$dir/run/master.pid" -d </dev/null
    for _ in $(seq 100); do
        curl -s -o "$dir/run/probe" "http://127.0.0.1:$http/" && exit 0
        sleep 0.1
    done
    echo "cyrus.sh: no answer on port $http; see syslog" >&2
    exit 1
    ;;
user)
    name=${3:?NAME}
    password "$name" "$name-secret"
    python3 - "$imap" "$name" <<'END'
import imaplib, sys
admin = imaplib.IMAP4("127.0.0.1", int(sys.argv[1]))
admin.login("admin", "admin-secret")
admin.create(f"user/{sys.argv[2]}")  # NO if it is there already
admin.logout()
END
    ;;
index)
    su -s /bin/sh cyrus -c "$bin/squatter -C $conf -i -u '${3:?NAME}'" >&2
    ;;
stop)
    [ -s "$dir/run/master.pid" ] && kill "$(cat "$dir/run/master.pid")" || exit 0
    for _ in $(seq 100); do
        [ -s "$dir/run/master.pid" ] && kill -0 "$(cat "$dir/run/master.pid")" 2>/dev/null || exit 0
        sleep 0.1
    done
    ;;
*)
    echo "cyrus.sh: unknown verb $verb" >&2
    exit 2
    ;;
esac
