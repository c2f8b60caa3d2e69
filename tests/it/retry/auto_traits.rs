//! What is `Send`, `Sync` and `Clone`, and for which errors.

use std::cell::Cell;
use std::rc::Rc;

use flowgate::retry::{AttemptInfo, Backoff, Decision, Exhausted, InvalidRetry, RetryBudget, RetryPolicy, StopReason};

use super::ms;

/// Neither `Send`, `Sync` nor `Clone`.
struct Local(#[allow(dead_code, reason = "there to make the type neither Send nor Sync")] Rc<Cell<u8>>);

fn is_send<T: Send>(_: &T) {}
fn all<T: Clone + Send + Sync + 'static>() {}

#[test]
fn a_policy_is_clone_send_and_sync_whatever_the_error_is() {
    all::<RetryPolicy<Local>>();
    all::<RetryBudget>();
    all::<Backoff>();
    all::<(Decision, StopReason, AttemptInfo, InvalidRetry, Exhausted<std::io::ErrorKind>)>();
}

#[test]
fn run_is_send_when_the_operation_is_even_if_the_error_is_not() {
    let policy = RetryPolicy::<Local>::fixed(ms(1));
    is_send(&policy.run(|_| async { Err::<(), _>(Local(Rc::default())) }));
}
