//! The time that a client has to send a request, and a connection to wait for one.
//!
//! hyper has one timer for both: with it, a client who waits long between two requests could take as long for a
//! header. Here the header's time runs from its first byte.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// What a connection is about. A clone is of the same connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Activity(Arc<State>);

#[derive(Debug, Default)]
struct State {
    /// Requests whose header has arrived.
    begun: AtomicU64,
    /// Whether the last of them is not answered to its end.
    answering: AtomicBool,
}

impl Activity {
    /// A request's header has arrived. Its answer ends when the returned guard is dropped.
    pub(super) fn begin(&self) -> Answering {
        // Ordering: Relaxed; the connection's own task is the only one that reads and writes.
        self.0.begun.fetch_add(1, Ordering::Relaxed);
        self.0.answering.store(true, Ordering::Relaxed);
        Answering(self.clone())
    }

    fn begun(&self) -> u64 {
        self.0.begun.load(Ordering::Relaxed)
    }

    fn is_answering(&self) -> bool {
        self.0.answering.load(Ordering::Relaxed)
    }
}

/// An answer on its way.
#[derive(Debug)]
pub(super) struct Answering(Activity);

impl Answering {
    /// The body of the answer, whose end is the answer's end.
    pub(super) fn until_end_of(self, body: Body) -> AnswerBody {
        AnswerBody { body, _answering: self }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        // Ordering: Relaxed, as in `begin`.
        self.0.0.answering.store(false, Ordering::Relaxed);
    }
}

/// A body that tells when it has been sent.
#[derive(Debug)]
pub(super) struct AnswerBody {
    body: Body,
    _answering: Answering,
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A connection that fails with `TimedOut` when it is idle for too long, or a header takes too long to arrive.
#[derive(Debug)]
pub(super) struct ReadTimeout<S> {
    stream: S,
    activity: Activity,
    idle: Duration,
    header: Duration,
    timer: Pin<Box<Sleep>>,
    /// What the timer runs for, and how many requests had begun then.
    runs_for: Option<(Wait, u64)>,
}

/// In the order in which they follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
enum Wait {
    /// The first byte of a header.
    FirstByte,
    /// The rest of it.
    Rest,
}

impl<S> ReadTimeout<S> {
    pub(super) fn new(stream: S, activity: Activity, idle: Duration, header: Duration) -> Self {
        let timer = Box::pin(tokio::time::sleep(idle));
        Self { stream, activity, idle, header, timer, runs_for: None }
    }

    /// Starts the timer, unless it runs for that already; a wait for the rest is not a wait for the first byte again.
    fn start(&mut self, wait: Wait) {
        let begun = self.activity.begun();
        let known = self.runs_for.is_some_and(|(running, since)| since == begun && running >= wait);
        if !known {
            let limit = if wait == Wait::FirstByte { self.idle } else { self.header };
            self.timer.as_mut().reset(Instant::now() + limit);
            self.runs_for = Some((wait, begun));
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ReadTimeout<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buf);
        // While a request is answered, its body is the handler's affair.
        if this.activity.is_answering() {
            return read;
        }
        if read.is_ready() {
            if buf.filled().len() > before {
                this.start(Wait::Rest);
            }
            return read;
        }
        this.start(Wait::FirstByte);
        this.timer.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ReadTimeout<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
