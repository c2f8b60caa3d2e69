//! The accept loop: HTTP/2 over a bounded number of connections, and the way down.

use std::future::Future;
use std::net::IpAddr;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_io_timeout::TimeoutStream;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tower_service::Service;

use super::{BadDescriptors, GrpcState, Options, routes, set_serving};
use crate::metrics::Metrics;
use crate::middleware::rate_limit::Peer;

/// How long the loop waits after an accept that failed for want of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
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

/// The connections that are open, and the listener that brings new ones.
#[derive(Debug)]
pub(crate) struct GrpcServer {
    listener: TcpListener,
    router: Router,
    health: HealthReporter,
    options: Options,
    metrics: Metrics,
    phase: watch::Sender<Phase>,
    connections: JoinSet<()>,
    graceful: GracefulShutdown,
}

impl GrpcServer {
    pub(crate) fn new(listener: TcpListener, state: GrpcState, options: Options) -> Result<Self, BadDescriptors> {
        let (phase, watch) = watch::channel(Phase::Serving);
        let metrics = state.metrics.clone();
        let (router, health) = routes(state, &options, PhaseWatch(watch))?;
        let (connections, graceful) = (JoinSet::new(), GracefulShutdown::new());
        Ok(Self { listener, router, health, options, metrics, phase, connections, graceful })
    }

    /// Accepts and serves until `stop` is ready. At the bound of connections it leaves new ones in the kernel's backlog.
    pub(crate) async fn accept_until(&mut self, stop: impl Future<Output = ()>) {
        set_serving(&self.health, ServingStatus::Serving).await;
        tokio::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => return,
                Some(ended) = self.connections.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!("a connection's task failed: {error}");
                    }
                }
                accepted = self.listener.accept(), if self.connections.len() < self.options.max_connections => match accepted {
                    Ok((stream, peer)) => self.serve(stream, peer.ip()),
                    Err(error) => {
                        tracing::warn!("cannot accept a connection: {error}");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
    }

    fn serve(&mut self, stream: TcpStream, peer: IpAddr) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!("cannot set TCP_NODELAY: {error}");
        }
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(self.options.write_timeout));
        // A client that lives answers the pings, and one that never greets is not asked.
        stream.set_read_timeout(Some(KEEPALIVE + KEEPALIVE_TIMEOUT));
        let router = self.router.clone();
        let answer = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(Peer(peer));
            router.clone().call(request)
        });
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(MAX_METADATA)
            .keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .serve_connection(TokioIo::new(Box::pin(stream)), answer);
        let connection = self.graceful.watch(connection);
        let counted = self.metrics.connect();
        self.connections.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!("connection ended: {error}");
            }
            drop(counted);
        });
    }

    /// Tells all watchers that the service is not served, takes nothing more, ends the streams without an end of
    /// their own, and lets the other calls finish. What is left at `end` is ended with `UNAVAILABLE`, and the
    /// connections that are left at the deadline are cut: returns how many.
    pub(crate) async fn finish(self, end: Instant, deadline: Instant) -> usize {
        let Self { listener, health, phase, mut connections, graceful, .. } = self;
        drop(listener);
        set_serving(&health, ServingStatus::NotServing).await;
        phase.send_replace(Phase::Draining);
        let mut finished = std::pin::pin!(graceful.shutdown());
        if timeout_at(end, &mut finished).await.is_err() {
            tracing::warn!("calls are left, they end now");
            phase.send_replace(Phase::Ending);
            if timeout_at(deadline, finished).await.is_err() {
                while connections.try_join_next().is_some() {}
                let cut = connections.len();
                connections.shutdown().await;
                return cut;
            }
        }
        0
    }
}
