//! The accept loop: hyper over a bounded number of connections, each with its timeouts, all finished when told to.

use std::future::Future;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_io_timeout::TimeoutStream;

use super::Options;

/// How long the loop waits after an accept that failed for want of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The connections that are open, and the listener that brings new ones.
#[derive(Debug)]
pub(crate) struct HttpServer {
    listener: TcpListener,
    router: Router,
    max_connections: usize,
    timeout: Duration,
    connections: JoinSet<()>,
    graceful: GracefulShutdown,
}

impl HttpServer {
    pub(crate) fn new(listener: TcpListener, router: Router, options: &Options) -> Self {
        Self {
            listener,
            router,
            max_connections: options.max_connections,
            timeout: options.timeout,
            connections: JoinSet::new(),
            graceful: GracefulShutdown::new(),
        }
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
                accepted = self.listener.accept(), if self.connections.len() < self.max_connections => match accepted {
                    Ok((stream, _)) => self.serve(stream),
                    Err(error) => {
                        tracing::warn!("cannot accept a connection: {error}");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
    }

    fn serve(&mut self, stream: TcpStream) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!("cannot set TCP_NODELAY: {error}");
        }
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(self.timeout));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            // Runs from the moment the connection waits for a request, so it also ends idle connections.
            .header_read_timeout(self.timeout)
            // A client that has sent its request and closed its side still gets the answer.
            .half_close(true)
            .serve_connection(TokioIo::new(Box::pin(stream)), TowerToHyperService::new(self.router.clone()));
        let connection = self.graceful.watch(connection);
        self.connections.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!("connection ended: {error}");
            }
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
