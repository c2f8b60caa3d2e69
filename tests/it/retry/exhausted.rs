//! What `run` returns when it gives up.

use std::error::Error;
use std::io;
use std::time::Duration;

use flowgate::retry::{Exhausted, RetryPolicy, StopReason};

use super::ms;

async fn give_up(policy: RetryPolicy<io::Error>) -> Exhausted<io::Error> {
    policy.run(|_| async { Err::<(), _>(io::Error::other("down")) }).await.expect_err("never succeeds")
}

#[tokio::test(start_paused = true)]
async fn the_last_error_is_kept_as_the_source() {
    let gone = give_up(RetryPolicy::none()).await;
    assert_eq!(gone.to_string(), "gave up after 1 attempt in 0ns: all attempts are used up");
    assert_eq!(gone.source().map(ToString::to_string).as_deref(), Some("down"));
    assert_eq!(gone.error().map(io::Error::kind), Some(io::ErrorKind::Other));
    assert_eq!(gone.into_error().map(|error| error.to_string()).as_deref(), Ok("down"));
}

#[tokio::test(start_paused = true)]
async fn attempts_reason_and_time_are_told() {
    let gone = give_up(RetryPolicy::from_delays(|_| Some(ms(500))).max_attempts(4)).await;
    assert_eq!((gone.attempts(), gone.stop()), (4, StopReason::MaxAttempts));
    assert!((ms(1_500)..ms(1_510)).contains(&gone.elapsed()), "{gone}");
    assert!(gone.to_string().starts_with("gave up after 4 attempts in 1.5"), "{gone}");
}

#[tokio::test(start_paused = true)]
async fn an_invalid_policy_attempts_nothing_and_says_which_option() {
    let policy = RetryPolicy::<io::Error>::exponential(ms(1)).max_attempts(0);
    let gone = policy.run(|_| async { unreachable!("not attempted") as Result<(), _> }).await.expect_err("invalid");
    assert_eq!((gone.attempts(), gone.stop(), gone.elapsed()), (0, StopReason::InvalidPolicy, Duration::ZERO));
    assert!(gone.error().is_none());
    assert!(gone.source().is_some_and(|source| source.to_string().contains("max_attempts")));
    assert_eq!(policy.retry_budget().map(|budget| budget.balance(Duration::ZERO)), Some(100), "nothing deposited");
    assert_eq!(gone.into_error().map(|_| ()).expect_err("no error").option(), "max_attempts");
}
