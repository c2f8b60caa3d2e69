//! HTTP/2 over a bounded number of connections, and the way down.

use std::future::Future;
use std::net::IpAddr;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_io_timeout::TimeoutStream;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tower_service::Service;

use super::{BadDescriptors, GrpcState, Options, routes, set_serving};
use crate::connections::Connections;
use crate::middleware::rate_limit::Peer;

/// Calls on one connection at a time, at most; the client keeps the others waiting.
const MAX_STREAMS: u32 = 256;
/// Bytes in the metadata of a call, at most.
const MAX_METADATA: u32 = 64 * 1024;
/// A connection that is silent for so long is asked for a sign of life.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// It has so long to give it.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// Where the server is on its way down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Serving,
    /// Nothing new is taken on, and streams without an end of their own end.
    Draining,
    /// All streams end.
    Ending,
}

/// Tells when a phase begins.
#[derive(Clone, Debug)]
pub(super) struct PhaseWatch(watch::Receiver<Phase>);

impl PhaseWatch {
    /// Waits for this phase, or a later one.
    pub(super) async fn reached(mut self, phase: Phase) {
        // An error means that the server is gone, and so is this.
        let _ = self.0.wait_for(|now| *now >= phase).await;
    }
}

/// The services, and the connections over which they are called.
#[derive(Debug)]
pub(crate) struct GrpcServer {
    connections: Connections,
    router: Router,
    health: HealthReporter,
    write_timeout: Duration,
    phase: watch::Sender<Phase>,
}

impl GrpcServer {
    pub(crate) fn new(listener: TcpListener, state: GrpcState, options: &Options) -> Result<Self, BadDescriptors> {
        let (phase, watch) = watch::channel(Phase::Serving);
        let connections = Connections::new(listener, options.max_connections, state.metrics.clone());
        let (router, health) = routes(state, options, PhaseWatch(watch))?;
        Ok(Self { connections, router, health, write_timeout: options.write_timeout, phase })
    }

    /// Accepts and serves until `stop` is ready.
    pub(crate) async fn accept_until(&mut self, stop: impl Future<Output = ()>) {
        set_serving(&self.health, ServingStatus::Serving).await;
        let Self { connections, router, write_timeout, .. } = self;
        connections.accept_until(stop, |stream, peer| connection(router.clone(), *write_timeout, stream, peer)).await;
    }

    /// Tells all watchers that the service is not served, takes nothing more, ends the streams without an end of
    /// their own, and lets the other calls finish. What is left at `end` is ended with `UNAVAILABLE`, and the
    /// connections that are left at the deadline are cut: returns how many.
    pub(crate) async fn finish(self, end: Instant, deadline: Instant) -> usize {
        let Self { connections, health, phase, .. } = self;
        let closing = connections.close();
        set_serving(&health, ServingStatus::NotServing).await;
        phase.send_replace(Phase::Draining);
        let Err(left) = closing.finish(end).await else { return 0 };
        tracing::warn!("calls are left, they end now");
        phase.send_replace(Phase::Ending);
        left.finish_or_cut(deadline).await
    }
}

fn connection(
    router: Router,
    write_timeout: Duration,
    stream: TcpStream,
    peer: IpAddr,
) -> impl GracefulConnection<Error = hyper::Error> + Send {
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(write_timeout));
    // A client that lives answers the pings, and one that never greets is not asked.
    stream.set_read_timeout(Some(KEEPALIVE + KEEPALIVE_TIMEOUT));
    let answer = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        router.clone().call(request)
    });
    http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_METADATA)
        .keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .serve_connection(TokioIo::new(Box::pin(stream)), answer)
}
