//! HTTP/1 over a bounded number of connections, each with its timeouts, and the way down.

use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulConnection;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_io_timeout::TimeoutStream;
use tower_service::Service;

use super::Options;
use super::timeouts::{Activity, ReadTimeout};
use crate::connections::Connections;
use crate::metrics::Metrics;
use crate::middleware::rate_limit::Peer;

/// Header fields in a request, at most.
const MAX_HEADERS: usize = 100;
/// Bytes that a connection buffers of what it has read, at most; a header has to fit.
const MAX_BUFFER: usize = 64 * 1024;

/// The routes, and the connections over which they are asked for.
#[derive(Debug)]
pub(crate) struct HttpServer {
    connections: Connections,
    router: Router,
    options: Options,
}

impl HttpServer {
    pub(crate) fn new(listener: TcpListener, router: Router, options: Options, metrics: Metrics) -> Self {
        Self { connections: Connections::new(listener, options.max_connections, metrics), router, options }
    }

    /// Accepts and serves until `stop` is ready.
    pub(crate) async fn accept_until(&mut self, stop: impl Future<Output = ()>) {
        let Self { connections, router, options } = self;
        connections.accept_until(stop, |stream, peer| connection(router.clone(), options, stream, peer)).await;
    }

    /// Closes the listener and the idle connections, lets requests finish until the deadline, and cuts the rest:
    /// returns how many connections it cut.
    pub(crate) async fn finish(self, deadline: Instant) -> usize {
        self.connections.close().finish_or_cut(deadline).await
    }
}

fn connection(
    router: Router,
    &Options { read_timeout, write_timeout, idle_timeout, .. }: &Options,
    stream: TcpStream,
    peer: IpAddr,
) -> impl GracefulConnection<Error = hyper::Error> + Send + use<> {
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(write_timeout));
    let activity = Activity::default();
    let stream = ReadTimeout::new(Box::pin(stream), activity.clone(), idle_timeout, read_timeout);
    let answer = service_fn(move |mut request: Request<Incoming>| {
        let answering = activity.begin();
        request.extensions_mut().insert(Peer(peer));
        let answer = router.clone().call(request);
        async move { Ok::<_, Infallible>(answer.await?.map(|body| answering.until_end_of(body))) }
    });
    http1::Builder::new()
        // `ReadTimeout` tells an idle connection from a slow header.
        .header_read_timeout(None)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_BUFFER)
        // A client that has sent its request and closed its side still gets the answer.
        .half_close(true)
        .serve_connection(TokioIo::new(stream), answer)
}
