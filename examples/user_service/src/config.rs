//! The configuration, from flags and environment variables. Every value is checked before anything starts, and
//! all faults are reported at once.

use std::ffi::OsString;
use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use clap::Parser;
use tracing_subscriber::filter::Targets;

use crate::middleware::auth::Tokens;
use crate::middleware::rate_limit;
use crate::repository::Database;
use crate::{cache, grpc, http, notify};

/// The checked configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The HTTP server's address and limits.
    pub http: http::Options,
    /// The gRPC server's address and limits.
    pub grpc: grpc::Options,
    /// The tokens that callers may show.
    pub tokens: Tokens,
    /// What each client may do.
    pub rate_limit: rate_limit::Options,
    /// The size of the cache.
    pub cache: cache::Options,
    /// Imports at a time.
    pub imports: u32,
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
    /// Address to serve gRPC on; port 0 picks a free one, which is logged
    #[arg(long, env, default_value = "127.0.0.1:50051", allow_hyphen_values = true)]
    grpc_addr: String,
    /// Bearer tokens that callers may show, separated by commas; needed unless all addresses are loopback
    #[arg(long, env, default_value = "", allow_hyphen_values = true, hide_env_values = true)]
    auth_tokens: String,
    /// Requests per second for each client, 1..=1000000; more are answered with 429
    #[arg(long, env, default_value = "1000", allow_hyphen_values = true)]
    rate_limit_per_second: String,
    /// Requests at once for each client, 1..=1000000
    #[arg(long, env, default_value = "1000", allow_hyphen_values = true)]
    rate_limit_burst: String,
    /// Clients that the rate limit tells apart, 1..=10000000
    #[arg(long, env, default_value = "100000", allow_hyphen_values = true)]
    rate_limit_clients: String,
    /// Own proxies in front that append to X-Forwarded-For, 0..=16; with 0 the header is ignored
    #[arg(long, env, default_value = "0", allow_hyphen_values = true)]
    trusted_proxies: String,
    /// Users in the cache, 1..=10000000
    #[arg(long, env, default_value = "10000", allow_hyphen_values = true)]
    cache_entries: String,
    /// Seconds that a user stays in the cache, 1..=86400
    #[arg(long, env, default_value = "300", allow_hyphen_values = true)]
    cache_ttl_seconds: String,
    /// Open connections at most, 1..=65536; more wait to be accepted
    #[arg(long, env, default_value = "1024", allow_hyphen_values = true)]
    http_max_connections: String,
    /// Seconds for a client to send a request's header, and again for its body, 1..=3600
    #[arg(long, env, default_value = "15", allow_hyphen_values = true)]
    http_read_seconds: String,
    /// Seconds for a client to take a piece of the answer, 1..=3600
    #[arg(long, env, default_value = "15", allow_hyphen_values = true)]
    http_write_seconds: String,
    /// Seconds for a connection to wait for its next request, 1..=3600
    #[arg(long, env, default_value = "60", allow_hyphen_values = true)]
    http_idle_seconds: String,
    /// Imports at a time, 1..=64; more are answered with 503
    #[arg(long, env, default_value = "4", allow_hyphen_values = true)]
    imports: String,
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
    /// A value is absent only where a fault was noted, and every value is looked at before the first `?`.
    fn check(self) -> Result<Config, Faults> {
        let mut check = Check::default();
        let http = self.http(&mut check);
        let grpc_addr = check.address("GRPC_ADDR", &self.grpc_addr);
        let addresses = [http.as_ref().map(|http| http.addr), grpc_addr];
        let tokens = check.tokens("AUTH_TOKENS", &self.auth_tokens, &addresses);
        let rate_limit = self.rate_limit(&mut check);
        let cache = self.cache(&mut check);
        let imports = check.number("IMPORTS", &self.imports, 1..=64);
        let database = check.database("DATABASE_URL", &self.database_url);
        let notify = self.notify(&mut check);
        let notify_latency = check.millis("NOTIFY_LATENCY_MS", &self.notify_latency_ms, 0..=600_000);
        let notify_fault_rate = check.number("NOTIFY_FAULT_RATE", &self.notify_fault_rate, 0.0..=1.0);
        let shutdown_limit = check.seconds("SHUTDOWN_SECONDS", &self.shutdown_seconds, 1..=3_600);
        let log = check.parse("RUST_LOG", &self.log, "must be a level or target=level pairs, as in info or sqlx=debug");
        let build = || {
            Some(Config {
                grpc: http.as_ref().zip(grpc_addr).map(|(http, addr)| grpc_options(http, addr))?,
                http: http?,
                tokens: tokens?,
                rate_limit: rate_limit?,
                cache: cache?,
                imports: imports?,
                database: database?,
                notify: notify?,
                notify_latency: notify_latency?,
                notify_fault_rate: notify_fault_rate?,
                shutdown_limit: shutdown_limit?,
                log: log?,
            })
        };
        build().ok_or(Faults(check.faults))
    }

    fn http(&self, check: &mut Check) -> Option<http::Options> {
        let addr = check.address("HTTP_ADDR", &self.http_addr);
        let max_connections = check.number("HTTP_MAX_CONNECTIONS", &self.http_max_connections, 1..=65_536);
        let read_timeout = check.seconds("HTTP_READ_SECONDS", &self.http_read_seconds, 1..=3_600);
        let write_timeout = check.seconds("HTTP_WRITE_SECONDS", &self.http_write_seconds, 1..=3_600);
        let idle_timeout = check.seconds("HTTP_IDLE_SECONDS", &self.http_idle_seconds, 1..=3_600);
        let proxies = check.number("TRUSTED_PROXIES", &self.trusted_proxies, 0..=16);
        Some(http::Options {
            addr: addr?,
            max_connections: max_connections?,
            read_timeout: read_timeout?,
            write_timeout: write_timeout?,
            idle_timeout: idle_timeout?,
            proxies: proxies?,
        })
    }

    fn rate_limit(&self, check: &mut Check) -> Option<rate_limit::Options> {
        const MOST: NonZeroU32 = NonZeroU32::new(1_000_000).unwrap();
        let per_second = check.number("RATE_LIMIT_PER_SECOND", &self.rate_limit_per_second, NonZeroU32::MIN..=MOST);
        let burst = check.number("RATE_LIMIT_BURST", &self.rate_limit_burst, NonZeroU32::MIN..=MOST);
        let max_clients = check.number("RATE_LIMIT_CLIENTS", &self.rate_limit_clients, 1..=10_000_000);
        Some(rate_limit::Options { per_second: per_second?, burst: burst?, max_clients: max_clients? })
    }

    fn cache(&self, check: &mut Check) -> Option<cache::Options> {
        let max_entries = check.number("CACHE_ENTRIES", &self.cache_entries, 1..=10_000_000);
        let ttl = check.seconds("CACHE_TTL_SECONDS", &self.cache_ttl_seconds, 1..=86_400);
        Some(cache::Options { max_entries: max_entries?, ttl: ttl? })
    }

    fn notify(&self, check: &mut Check) -> Option<notify::Options> {
        let concurrency = check.number("NOTIFY_CONCURRENCY", &self.notify_concurrency, 1..=1_024);
        let queue = check.number("NOTIFY_QUEUE", &self.notify_queue, 0..=100_000);
        let max_attempts = check.number("NOTIFY_MAX_ATTEMPTS", &self.notify_max_attempts, 1..=100);
        let backoff = check.millis("NOTIFY_BACKOFF_MS", &self.notify_backoff_ms, 1..=60_000);
        let attempt_timeout = check.millis("NOTIFY_TIMEOUT_MS", &self.notify_timeout_ms, 1..=600_000);
        Some(notify::Options {
            concurrency: concurrency?,
            queue: queue?,
            max_attempts: max_attempts?,
            backoff: backoff?,
            attempt_timeout: attempt_timeout?,
        })
    }
}

/// The limits of HTTP hold for gRPC, too.
const fn grpc_options(http: &http::Options, addr: SocketAddr) -> grpc::Options {
    let http::Options { max_connections, read_timeout, write_timeout, proxies, .. } = *http;
    grpc::Options { addr, max_connections, head_timeout: read_timeout, write_timeout, proxies }
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

    fn seconds(&mut self, name: &str, text: &str, range: RangeInclusive<u64>) -> Option<Duration> {
        self.number(name, text, range).map(Duration::from_secs)
    }

    fn millis(&mut self, name: &str, text: &str, range: RangeInclusive<u64>) -> Option<Duration> {
        self.number(name, text, range).map(Duration::from_millis)
    }

    fn address(&mut self, name: &str, text: &str) -> Option<SocketAddr> {
        self.parse(name, text, "must be an address with a port, as in 127.0.0.1:8080")
    }

    /// Tokens are secret, so the fault does not repeat them. Without any, only this machine may reach the service.
    fn tokens(&mut self, name: &str, text: &str, addresses: &[Option<SocketAddr>]) -> Option<Tokens> {
        let is_local = addresses.iter().flatten().all(|addr| addr.ip().is_loopback());
        let tokens = match text {
            "" if is_local => Ok(Tokens::for_development()),
            "" => Err("must be set where an address is not loopback"),
            list => Tokens::parse(list),
        };
        let tokens = match tokens {
            Ok(tokens) if tokens.has_development_token() && !is_local => {
                Err("must not hold the development token where an address is not loopback")
            }
            tokens => tokens,
        };
        tokens.map_err(|rule| self.faults.push(format!("{name}: {rule}"))).ok()
    }

    /// The URL may hold a password, so the fault does not repeat it.
    fn database(&mut self, name: &str, url: &str) -> Option<Database> {
        url.parse().map_err(|rule| self.faults.push(format!("{name}: {rule}"))).ok()
    }
}
