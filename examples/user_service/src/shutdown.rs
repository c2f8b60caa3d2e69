//! The way down: who asks for it, how much time is left, and what became of everything.

use std::convert::Infallible;
use std::fmt;
use std::io;

use flowgate::Report;
use futures_util::FutureExt;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use crate::import::Totals;
use crate::notify::{NotifyError, Welcome};

/// SIGINT and SIGTERM, heard from the moment this exists.
#[derive(Debug)]
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Starts to listen.
    ///
    /// # Errors
    /// When the handlers cannot be installed.
    pub fn install() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Two futures: the first is ready at the first signal, as long as the second one is polled; the second ends
    /// the process at the second signal, with exit code 130.
    pub fn watch(mut self) -> (impl Future<Output = ()>, impl Future<Output = Infallible>) {
        let (stop, stopped) = oneshot::channel();
        let watch = async move {
            tracing::info!("{} received, shutting down", self.recv().await);
            drop(stop);
            tracing::error!("{} received, ending at once", self.recv().await);
            std::process::exit(130);
        };
        (stopped.map(|_: Result<Infallible, _>| ()), watch)
    }

    async fn recv(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}

/// What became of everything that the service had taken on.
#[derive(Debug)]
pub struct Outcome {
    /// Connections that were cut with a request unfinished.
    pub cut_connections: usize,
    /// The imports: those that ran were told to end, and reported what they had stored.
    pub imports: Totals,
    /// The notifications, to the last one; `None` when the pool could not report.
    pub notifications: Option<Report<Welcome, NotifyError>>,
    /// Welcomes that found the pool full: their users were created without one.
    pub refused: u64,
    /// Whether the database gave up all its connections in time.
    pub database_closed: bool,
}

impl Outcome {
    /// Whether every request was answered, no import was cut, every accepted welcome was sent or logged as a dead letter, and the
    /// database was closed.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let notified = self.notifications.as_ref().is_some_and(|report| {
            report.is_complete()
                && report.unstarted.is_empty()
                && report.parked.is_empty()
                && report.totals.aborted == 0
        });
        self.cut_connections == 0 && self.imports.running == 0 && notified && self.database_closed
    }

    /// Logs the report, and one line per welcome that was accepted and not tried to the end.
    pub(crate) fn log(&self) {
        for welcome in self.left_over() {
            tracing::warn!(user_id = %welcome.user_id, "welcome not sent: the time to shut down was over");
        }
        if self.is_clean() {
            tracing::info!("stopped, everything accounted for: {self}");
        } else {
            tracing::error!("stopped, not everything was finished: {self}");
        }
    }

    fn left_over(&self) -> impl Iterator<Item = &Welcome> {
        self.notifications.iter().flat_map(|report| {
            let parked = report.parked.iter().filter_map(|failure| failure.job.as_ref());
            report.unstarted.iter().chain(&report.aborted).chain(parked)
        })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connections cut: {}; imports: {}; notifications: ", self.cut_connections, self.imports)?;
        match &self.notifications {
            Some(report) => report.fmt(f)?,
            None => f.write_str("no report")?,
        }
        let database = if self.database_closed { "closed" } else { "not closed in time" };
        write!(f, "; {} refused; database {database}", self.refused)
    }
}
