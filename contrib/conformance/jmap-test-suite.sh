#!/usr/bin/env bash
# Run jmapio/jmap-test-suite against mailhive.
#
#   jmap-test-suite.sh [options] CHECKOUT
#
# CHECKOUT is a clone of https://github.com/jmapio/jmap-test-suite in which
# `npm install && npm run build` has been run.  A mailhive is started for it, in
# a temporary directory on a free port of the loopback, and stopped afterwards.
#
#   --url URL           test the server at this session URL instead; the first
#                       user's account is WIPED
#   --user USER:PASS    its first user, and given again its second one
#   --filter PATTERN    only tests whose id matches, as in 'email/query*,core/*'
#   --report FILE       keep the suite's JSON report
#
# The exit status is 0 if nothing failed but what expected-failures.txt lists.
# TWISTD names the twistd to use, if it is neither in .venv nor on the PATH; WORKERS is how
# many processes it has (1).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/daemon.sh"

url='' filter='' report='' checkout='' users=()
while [ $# -gt 0 ]; do
  case $1 in
    --url | --user | --filter | --report) [ $# -gt 1 ] || die "$1 needs a value" ;;&
    --url) url=$2; shift 2 ;;
    --user) users+=("$2"); shift 2 ;;
    --filter) filter=$2; shift 2 ;;
    --report) report=$2; shift 2 ;;
    -h | --help) usage; exit 0 ;;
    -*) die "unknown option $1" ;;
    *) [ -z "$checkout" ] || die "one checkout only"; checkout=$1; shift ;;
  esac
done
[ -n "$checkout" ] || { usage >&2; exit 2; }
[ -f "$checkout/dist/cli.js" ] || die "$checkout: no dist/cli.js; run npm install && npm run build there"
command -v node >/dev/null || die "node is not installed"
[ -n "$url" ] || [ ${#users[@]} -eq 0 ] || die "--user goes with --url"

make_work
if [ -z "$url" ]; then
  find_twistd
  export RELAY_CERTIFICATE=$work/relay.pem RELAY_KEY=$work/relay.key
  openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost -keyout "$RELAY_KEY" -out "$RELAY_CERTIFICATE" 2>/dev/null
  export SSL_CERT_FILE=$RELAY_CERTIFICATE   # the roots that mailhive trusts
  users=(alice:wonderland bob:builder)
  start_mailhive <<'TOML'
[jmap.web-push]
allow = ["127.0.0.0/8", "::1"]   # the relay of loopback.mjs

[directory."people"]
type = "memory"

[[directory."people".principals]]
name = "alice"
type = "individual"
secret = "wonderland"
email = ["alice@example.org"]
member-of = ["team"]             # the account that the tests of copying copy to

[[directory."people".principals]]
name = "bob"
type = "individual"
secret = "builder"
email = ["bob@example.org"]

[[directory."people".principals]]
name = "team"
type = "group"
email = ["team@example.org"]
TOML
fi
[ ${#users[@]} -gt 0 ] || die "--url needs --user"

python3 - "$url" "${users[@]}" >"$work/suite.json" <<'PY'
import json, sys
url, *users = sys.argv[1:]
pairs = [dict(zip(("username", "password"), user.split(":", 1))) for user in users]
print(json.dumps({
    "sessionUrl": url,
    "users": dict(zip(("primary", "secondary"), pairs)),
    "authMethod": "basic",
    "timeout": 30000,
}))
PY

# Some of the suite's promises have nobody to catch them; that is no reason to stop.
status=0
JMAP_HOST=$(python3 -c 'import sys, urllib.parse as u; print(u.urlsplit(sys.argv[1]).hostname)' "$url") \
  NODE_OPTIONS="--unhandled-rejections=warn --import file://$here/loopback.mjs" \
  node "$checkout/dist/cli.js" -c "$work/suite.json" --force --fail-only -o "$work/report.json" \
  ${filter:+--filter "$filter"} >"$work/suite.log" 2>&1 || status=$?
if [ ! -f "$work/report.json" ]; then
  cat "$work/suite.log" >&2
  [ -z "$daemon" ] || tail -n 40 "$work/log" >&2
  die "the suite stopped with status $status"
fi
[ -z "$report" ] || cp "$work/report.json" "$report"
python3 "$here/summary.py" "$work/report.json" "$here/expected-failures.txt"
