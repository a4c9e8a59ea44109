#!/usr/bin/env bash
# Postrider as a target of the side-by-side benchmark, with the users, ports and answers that the load generator expects.
#
#   postrider.sh up       build, write the configuration, create 1,000 accounts, start
#   postrider.sh down     stop (data is kept)
#   postrider.sh reset    stop, delete $BENCH_DIR, start afresh
#   postrider.sh env      shell variables for the benchmark
#   postrider.sh spam off|native    switch the filter of a running server;  spam-modes: list the modes
#
# Variables, with their defaults:
: "${BENCH_DIR:=/tmp/postrider-bench}"   # everything lives here; put it on the file system under test
: "${BENCH_BASE:=13000}"                 # first of the ports: SMTP is base+25, IMAPS base+993, and so on
: "${BENCH_USERS:=1000}"                 # user0001@bench.test ..., password "benchpass"
: "${BENCH_CHEAP:=900}"                  # this many accounts have bcrypt cost 4, the rest cost 12
set -euo pipefail
HERE=$(cd "$(dirname "$0")/.." && pwd)
D=$BENCH_DIR
BIN=${POSTRIDER_BIN:-$HERE/target/release/postrider}
port() { echo $((BENCH_BASE + $1)); }

configure() {
  mkdir -p "$D/mail" "$D/run" "$D/spool"
  # bcrypt of "benchpass".
  printf '%s' '{BLF-CRYPT}$2y$04$1GTbYMv9PFxDip5WdCZI5eko6wt04WVxBj77fd0Xh3VHkloF.x0.u' >"$D/cheap"
  printf '%s' '{BLF-CRYPT}$2y$12$X4lPPcnndW/v.VMgY0xx5eWgZQyIu8jhD3Gs7z25dmfXjn0uq6cE6' >"$D/costly"
  {
    echo '[domains."bench.test"]'
    for n in $(seq "$BENCH_USERS"); do
      printf '[domains."bench.test".users.user%04d]\nquota = "100G"\nhashed_password_file = "%s"\n' \
        "$n" "$D/$([ "$n" -le "$BENCH_CHEAP" ] && echo cheap || echo costly)"
    done
  } >"$D/accounts.toml"
  cat >"$D/postrider.toml" <<EOF
hostname = "mail.bench.test"

[storage]
mail_root = "$D/mail"
database = "sqlite:$D/postrider.sqlite"

[spool]
directory = "$D/spool"

[server]
control_directory = "$D/run"
log_level = "warn"

[accounts]
declared = "$D/accounts.toml"

[tls]
self_signed = "$D/tls"

[imap]
allow_plaintext = ["127.0.0.0/8"]
connections_per_user = 1000

[pop3]
allow_plaintext = ["127.0.0.0/8"]

# The generator uses foreign addresses in From, and sends more mail than a person would.
[submission]
header_from = "any"
messages_per_hour = 0
messages_per_day = 0
recipients_per_hour = 0
recipients_per_day = 0

[spam]
enabled = $([ "$(cat "$D/filter" 2>/dev/null)" = native ] && echo true || echo false)

$(for listener in smtp:25 submission:587 submissions:465 imap:143 imaps:993 pop3:110 pop3s:995; do
    printf '[[listener]]\nprotocol = "%s"\nbind = ["127.0.0.1:%s"]\n\n' "${listener%:*}" "$(port "${listener#*:}")"
  done)
EOF
}

start() {
  ulimit -n "$(ulimit -Hn)"
  "$BIN" --config "$D/postrider.toml" serve >"$D/log" 2>&1 &
  echo $! >"$D/pid"
  for _ in $(seq 200); do
    (exec 3<>"/dev/tcp/127.0.0.1/$(port 143)") 2>/dev/null && return
    kill -0 "$(cat "$D/pid")" 2>/dev/null || break
    sleep 0.1
  done
  tail -20 "$D/log" >&2
  exit 1
}

stop() {
  [ -e "$D/pid" ] || return 0
  kill "$(cat "$D/pid")" 2>/dev/null || true
  for _ in $(seq 300); do
    kill -0 "$(cat "$D/pid")" 2>/dev/null || break
    sleep 0.1
  done
  rm -f "$D/pid"
}

case ${1-} in
  up)
    [ -n "${POSTRIDER_BIN-}" ] || (cd "$HERE" && cargo build --release --locked --quiet)
    configure
    start
    ;;
  down) stop ;;
  reset)
    stop
    case $D in / | /tmp | "") exit 1 ;; esac
    rm -rf "$D"
    exec "$0" up
    ;;
  env)
    cat <<EOF
BENCH_LABEL=${BENCH_LABEL:-postrider} BENCH_HOST=127.0.0.1 BENCH_SMTP=$(port 25) BENCH_SUBMISSION=$(port 587) BENCH_SMTPS=$(port 465)
BENCH_IMAP=$(port 143) BENCH_IMAPS=$(port 993) BENCH_POP3=$(port 110) BENCH_POP3S=$(port 995)
BENCH_MAILDIR=$D/mail BENCH_OWNER=$(id -u) BENCH_USERS=$BENCH_USERS BENCH_CHEAP=$BENCH_CHEAP
BENCH_PIDS=$(cat "$D/pid" 2>/dev/null)
BENCH_FILTER_PIDS=
EOF
    ;;
  spam-modes) echo native ;;
  spam)
    echo "$2" >"$D/filter"
    stop
    configure
    start
    ;;
  *)
    sed -n '2,9p' "$0" >&2
    exit 2
    ;;
esac
