//! Flags: defaults, and every fault at once.

use std::time::Duration;

use user_service::Config;

fn load(args: &[&str]) -> Result<Config, String> {
    Config::from_args([&["user_service"], args].concat()).map_err(|faults| faults.to_string())
}

#[test]
fn flags_are_read() {
    let flags = ["--http-addr=[::1]:0", "--notify-queue=0", "--notify-fault-rate=0.5", "--shutdown-seconds=7"];
    let config = load(&flags).unwrap();
    assert_eq!(config.http.addr.to_string(), "[::1]:0");
    assert_eq!((config.notify.queue, config.notify_fault_rate), (0, 0.5));
    assert_eq!(config.shutdown_limit, Duration::from_secs(7));
}

#[test]
fn every_bad_value_is_refused_by_name() {
    let bad = [
        ("HTTP_ADDR", "--http-addr", ["", "localhost", "1.2.3.4", "1.2.3.4:65536"]),
        ("HTTP_MAX_CONNECTIONS", "--http-max-connections", ["0", "-1", "65537", "many"]),
        ("HTTP_READ_SECONDS", "--http-read-seconds", ["0", "3601", "1.5", "NaN"]),
        ("HTTP_WRITE_SECONDS", "--http-write-seconds", ["0", "3601", "", "-1"]),
        ("HTTP_IDLE_SECONDS", "--http-idle-seconds", ["0", "3601", "15s", "-1"]),
        ("TRUSTED_PROXIES", "--trusted-proxies", ["-1", "17", "", "all"]),
        ("GRPC_ADDR", "--grpc-addr", ["", "localhost", "1.2.3.4", "127.0.0.1:65536"]),
        ("AUTH_TOKENS", "--auth-tokens", ["a b", ",", "tok\u{e9}n", "one,,two"]),
        ("RATE_LIMIT_PER_SECOND", "--rate-limit-per-second", ["0", "1000001", "-1", "1.5"]),
        ("RATE_LIMIT_BURST", "--rate-limit-burst", ["0", "1000001", "", "x"]),
        ("RATE_LIMIT_CLIENTS", "--rate-limit-clients", ["0", "10000001", "", "x"]),
        ("CACHE_ENTRIES", "--cache-entries", ["0", "10000001", "", "x"]),
        ("CACHE_TTL_SECONDS", "--cache-ttl-seconds", ["0", "86401", "5m", "-1"]),
        ("DATABASE_URL", "--database-url", ["users.db", "sqlite:", "sqlite://?mode=memory", "sqlite:a.db?mode=odd"]),
        ("NOTIFY_CONCURRENCY", "--notify-concurrency", ["0", "1025", "", "18446744073709551616"]),
        ("NOTIFY_QUEUE", "--notify-queue", ["-1", "100001", " 1", "x"]),
        ("NOTIFY_MAX_ATTEMPTS", "--notify-max-attempts", ["0", "101", "4294967296", "-1"]),
        ("NOTIFY_BACKOFF_MS", "--notify-backoff-ms", ["0", "60001", "1s", "-1"]),
        ("NOTIFY_TIMEOUT_MS", "--notify-timeout-ms", ["0", "600001", "1e3", "-1"]),
        ("NOTIFY_LATENCY_MS", "--notify-latency-ms", ["-1", "600001", "", "x"]),
        ("NOTIFY_FAULT_RATE", "--notify-fault-rate", ["NaN", "-0.1", "1.1", "inf"]),
        ("SHUTDOWN_SECONDS", "--shutdown-seconds", ["0", "3601", "", "30s"]),
        ("RUST_LOG", "--log", ["x=loud", "a=b=c", "user_service=7", "sqlx=7"]),
    ];
    for (name, flag, values) in &bad {
        for value in values {
            let faults = load(&[&format!("{flag}={value}")]).unwrap_err();
            assert_eq!(faults.lines().count(), 2, "{flag}={value}: {faults}");
            assert!(faults.lines().nth(1).unwrap().starts_with(&format!("  {name}: ")), "{flag}={value}: {faults}");
        }
    }
    let all: Vec<String> = bad.iter().map(|(_, flag, values)| format!("{flag}={}", values[0])).collect();
    let faults = load(&all.iter().map(String::as_str).collect::<Vec<_>>()).unwrap_err();
    for (name, ..) in &bad {
        assert!(faults.contains(&format!("  {name}: ")), "{name} is missing in: {faults}");
    }
}

#[test]
fn a_password_is_never_repeated() {
    for url in [
        "postgres://ann:hunter2@db:port/users",
        "mysql://ann:hunter2@db/users",
        "hunter2",
        "sqlite:users.db?key=hunter2",
    ] {
        let faults = load(&[&format!("--database-url={url}")]).unwrap_err();
        assert!(faults.contains("DATABASE_URL") && !faults.contains("hunter2"), "{faults}");
    }
    for url in ["sqlite:hunter2.db", "postgres://ann:hunter2@db/users", "postgresql://ann:hunter2@db/users"] {
        let config = load(&[&format!("--database-url={url}")]).unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
