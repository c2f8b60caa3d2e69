//! So many requests per second for each client, and a bounded memory of clients.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName};
use flowgate::{Compute, Computed, ConcurrentMap};
use governor::clock::{Clock, DefaultClock};
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::{Quota, RateLimiter};

use crate::error::{AppError, Code};
use crate::metrics::Figure;

/// The header in which each proxy appends the address that it was called from.
pub(crate) const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address at the other end of the connection; the servers put it into every request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// What a client may do.
#[derive(Clone, Debug)]
pub struct Options {
    /// Requests per second, in the long run.
    pub per_second: NonZeroU32,
    /// Requests at once.
    pub burst: NonZeroU32,
    /// Clients that are told apart. Any more share the allowance of one.
    pub max_clients: usize,
}

/// Who shares an allowance: an IPv4 address, or the /64 network that one holder of IPv6 addresses has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Client(IpAddr);

impl From<IpAddr> for Client {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64)).into(),
            v4 => v4,
        })
    }
}

/// The peer; or, behind `proxies` of our own, the address that the first of them was called from, which stands that
/// many places from the end. What stands before it came from the client, who can write anything.
pub(crate) fn client(Peer(peer): Peer, headers: &HeaderMap, proxies: usize) -> Client {
    let lines = headers.get_all(FORWARDED_FOR).into_iter().rev();
    let mut named = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    let forwarded = proxies.checked_sub(1).and_then(|skipped| named.nth(skipped));
    let address = forwarded.and_then(|text| std::str::from_utf8(text).ok()?.trim().parse().ok());
    Client::from(address.unwrap_or(peer))
}

/// The client has used up its allowance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many requests, come back in {} s", self.seconds())]
pub struct Limited {
    /// When the next request will be let through.
    pub retry_after: Duration,
}

impl Limited {
    /// The whole seconds to wait, at least 1.
    #[must_use]
    pub fn seconds(self) -> u64 {
        self.retry_after.as_nanos().div_ceil(1_000_000_000).try_into().map_or(u64::MAX, |seconds: u64| seconds.max(1))
    }
}

impl From<Limited> for AppError {
    fn from(error: Limited) -> Self {
        Self::new(Code::RateLimited, error.to_string())
    }
}

/// The allowances of all clients. A clone is the same limit.
#[derive(Clone)]
pub struct RateLimit {
    limiter: Arc<RateLimiter<Client, Allowances, DefaultClock>>,
    clients: ConcurrentMap<Client, Nanos>,
}

impl RateLimit {
    /// A limit that nobody has used yet.
    ///
    /// # Errors
    /// When `max_clients` is 0.
    pub fn new(options: &Options) -> Result<Self, flowgate::InvalidMap> {
        // After that long without a request an allowance is whole again, and need not be remembered.
        let refill = Duration::from_secs(1) * options.burst.get() / options.per_second.get();
        let clients = ConcurrentMap::builder()
            .name("rate limit")
            .max_entries(options.max_clients)
            .ttl(refill.max(Duration::from_millis(1)))
            .build()?;
        let allowances = Allowances { clients: clients.clone(), others: Mutex::default() };
        let quota = Quota::per_second(options.per_second).allow_burst(options.burst);
        Ok(Self { limiter: Arc::new(RateLimiter::new(quota, allowances, DefaultClock::default())), clients })
    }

    /// Takes one request from the client's allowance.
    ///
    /// # Errors
    /// When the allowance is used up.
    pub fn check(&self, client: Client) -> Result<(), Limited> {
        self.limiter
            .check_key(&client)
            .map_err(|refused| Limited { retry_after: refused.wait_time_from(self.limiter.clock().now()) })
    }

    /// How many clients are remembered: never more than was asked for.
    #[must_use]
    pub fn clients(&self) -> usize {
        self.clients.len()
    }

    /// What the limit counts about itself.
    #[must_use]
    pub fn figures(&self) -> Vec<Figure> {
        vec![Figure::gauge("rate_limit_clients", "Clients whose use of their allowance is remembered.", self.clients())]
    }
}

impl fmt::Debug for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimit").field("clients", &self.clients()).finish_non_exhaustive()
    }
}

/// Where governor keeps its state: one number per client, for as long as it matters.
struct Allowances {
    clients: ConcurrentMap<Client, Nanos>,
    /// Shared by those who find no room.
    others: Mutex<Option<Nanos>>,
}

impl StateStore for Allowances {
    type Key = Client;

    fn measure_and_replace<T, F, E>(&self, client: &Client, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut answer = None;
        let done = self.clients.compute(*client, |state| match measure(state.copied()) {
            Ok((let_through, next)) => {
                answer = Some(Ok(let_through));
                Compute::Insert(next)
            }
            Err(refused) => {
                answer = Some(Err(refused));
                Compute::Keep
            }
        });
        if let (Some(answer), false) = (answer, matches!(done, Computed::Refused(_))) {
            return answer;
        }
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        let (let_through, next) = measure(*others)?;
        *others = Some(next);
        Ok(let_through)
    }
}
