//! The accept loop: hyper over a bounded number of connections, each with its timeouts, all finished when told to.

use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_io_timeout::TimeoutStream;
use tower_service::Service;

use super::Options;
use super::timeouts::{Activity, ReadTimeout};
use crate::metrics::Metrics;
use crate::middleware::rate_limit::Peer;

/// How long the loop waits after an accept that failed for want of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Header fields in a request, at most.
const MAX_HEADERS: usize = 100;
/// Bytes that a connection buffers of what it has read, at most; a header has to fit.
const MAX_BUFFER: usize = 64 * 1024;

/// The connections that are open, and the listener that brings new ones.
#[derive(Debug)]
pub(crate) struct HttpServer {
    listener: TcpListener,
    router: Router,
    options: Options,
    metrics: Metrics,
    connections: JoinSet<()>,
    graceful: GracefulShutdown,
}

impl HttpServer {
    pub(crate) fn new(listener: TcpListener, router: Router, options: Options, metrics: Metrics) -> Self {
        let (connections, graceful) = (JoinSet::new(), GracefulShutdown::new());
        Self { listener, router, options, metrics, connections, graceful }
    }

    /// Accepts and serves until `stop` is ready. At the bound of connections it leaves new ones in the kernel's backlog.
    pub(crate) async fn accept_until(&mut self, stop: impl Future<Output = ()>) {
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
        let Options { read_timeout, write_timeout, idle_timeout, .. } = self.options;
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(write_timeout));
        let activity = Activity::default();
        let stream = ReadTimeout::new(Box::pin(stream), activity.clone(), idle_timeout, read_timeout);
        let router = self.router.clone();
        let answer = service_fn(move |mut request: Request<Incoming>| {
            let answering = activity.begin();
            request.extensions_mut().insert(Peer(peer));
            let answer = router.clone().call(request);
            async move { Ok::<_, Infallible>(answer.await?.map(|body| answering.until_end_of(body))) }
        });
        let connection = http1::Builder::new()
            // `ReadTimeout` tells an idle connection from a slow header.
            .header_read_timeout(None)
            .max_headers(MAX_HEADERS)
            .max_buf_size(MAX_BUFFER)
            // A client that has sent its request and closed its side still gets the answer.
            .half_close(true)
            .serve_connection(TokioIo::new(stream), answer);
        let connection = self.graceful.watch(connection);
        let counted = self.metrics.connect();
        self.connections.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!("connection ended: {error}");
            }
            drop(counted);
        });
    }

    /// Closes the listener and the idle connections, lets requests finish until the deadline, and cuts the rest:
    /// returns how many connections it cut.
    pub(crate) async fn finish(self, deadline: Instant) -> usize {
        let Self { listener, mut connections, graceful, .. } = self;
        drop(listener);
        if tokio::time::timeout_at(deadline, graceful.shutdown()).await.is_ok() {
            return 0;
        }
        while connections.try_join_next().is_some() {}
        let cut = connections.len();
        connections.shutdown().await;
        cut
    }
}
