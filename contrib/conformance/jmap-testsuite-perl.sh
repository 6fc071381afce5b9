#!/usr/bin/env bash
# Run fastmail/JMAP-TestSuite, which is written in Perl, against mailhive.
#
#   jmap-testsuite-perl.sh [options] CHECKOUT [FILE...]
#
# CHECKOUT is a clone of https://github.com/fastmail/JMAP-TestSuite whose modules
# are installed (`cpanm --installdeps .`), or are found through PERL5LIB.  A
# mailhive is started for it, in a temporary directory on a free port of the
# loopback, and stopped afterwards; each test file gets accounts of its own.  FILEs
# are paths in CHECKOUT; without any, all of t and xt are run, one after the other.
#
#   --logs DIR          keep what each file said, and the log of mailhive
#   --websocket         send all method calls through a WebSocket
#
# The exit status is 0 if no file failed but those of expected-failures-perl.txt.
# TWISTD names the twistd to use, if it is neither in .venv nor on the PATH; the
# `mailhive` command has to be beside it.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/daemon.sh"

checkout='' logs='' websocket=0 files=()
while [ $# -gt 0 ]; do
  case $1 in
    --logs) [ $# -gt 1 ] || die "$1 needs a value"; logs=$2; shift 2 ;;
    --websocket) websocket=1; shift ;;
    -h | --help) usage; exit 0 ;;
    -*) die "unknown option $1" ;;
    *) if [ -z "$checkout" ]; then checkout=$1; else files+=("$1"); fi; shift ;;
  esac
done
[ -n "$checkout" ] || { usage >&2; exit 2; }
[ -f "$checkout/lib/JMAP/TestSuite.pm" ] || die "$checkout: no lib/JMAP/TestSuite.pm"
checkout=$(cd "$checkout" && pwd)
export PERL5LIB=$here:$checkout/lib${PERL5LIB:+:$PERL5LIB}
perl -e 'require MailhiveAdapter; require JMAP::TestSuite; require jmaptest' ||
  die "modules are missing; run cpanm --installdeps . in $checkout, or set PERL5LIB"

find_twistd
mailhive=$(dirname "$twistd")/mailhive
[ -x "$mailhive" ] || die "no mailhive command beside $twistd"

make_work
if [ -n "$logs" ]; then
  mkdir -p "$logs"
  logs=$(cd "$logs" && pwd)
else
  logs=$work/logs
  mkdir "$logs"
fi

start_mailhive <<'TOML'
[directory."people"]
type = "internal"
TOML

python3 - "$url" "$mailhive" "$work/mailhive.toml" >"$work/adapter.json" <<'PY'
import json, sys
url, mailhive, config = sys.argv[1:]
add = [mailhive, "account", "add", "-c", config, "--bare", "--email", "{user}", "{user}"]
print(json.dumps({"adapter": "=MailhiveAdapter", "session_url": url, "add_user": add}))
PY
export JMAP_SERVER_ADAPTER_FILE=$work/adapter.json JMTS_USE_WEBSOCKETS=$websocket

cd "$checkout"
[ ${#files[@]} -gt 0 ] || mapfile -t files < <(find t xt -name '*.t' | sort)
expected=$(sed 's/ *#.*//; /^$/d' "$here/expected-failures-perl.txt")
passed=0 known=() unexpected=() mended=()
for file in "${files[@]}"; do
  log=$logs/${file//\//-}.log
  if timeout 120 perl "$file" >"$log" 2>&1; then
    passed=$((passed + 1))
    if grep -qxF "$file" <<<"$expected"; then mended+=("$file"); fi
  elif grep -qxF "$file" <<<"$expected"; then
    known+=("$file")
  else
    unexpected+=("$file")
  fi
done

cp "$work/log" "$logs/mailhive.log"
echo "$passed of ${#files[@]} files passed, ${#known[@]} failed as expected, ${#unexpected[@]} failed"
if [ ${#mended[@]} -gt 0 ]; then
  printf '%s\n' "" "passed, though expected-failures-perl.txt lists them:" "${mended[@]/#/  }"
fi
if [ ${#unexpected[@]} -gt 0 ]; then
  printf '%s\n' "" "failed:" "${unexpected[@]/#/  }"
  exit 1
fi
