# shellcheck shell=bash
# The steps of .ci/run, a function each. They run in the repository's root; the first failing command ends a step.
set -euo pipefail

# No crate of these belongs into the library, and no more crates than this may stand below it. The 26th is triomphe, whose
# references take a tenth off a job with a handle and a quarter off a job of a stream, beside std's in the same program.
readonly FOREIGN='^(axum|hyper|sqlx|tonic|tower|loom|shuttle|proptest|criterion|flume|kanal|async-channel|futures) '
readonly MOST_CRATES=26

# The longest that one program run by a step may take, in seconds.
readonly PATIENCE=60

skip() {
    echo "SKIP: $*"
    exit 77
}

fail() {
    echo "$*" >&2
    exit 1
}

target_dir() {
    cargo metadata --no-deps --format-version 1 | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p'
}

library_version() {
    sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1
}

# wait_for FILE PATTERN PID: until a line of the file matches; fails if the process ends first or takes too long.
wait_for() {
    local file=$1 pattern=$2 pid=$3 deadline=$((SECONDS + PATIENCE))
    until grep -Eq -- "$pattern" "$file"; do
        kill -0 "$pid" 2>/dev/null || { cat "$file"; fail "it ended before it printed /$pattern/"; }
        ((SECONDS < deadline)) || { cat "$file"; fail "it did not print /$pattern/ in $PATIENCE s"; }
        sleep 0.1
    done
}

# start LOG COMMAND...: in the background, ended after PATIENCE seconds at the latest; its id is in $started. A signal sent to it
# is passed on, and the command then has PATIENCE seconds as well.
start() {
    local log=$1
    shift
    timeout --foreground --kill-after="$PATIENCE" "$PATIENCE" "$@" >"$log" 2>&1 &
    started=$!
}

# finish LOG PID: fails unless it ends by itself, with status 0.
finish() {
    local status=0
    wait "$2" || status=$?
    cat "$1"
    ((status == 0)) || fail "it ended with status $status"
}

# have_postgres: whether the service's tests will find one to start, in PATH or in Debian's versioned folders.
have_postgres() {
    command -v initdb >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null
}

# Installs it where that can be done without asking anybody. The tests fail where it cannot be had.
need_postgres() {
    have_postgres && return
    if ((EUID == 0)) && command -v apt-get >/dev/null; then
        echo "PostgreSQL is missing; installing it"
        # A failure is told by the tests, which then find none.
        { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends postgresql; } || true
    fi
}

# The command that the README names. Everything else comes after it.
step_test() {
    need_postgres
    FLOWGATE_REQUIRE_POSTGRES=1 cargo test
}

# The lock file is what was committed: no step had to change it.
step_lock() {
    cargo metadata --locked --format-version 1 >/dev/null
    [[ $(cksum <Cargo.lock) == "$LOCK_BEFORE" ]] || fail "Cargo.lock has changed since the run began: commit it"
}

step_fmt() {
    cargo fmt --all --check
}

step_clippy() {
    cargo clippy --workspace --all-targets --all-features -- -D warnings
}

step_doc() {
    RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --all-features
    RUSTDOCFLAGS='-D warnings' cargo doc -p flowgate --no-deps --all-features --document-private-items
}

# In a build of all members, cargo unifies features: what the library forgot to ask for goes unseen there, and even
# here its own tests ask for more of tokio than it does.
step_alone() {
    cargo check -p flowgate --lib --no-default-features
    cargo test -p flowgate
}

# What would be published contains what it needs, nothing else, and builds outside the workspace.
step_package() {
    local name target folder
    name=flowgate-$(library_version)
    target=$(target_dir)
    cargo package -p flowgate --allow-dirty --no-verify --quiet
    local crate=$target/package/$name.crate
    tar -tzf "$crate" | sed "s|^$name/||" | sort >"$target/package/contents"
    local stray
    stray=$(grep -Ev '^(src/|examples/[a-z_]+\.rs$|Cargo\.|README\.md$|CHANGELOG\.md$|LICENSE-|\.cargo_vcs_info)' \
        "$target/package/contents" || true)
    [[ -z $stray ]] || fail "the package contains: $stray"
    local needed
    for needed in src/lib.rs src/docs/glossary.md README.md CHANGELOG.md LICENSE-MIT LICENSE-APACHE; do
        grep -qx "$needed" "$target/package/contents" || fail "the package lacks $needed"
    done
    folder=$(mktemp -d)
    tar -xzf "$crate" -C "$folder"
    export CARGO_TARGET_DIR=$target/packed
    cd "$folder/$name"
    # Its dependencies have been fetched for the steps before; a fresh machine fetches them now.
    cargo check --offline --lib --examples || cargo check --lib --examples
    rm -rf "$folder"
}

step_examples() {
    local target log
    target=$(target_dir)
    log=$(mktemp)
    cargo build -p flowgate --examples
    timeout "$PATIENCE" "$target/debug/examples/worker_pool" src
    timeout "$PATIENCE" "$target/debug/examples/retry"
    timeout "$PATIENCE" "$target/debug/examples/concurrent_map" README.md CHANGELOG.md
    timeout "$PATIENCE" "$target/debug/examples/keyed_lanes"
    timeout "$PATIENCE" "$target/debug/examples/crawl" src
    timeout "$PATIENCE" "$target/debug/examples/fan_out_fan_in" src
    timeout "$PATIENCE" "$target/debug/examples/broadcast" README.md >"$log"
    grep -q '^README.md: crc32 [0-9a-f]*, [0-9]* words; the preview showed ' "$log" || fail "the broadcast lost a leg"
    timeout "$PATIENCE" "$target/debug/examples/pipeline" >"$log"
    grep -q '^completed after .*: 5000 taken, 4995 settled, 5 filtered$' "$log" || { cat "$log"; fail "the pipeline lost lines"; }
    grep -q '^flowchart LR$' "$log" || fail "the pipeline drew no picture"
    start "$log" "$target/debug/examples/graceful_shutdown"
    wait_for "$log" . "$started"
    kill -INT "$started"
    finish "$log" "$started"
    rm "$log"
}

# The service as its README starts it. What it answers is tested end to end by its own tests, in the first step.
step_service() {
    local target log folder address
    target=$(target_dir)
    log=$(mktemp)
    folder=$(mktemp -d)
    cargo build -p flowgate-user-service --example user_service
    HTTP_ADDR=127.0.0.1:0 GRPC_ADDR=127.0.0.1:0 DATABASE_URL="sqlite:$folder/users.db" \
        start "$log" "$target/debug/examples/user_service"
    wait_for "$log" 'listening on http://127\.0\.0\.1:[1-9][0-9]*' "$started"
    address=$(sed -n 's|.*listening on http://\(127\.0\.0\.1:[0-9]*\).*|\1|p' "$log" | head -n 1)
    expect_status 200 "$address" /health
    expect_status 200 "$address" /ready
    expect_status 401 "$address" /api/v1/users
    expect_status 200 "$address" /api/v1/users 'Authorization: Bearer dev-token'
    http_get "$address" /metrics | sed '1,/^.$/d' >"$folder/metrics"
    kill -TERM "$started"
    finish "$log" "$started"
    rm "$log"
    grep -q '^http_requests_total{' "$folder/metrics" || fail "GET /metrics does not count requests"
    find_promtool "$folder"
    "$promtool" check metrics <"$folder/metrics"
    rm -r "$folder"
}

# find_promtool FOLDER: its path is in $promtool: as installed, else out of Debian's package, unpacked into the folder.
find_promtool() {
    promtool=$(command -v promtool || true)
    [[ -z $promtool ]] || return 0
    (cd "$1" && apt-get download prometheus && dpkg -x prometheus_*.deb .) >&2 ||
        skip "promtool is not installed and Debian's package cannot be had: /metrics is unchecked"
    promtool=$1/usr/bin/promtool
}

# http_get HOST:PORT PATH [HEADER]: the answer to a GET request; bash speaks TCP, so no client is needed.
http_get() {
    exec 3<>"/dev/tcp/${1%:*}/${1##*:}"
    printf 'GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s\r\n' "$2" "$1" "${3:+$3$'\r\n'}" >&3
    timeout "$PATIENCE" cat <&3
    exec 3>&-
}

# expect_status STATUS HOST:PORT PATH [HEADER]: fails unless a GET request is answered with that status.
expect_status() {
    local seen
    seen=$(http_get "${@:2}" | sed -n '1s|^HTTP/1\.1 \([0-9]*\).*|\1|p')
    [[ $seen == "$1" ]] || fail "GET $3 on $2 is answered with ${seen:-nothing}, not with $1"
}

# Every bench still runs, and `ratios` prints its table. The figures of a shared machine are not judged here.
step_bench() {
    cargo test -p flowgate-benches --benches
    cargo bench --bench ratios --no-run
    timeout 300 cargo bench --bench ratios -- --quick pool/trivial
}

# What a user of the library takes on.
step_tree() {
    local crates count
    crates=$(cargo tree -p flowgate -e normal --prefix none --no-dedupe | sed 's/ (\*)$//' | sort -u)
    count=$(wc -l <<<"$crates")
    echo "$crates"
    echo "$count crates, the library included; $MOST_CRATES are the most"
    ((count <= MOST_CRATES)) || fail "too many dependencies: take one out, or raise MOST_CRATES and say why"
    if grep -E "$FOREIGN" <<<"$crates"; then
        fail "the library depends on a crate that belongs to tests, benches or the service"
    fi
}

step_msrv() {
    local version toolchain
    version=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
    toolchain=$(rustup toolchain list 2>/dev/null | sed -n "s/^\(${version//./\\.}[.0-9]*-[^ ]*\).*/\1/p" | head -n 1)
    [[ -n $toolchain ]] || skip "no toolchain $version is installed; clippy's incompatible_msrv has checked the library's calls"
    CARGO_TARGET_DIR="$(target_dir)/msrv" cargo "+$toolchain" check -p flowgate --lib
}

# Every crate of the lock file can be used under licences that deny.toml allows. Less than cargo-deny reads, but always there.
step_licences() {
    local allowed
    allowed=$(sed -n 's/^allow = \[\(.*\)\]$/\1/p' deny.toml | tr -d '" ' | tr ',' '|')
    # Each part of an `AND` needs one of its alternatives allowed; `/` is an old way to write `OR`.
    cargo metadata --format-version 1 --all-features |
        grep -Eo '"license":("[^"]*"|null)' | sort | uniq -c | tee /dev/stderr |
        sed -E 's/^ *[0-9]+ "license"://; s/"//g; s/[()]//g; s# */ *# OR #g' |
        awk -v allowed="^($allowed)\$" '{
            parts = split($0, part, / AND /)
            for (i = 1; i <= parts; i++) {
                ok = 0
                choices = split(part[i], choice, / OR /)
                for (j = 1; j <= choices; j++) if (choice[j] ~ allowed) ok = 1
                if (!ok) { print "not allowed by deny.toml: " $0; bad = 1 }
            }
        } END { exit bad }'
}

step_deny() {
    cargo deny --version >/dev/null 2>&1 || skip "cargo-deny is not installed"
    cargo deny --offline --all-features check licenses bans sources
}

step_shell() {
    command -v shellcheck >/dev/null || skip "shellcheck is not installed"
    shellcheck .ci/run .ci/soak .ci/steps.sh
}
