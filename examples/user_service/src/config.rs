//! The configuration, from flags and environment variables. Every value is checked before anything starts, and
//! all faults are reported at once.

use std::ffi::OsString;
use std::fmt::{self, Display};
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use clap::Parser;
use tracing_subscriber::filter::Targets;

use crate::repository::Database;
use crate::{http, notify};

/// The checked configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The HTTP server's address and limits.
    pub http: http::Options,
    /// Where users are stored.
    pub database: Database,
    /// Rates and sizes of the notifications.
    pub notify: notify::Options,
    /// How long the stand-in notifier takes for each message.
    pub notify_latency: Duration,
    /// The share of messages that the stand-in notifier fails, 0.0..=1.0.
    pub notify_fault_rate: f64,
    /// How long the way down may take in all.
    pub shutdown_limit: Duration,
    /// Which log lines are written.
    pub log: Targets,
}

impl Config {
    /// Reads the process's flags and environment. A flag wins over its variable. Unknown flags and `--help` end
    /// the process, as is usual.
    ///
    /// # Errors
    /// Every value that is out of range or unreadable.
    pub fn load() -> Result<Self, Faults> {
        Args::parse().check()
    }

    /// As [`load`](Self::load), from the given arguments; the first one is the program's name.
    ///
    /// # Errors
    /// The same; an unknown flag is a fault, too.
    pub fn from_args<A: Into<OsString> + Clone>(args: impl IntoIterator<Item = A>) -> Result<Self, Faults> {
        Args::try_parse_from(args).map_err(|error| Faults(vec![error.to_string()]))?.check()
    }
}

/// Everything that is wrong with a configuration.
#[derive(Clone, Debug)]
pub struct Faults(Vec<String>);

impl Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bad configuration:")?;
        self.0.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
    }
}

impl std::error::Error for Faults {}

/// The values as text, so that one bad value does not hide the next.
#[derive(Parser)]
#[command(name = "user_service", about = "A small user service on flowgate.")]
struct Args {
    /// Address to serve HTTP on; port 0 picks a free one, which is logged
    #[arg(long, env, default_value = "127.0.0.1:8080", allow_hyphen_values = true)]
    http_addr: String,
    /// Open connections at most, 1..=65536; more wait to be accepted
    #[arg(long, env, default_value = "1024", allow_hyphen_values = true)]
    http_max_connections: String,
    /// Seconds for a client to send a request's header, its body, or to take an answer, 1..=3600
    #[arg(long, env, default_value = "15", allow_hyphen_values = true)]
    http_timeout_seconds: String,
    /// sqlite:FILE, sqlite::memory: or postgres://USER:PASSWORD@HOST/DATABASE
    #[arg(long, env, default_value = "sqlite:users.db", allow_hyphen_values = true, hide_env_values = true)]
    database_url: String,
    /// Welcomes sent at a time, 1..=1024
    #[arg(long, env, default_value = "8", allow_hyphen_values = true)]
    notify_concurrency: String,
    /// Welcomes that wait beyond those, 0..=100000; more are refused
    #[arg(long, env, default_value = "256", allow_hyphen_values = true)]
    notify_queue: String,
    /// Attempts per welcome, the first one included, 1..=100
    #[arg(long, env, default_value = "5", allow_hyphen_values = true)]
    notify_max_attempts: String,
    /// Milliseconds before the first retry, 1..=60000; doubles from there
    #[arg(long, env, default_value = "100", allow_hyphen_values = true)]
    notify_backoff_ms: String,
    /// Milliseconds for one attempt, 1..=600000
    #[arg(long, env, default_value = "2000", allow_hyphen_values = true)]
    notify_timeout_ms: String,
    /// Milliseconds that the stand-in notifier takes, 0..=600000
    #[arg(long, env, default_value = "20", allow_hyphen_values = true)]
    notify_latency_ms: String,
    /// Share of welcomes that the stand-in notifier fails, 0.0..=1.0
    #[arg(long, env, default_value = "0.1", allow_hyphen_values = true)]
    notify_fault_rate: String,
    /// Seconds for the way down in all, 1..=3600
    #[arg(long, env, default_value = "30", allow_hyphen_values = true)]
    shutdown_seconds: String,
    /// What to log: a level, or target=level pairs
    #[arg(long, env = "RUST_LOG", default_value = "info", allow_hyphen_values = true)]
    log: String,
}

impl Args {
    fn check(self) -> Result<Config, Faults> {
        let mut check = Check::default();
        let http_addr =
            check.parse("HTTP_ADDR", &self.http_addr, "must be an address with a port, as in 127.0.0.1:8080");
        let max_connections = check.number("HTTP_MAX_CONNECTIONS", &self.http_max_connections, 1..=65_536);
        let timeout = check.number("HTTP_TIMEOUT_SECONDS", &self.http_timeout_seconds, 1..=3_600);
        let database = check.database("DATABASE_URL", &self.database_url);
        let concurrency = check.number("NOTIFY_CONCURRENCY", &self.notify_concurrency, 1..=1_024);
        let queue = check.number("NOTIFY_QUEUE", &self.notify_queue, 0..=100_000);
        let max_attempts = check.number("NOTIFY_MAX_ATTEMPTS", &self.notify_max_attempts, 1..=100);
        let backoff = check.number("NOTIFY_BACKOFF_MS", &self.notify_backoff_ms, 1..=60_000);
        let attempt_timeout = check.number("NOTIFY_TIMEOUT_MS", &self.notify_timeout_ms, 1..=600_000);
        let latency = check.number("NOTIFY_LATENCY_MS", &self.notify_latency_ms, 0..=600_000);
        let fault_rate = check.number("NOTIFY_FAULT_RATE", &self.notify_fault_rate, 0.0..=1.0);
        let shutdown = check.number("SHUTDOWN_SECONDS", &self.shutdown_seconds, 1..=3_600);
        let log = check.parse("RUST_LOG", &self.log, "must be a level or target=level pairs, as in info or sqlx=debug");
        // A value is absent only where a fault was noted.
        let build = || {
            let timeout = Duration::from_secs(timeout?);
            Some(Config {
                http: http::Options { addr: http_addr?, max_connections: max_connections?, timeout },
                database: database?,
                notify: notify::Options {
                    concurrency: concurrency?,
                    queue: queue?,
                    max_attempts: max_attempts?,
                    backoff: Duration::from_millis(backoff?),
                    attempt_timeout: Duration::from_millis(attempt_timeout?),
                },
                notify_latency: Duration::from_millis(latency?),
                notify_fault_rate: fault_rate?,
                shutdown_limit: Duration::from_secs(shutdown?),
                log: log?,
            })
        };
        build().ok_or(Faults(check.faults))
    }
}

/// Parses values and notes every fault.
#[derive(Default)]
struct Check {
    faults: Vec<String>,
}

impl Check {
    fn parse<T: FromStr>(&mut self, name: &str, text: &str, rule: &str) -> Option<T> {
        let value = text.parse().ok();
        if value.is_none() {
            self.faults.push(format!("{name}: {text:?} {rule}"));
        }
        value
    }

    fn number<T: FromStr + PartialOrd + Display>(
        &mut self,
        name: &str,
        text: &str,
        range: RangeInclusive<T>,
    ) -> Option<T> {
        let value = text.parse().ok().filter(|value| range.contains(value));
        if value.is_none() {
            self.faults.push(format!("{name}: {text:?} must be a number from {} to {}", range.start(), range.end()));
        }
        value
    }

    /// The URL may hold a password, so the fault does not repeat it.
    fn database(&mut self, name: &str, url: &str) -> Option<Database> {
        url.parse().map_err(|rule| self.faults.push(format!("{name}: {rule}"))).ok()
    }
}
