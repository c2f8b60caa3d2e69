//! The accept loop of an edge: a bounded number of connections, each in a task of its own, all told to finish at the end.

use std::fmt::Display;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::time::Duration;

use hyper_util::server::graceful::{GracefulConnection, GracefulShutdown};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::metrics::Metrics;

/// How long the loop waits after an accept that failed for want of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The connections that are open, and the listener that brings new ones.
#[derive(Debug)]
pub(crate) struct Connections {
    listener: TcpListener,
    most: usize,
    metrics: Metrics,
    open: JoinSet<()>,
    graceful: GracefulShutdown,
}

impl Connections {
    /// At most so many at a time.
    pub(crate) fn new(listener: TcpListener, most: usize, metrics: Metrics) -> Self {
        Self { listener, most, metrics, open: JoinSet::new(), graceful: GracefulShutdown::new() }
    }

    /// Accepts until `stop` is ready, and drives what `serve` makes of each stream and its peer. At the bound it leaves new
    /// ones in the kernel's backlog.
    pub(crate) async fn accept_until<C>(
        &mut self,
        stop: impl Future<Output = ()>,
        serve: impl Fn(TcpStream, IpAddr) -> C,
    ) where
        C: GracefulConnection<Error: Display> + Send + 'static,
    {
        tokio::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => return,
                Some(ended) = self.open.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!("a connection's task failed: {error}");
                    }
                }
                accepted = self.listener.accept(), if self.open.len() < self.most => match accepted {
                    Ok((stream, peer)) => {
                        if let Err(error) = stream.set_nodelay(true) {
                            tracing::debug!("cannot set TCP_NODELAY: {error}");
                        }
                        self.drive(serve(stream, peer.ip()));
                    }
                    Err(error) => {
                        tracing::warn!("cannot accept a connection: {error}");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
    }

    fn drive<C>(&mut self, connection: C)
    where
        C: GracefulConnection<Error: Display> + Send + 'static,
    {
        let connection = self.graceful.watch(connection);
        let counted = self.metrics.connect();
        self.open.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!("connection ended: {error}");
            }
            drop(counted);
        });
    }

    /// Closes the listener. The connections know nothing of it before [`Closing::finish`].
    pub(crate) fn close(self) -> Closing {
        Closing { open: self.open, finished: Box::pin(self.graceful.shutdown()) }
    }
}

/// The connections that are left.
pub(crate) struct Closing {
    open: JoinSet<()>,
    finished: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Closing {
    /// Closes the idle connections and lets the others finish what they have begun, until `end`; if some have not, it
    /// gives them back.
    pub(crate) async fn finish(mut self, end: Instant) -> Result<(), Self> {
        timeout_at(end, &mut self.finished).await.map_err(|_| self)
    }

    /// The same, but cuts the connections that are left: returns how many.
    pub(crate) async fn finish_or_cut(self, deadline: Instant) -> usize {
        let Err(mut left) = self.finish(deadline).await else { return 0 };
        while left.open.try_join_next().is_some() {}
        let cut = left.open.len();
        left.open.shutdown().await;
        cut
    }
}
