# Sourced by the scripts beside it: a mailhive for a suite, in a temporary directory.
#
#   make_work       $work is a directory, removed at the exit along with the daemon
#   find_twistd     $twistd, from TWISTD, .venv or the PATH
#   start_mailhive  $url is the Session of a mailhive on a free port of the loopback,
#                   $work/mailhive.toml its configuration, $work/log what it says; the
#                   table [directory."people"] comes from the standard input

work='' daemon=''

die() { echo "${0##*/}: $*" >&2; exit 2; }

# The comment at the top of the script that is run.
usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; }

make_work() {
  work=$(mktemp -d)
  trap clean_up EXIT
}

clean_up() {
  if [ -n "$daemon" ]; then
    kill "$daemon" 2>/dev/null || true
    wait "$daemon" 2>/dev/null || true
  fi
  rm -rf "$work"
}

find_twistd() {
  local root
  root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
  twistd=${TWISTD:-}
  if [ -z "$twistd" ] && [ -x "$root/.venv/bin/twistd" ]; then
    twistd=$root/.venv/bin/twistd
  fi
  twistd=$(command -v "${twistd:-twistd}") || die "no twistd: install mailhive, or set TWISTD"
}

start_mailhive() {
  local port table
  table=$(cat)
  port=$(python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
  url=http://127.0.0.1:$port/.well-known/jmap
  cat >"$work/mailhive.toml" <<TOML
[server]
hostname = "localhost"
data-dir = "data"
workers = ${WORKERS:-1}

[server.listener."jmap"]
bind = "127.0.0.1:$port"
url = "127.0.0.1:$port"
protocol = "jmap"

[storage]
mail = "sqlite"
blob = "files"

[store."sqlite"]
type = "sqlite"

[blob."files"]
type = "fs"

[relay]
enabled = false

[jmap]
directory = "people"

$table
TOML
  (cd "$work" && exec "$twistd" --nodaemon --pidfile= mailhive -c mailhive.toml) >"$work/log" 2>&1 &
  daemon=$!
  for _ in $(seq 150); do
    # Any answer at all will do: without credentials it is 401.
    python3 -c "import http.client as h; h.HTTPConnection('127.0.0.1', $port).request('GET', '/')" \
      2>/dev/null && return
    kill -0 "$daemon" 2>/dev/null || break
    sleep 0.2
  done
  cat "$work/log" >&2
  die "mailhive did not start"
}
