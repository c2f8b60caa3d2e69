#!/usr/bin/env bash
# Loads the service with GETs of one user, who is in the cache, and prints the rate, the latency and the memory.
#
#   examples/user_service/scripts/load.sh [SECONDS] [CONNECTIONS]
#
# The release build, or another: PROFILE=dev.
# Needs wrk (https://github.com/wg/wrk; `apt-get install wrk` on Debian) and curl. Touches nothing but a folder of its own.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."

readonly SECONDS_LONG=${1:-10} CONNECTIONS=${2:-64} TOKEN='Authorization: Bearer dev-token' PROFILE=${PROFILE:-release}

for tool in wrk curl; do
    command -v "$tool" >/dev/null || { echo "$tool is missing: apt-get install $tool" >&2; exit 1; }
done
cargo build --profile "$PROFILE" --quiet -p flowgate-user-service --example user_service
target=$(cargo metadata --no-deps --format-version 1 | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
folder=$(mktemp -d)
HTTP_ADDR=127.0.0.1:0 GRPC_ADDR=127.0.0.1:0 DATABASE_URL="sqlite:$folder/users.db" RUST_LOG=warn,user_service=info,user_service::http=warn \
    RATE_LIMIT_PER_SECOND=1000000 RATE_LIMIT_BURST=1000000 \
    "$target/${PROFILE/#dev/debug}/examples/user_service" 2>"$folder/log" &
service=$!
trap 'kill "$service" 2>/dev/null || true; rm -r "$folder"' EXIT
until grep -q 'listening on' "$folder/log"; do
    kill -0 "$service" || { cat "$folder/log" >&2; exit 1; }
    sleep 0.1
done
url=$(sed -n 's/.*listening on \(http:[^ ]*\).*/\1/p' "$folder/log")
location=$(curl -sfi "$url/api/v1/users" -H "$TOKEN" -H 'Content-Type: application/json' \
    -d '{"name":"Ann","email":"ann@example.com"}' | tr -d '\r' | sed -n 's/^location: //p')

rss() {
    awk '/^VmRSS/ { printf "%.1f MiB", $2 / 1024 }' "/proc/$service/status"
}

load() {
    wrk --threads 2 --connections "$CONNECTIONS" --duration "$1" --latency --header "$TOKEN" "$url$location"
}

load 2 >/dev/null
before=$(rss)
load "$SECONDS_LONG" | tee "$folder/result"
echo "memory: $before before, $(rss) after"
curl -sf "$url/metrics" | grep -E '^user_cache_(hits|misses)_total'
! grep -q 'Non-2xx' "$folder/result" || { echo "not every answer was a 200" >&2; exit 1; }
kill -TERM "$service"
wait "$service"
echo "stopped with status 0"
