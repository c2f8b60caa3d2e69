//! Around every handler, outermost first:
//!
//! | layer | does | on |
//! |---|---|---|
//! | [`recovery`] | names the request; a panic is a 500 and a log line; writes the body of every error | everything |
//! | [`metrics`] | counts and times, by the route's template | everything |
//! | [`logging`] | a span with the request's id, a line per answer | everything |
//! | [`rate_limit`] | 429 to a client that asks too often | all but health, ready and metrics |
//! | [`auth`] | 401 to a client without a token | all but health, ready and metrics |

mod auth;
mod logging;
mod metrics;
mod rate_limit;
mod recovery;

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::middleware::{from_fn, from_fn_with_state};

use super::AppState;

/// The name of all paths that are no route.
const UNMATCHED: &str = "unmatched";

/// What every route has around it.
pub(super) fn observe(routes: Router<AppState>, state: &AppState) -> Router<AppState> {
    routes
        .layer(from_fn(logging::log))
        .layer(from_fn_with_state(state.clone(), metrics::measure))
        .layer(from_fn(recovery::recover))
}

/// What stands before the routes that are not open to everybody.
pub(super) fn guard(routes: Router<AppState>, state: &AppState) -> Router<AppState> {
    routes
        .layer(from_fn_with_state(state.clone(), auth::authenticate))
        .layer(from_fn_with_state(state.clone(), rate_limit::limit))
}

/// The route's template, never the raw path: there are as many as there are routes.
fn endpoint(request: &Request) -> &str {
    request.extensions().get::<MatchedPath>().map_or(UNMATCHED, MatchedPath::as_str)
}

/// The method's name. Clients can make up methods, so all that no route knows have one name.
fn method(request: &Request) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    let method = request.method().as_str();
    KNOWN.into_iter().find(|known| *known == method).unwrap_or("OTHER")
}
