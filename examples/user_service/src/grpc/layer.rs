//! Around every call, outermost first: its name, its time limit, recovery, its line in the log and its place in the
//! metrics; then, for all but health and reflection, the rate limit and the token.

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hyper::body::{Frame, SizeHint};
use tokio::time::{Instant as Deadline, Sleep, sleep_until};
use tonic::{Code, Status};
use tracing::{Instrument, Span};

use super::error::{name, panicked};
use super::server::{Phase, PhaseWatch};
use super::{GrpcState, Options};
use crate::error::AppError;
use crate::metrics;
use crate::middleware::rate_limit::{Peer, client};
use crate::middleware::request_id::RequestId;

const REQUEST_ID: HeaderName = HeaderName::from_static(RequestId::HEADER);
const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
/// The name of all paths that are no method.
const UNKNOWN: &str = "unknown";
/// What everybody may call.
const OPEN: [&str; 2] = ["/grpc.health.v1.Health/", "/grpc.reflection."];
/// Streams with no end of their own: on the way down they end as soon as they have nothing to say.
const ENDLESS: [&str; 3] = ["/user.v1.UserService/ChatStream", OPEN[0], OPEN[1]];

/// What the layers know.
#[derive(Debug)]
pub(super) struct Shared {
    state: GrpcState,
    methods: HashSet<String>,
    head_timeout: Duration,
    proxies: usize,
    phase: PhaseWatch,
}

impl Shared {
    pub(super) fn new(state: GrpcState, methods: HashSet<String>, options: &Options, phase: PhaseWatch) -> Self {
        Self { state, methods, head_timeout: options.head_timeout, proxies: options.proxies, phase }
    }
}

pub(super) fn wrap(routes: Router, shared: Shared) -> Router {
    let shared = Arc::new(shared);
    routes.layer(from_fn_with_state(Arc::clone(&shared), guard)).layer(from_fn_with_state(shared, observe))
}

/// Lets those through who may call, and not too often.
async fn guard(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let is_open = OPEN.iter().any(|open| request.uri().path().starts_with(open));
    let checked = if is_open { Ok(()) } else { check(&shared, request.extensions().get(), request.headers()) };
    match checked {
        Ok(()) => next.run(request).await,
        Err(error) => Status::from(error).into_http(),
    }
}

fn check(shared: &Shared, peer: Option<&Peer>, headers: &HeaderMap) -> Result<(), AppError> {
    let peer = peer.ok_or_else(|| AppError::internal("a call without a peer"))?;
    shared.state.rate_limit.check(client(*peer, headers, shared.proxies))?;
    let mut tokens = headers.get_all(AUTHORIZATION).iter().map(HeaderValue::as_bytes);
    // Of two tokens, somebody before us may have checked the other.
    let (first, second) = (tokens.next(), tokens.next());
    Ok(shared.state.tokens.check(first.filter(|_| second.is_none()))?)
}

/// Names the call, and watches it to the end of its answer.
async fn observe(State(shared): State<Arc<Shared>>, mut request: Request, next: Next) -> Response {
    let id = RequestId::accept(request.headers().get(REQUEST_ID).map(HeaderValue::as_bytes));
    request.extensions_mut().insert(id.clone());
    let call = Call::begin(&shared, request.uri().path(), &id);
    let is_endless = ENDLESS.iter().any(|endless| request.uri().path().starts_with(endless));
    let head_limit = Deadline::now() + shared.head_timeout;
    let (deadline, answer) = match deadline(request.headers()) {
        Ok(Some(deadline)) if deadline <= Deadline::now() => (None, Err(too_late())),
        Ok(deadline) => {
            let head_limit = deadline.map_or(head_limit, |deadline| deadline.min(head_limit));
            // Unwind safety: the call's own state dies with it, and what it shares is behind locks and transactions.
            let answer = AssertUnwindSafe(next.run(request)).catch_unwind().instrument(call.span.clone());
            let answer = tokio::time::timeout_at(head_limit, answer).await;
            let answer = answer.map_err(|_| too_late());
            (deadline, answer.and_then(|a| a.map_err(|panic| call.span.in_scope(|| panicked(panic.as_ref())))))
        }
        Err(status) => (None, Err(status)),
    };
    let mut response = answer.unwrap_or_else(Status::into_http);
    // An id is printable ASCII, which every header may hold.
    if let Ok(id) = HeaderValue::try_from(id.as_str()) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    finish(response, call, deadline, is_endless, shared.phase.clone())
}

fn too_late() -> Status {
    Status::deadline_exceeded("the time for the call is over")
}

/// Follows the answer to its end: at once where it is a refusal, which has its code in the headers.
fn finish(
    response: Response,
    mut call: Call,
    deadline: Option<Deadline>,
    is_endless: bool,
    phase: PhaseWatch,
) -> Response {
    let (mut parts, body) = response.into_parts();
    if let Some(status) = status_in(&parts.headers) {
        call.code = Some(status.code());
        put(&status, &mut parts.headers);
    }
    let until = if is_endless { Phase::Draining } else { Phase::Ending };
    let ending = async move { phase.reached(until).await }.boxed();
    let deadline = deadline.map(|at| Box::pin(sleep_until(at)));
    Response::from_parts(parts, Body::new(Answer { body, call, deadline, ending, is_endless, is_over: false }))
}

/// The status in headers or trailers. tonic's code for a message that is too large is not the one that gRPC has for it.
fn status_in(headers: &HeaderMap) -> Option<Status> {
    let status = Status::from_header_map(headers)?;
    Some(match status.code() {
        Code::OutOfRange => Status::resource_exhausted("the message must have at most 4 MiB"),
        _ => status,
    })
}

fn put(status: &Status, headers: &mut HeaderMap) {
    // Fails for a message that no header can hold; tonic encodes what could not be held.
    let _ = status.add_header(headers);
}

/// When the caller loses its interest: up to 8 digits and a unit.
fn deadline(headers: &HeaderMap) -> Result<Option<Deadline>, Status> {
    let Some(given) = headers.get(TIMEOUT) else { return Ok(None) };
    let parse = || {
        let (digits, unit) = given.to_str().ok()?.split_at_checked(given.len().checked_sub(1)?)?;
        let number =
            digits.parse::<u32>().ok().filter(|_| digits.len() <= 8 && digits.bytes().all(|b| b.is_ascii_digit()))?;
        let one = match unit {
            "H" => Duration::from_secs(3600),
            "M" => Duration::from_secs(60),
            "S" => Duration::from_secs(1),
            "m" => Duration::from_millis(1),
            "u" => Duration::from_micros(1),
            "n" => Duration::from_nanos(1),
            _ => return None,
        };
        Some(one * number)
    };
    let timeout = parse().ok_or_else(|| Status::invalid_argument("grpc-timeout: must be up to 8 digits and a unit"))?;
    // Beyond what the clock can count there is no deadline.
    Ok(Deadline::now().checked_add(timeout))
}

/// A call on its way. Dropped, it is counted, and logged in one line.
#[derive(Debug)]
struct Call {
    counted: Option<metrics::Request>,
    span: Span,
    method: String,
    started: Instant,
    /// `None` while it has no status: dropped then, its client is gone.
    code: Option<Code>,
}

impl Call {
    fn begin(shared: &Shared, path: &str, id: &RequestId) -> Self {
        // Never the raw path of what is no method: there are as many as there are methods.
        let method = shared.methods.get(path).map_or(UNKNOWN, String::as_str);
        let counted = Some(shared.state.metrics.begin("GRPC", method));
        let span = tracing::info_span!("call", %id);
        Self { counted, span, method: method.to_owned(), started: Instant::now(), code: None }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let code = name(self.code.unwrap_or(Code::Cancelled));
        let (method, elapsed) = (&self.method, self.started.elapsed());
        self.span.in_scope(|| tracing::info!(method, code, ?elapsed, "answered"));
        if let Some(counted) = self.counted.take() {
            counted.answered(code);
        }
    }
}

/// The body of an answer. It ends with a status of our own when the time is over, the service goes down, or the inner
/// body panics.
struct Answer {
    body: Body,
    call: Call,
    deadline: Option<Pin<Box<Sleep>>>,
    ending: BoxFuture<'static, ()>,
    is_endless: bool,
    is_over: bool,
}

impl Answer {
    fn end(&mut self, status: &Status) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut trailers = HeaderMap::new();
        put(status, &mut trailers);
        self.call.code = Some(status.code());
        self.is_over = true;
        self.body = Body::empty();
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }

    /// Whether the service goes down and this stream with it.
    fn poll_ending(&mut self, cx: &mut Context<'_>) -> Poll<Status> {
        self.ending.as_mut().poll(cx).map(|()| Status::unavailable("the service is shutting down"))
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        if this.is_over {
            return Poll::Ready(None);
        }
        if this.deadline.as_mut().is_some_and(|deadline| deadline.as_mut().poll(cx).is_ready()) {
            return this.end(&too_late());
        }
        if !this.is_endless
            && let Poll::Ready(status) = this.poll_ending(cx)
        {
            return this.end(&status);
        }
        let span = this.call.span.clone();
        let body = AssertUnwindSafe(|| span.in_scope(|| Pin::new(&mut this.body).poll_frame(cx)));
        match std::panic::catch_unwind(body) {
            Ok(Poll::Ready(frame)) => {
                let trailers = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.trailers_ref());
                match trailers.and_then(status_in) {
                    Some(status) => this.end(&status),
                    None => Poll::Ready(frame),
                }
            }
            Ok(Poll::Pending) if this.is_endless => match this.poll_ending(cx) {
                Poll::Ready(status) => this.end(&status),
                Poll::Pending => Poll::Pending,
            },
            Ok(Poll::Pending) => Poll::Pending,
            Err(panic) => {
                let status = span.in_scope(|| panicked(panic.as_ref()));
                this.end(&status)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.is_over || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
