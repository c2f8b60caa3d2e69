//! Loads that are dropped at every poll, whoever drops them and whatever goes on meanwhile.
//!
//! The harness for all public futures has them too; here the others who wait for the same load are watched.

use std::sync::Arc;

use flowgate::{ConcurrentMap, LoadError};

use super::no_task_is_left;
use crate::support::drop_at::drop_each_at_every_poll;
use crate::support::{Counted, Tally, alive_tasks, settle, until};

type Values = ConcurrentMap<u32, Arc<Counted>>;

/// How the load of a case ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Value,
    Error,
    Panic,
    Never,
}

const ENDS: [End; 4] = [End::Value, End::Error, End::Panic, End::Never];

/// Yields three times.
async fn load(tally: Tally, end: End) -> Result<Arc<Counted>, Counted> {
    let value = tally.make(7);
    for _ in 0..3 {
        tokio::task::yield_now().await;
    }
    match end {
        End::Value => Ok(Arc::new(value)),
        End::Error => Err(value),
        End::Panic => panic!("as it was told"),
        End::Never => std::future::pending().await,
    }
}

/// Two callers ask for one key; the first or the second is dropped after `polls` polls.
async fn drop_one(end: End, first: bool, polls: usize) {
    let (map, tally) = (Values::new(), Tally::new());
    let ask = || {
        let tally = tally.clone();
        map.get_or_try_load(1, move || load(tally, end))
    };
    let (mut leader, mut follower) = (Box::pin(ask()), Box::pin(ask()));
    for _ in 0..polls {
        if futures::poll!(leader.as_mut()).is_ready() || futures::poll!(follower.as_mut()).is_ready() {
            return;
        }
        tokio::task::yield_now().await;
    }
    let staying = if first {
        drop(leader);
        follower
    } else {
        drop(follower);
        leader
    };
    if end == End::Never {
        drop(staying);
    } else {
        let answer = staying.await;
        match (end, &answer) {
            (End::Value, Ok(loaded)) => assert_eq!(loaded.value.id, 7),
            (End::Error, Err(LoadError::Failed(error))) => assert_eq!(error.id, 7),
            (End::Panic, Err(LoadError::Panicked(message))) => assert_eq!(&**message, "as it was told"),
            _ => panic!("{end:?}: {answer:?}"),
        }
    }
    no_task_is_left().await;
    let stored = usize::from(end == End::Value);
    assert_eq!((map.len(), tally.alive()), (stored, stored), "{end:?}, {first}, {polls}");
    drop(map);
    assert_eq!(tally.alive(), 0);
}

#[tokio::test(start_paused = true)]
async fn one_of_two_waiters_can_be_dropped_at_every_poll() {
    for end in ENDS {
        for first in [true, false] {
            for polls in 0..8 {
                drop_one(end, first, polls).await;
            }
        }
    }
}

/// A load inside a load: dropping the outer waiter ends both, at every poll.
#[tokio::test(start_paused = true)]
async fn a_nested_load_can_be_dropped_at_every_poll() {
    for end in ENDS {
        for polls in 0..12 {
            let (map, tally) = (Values::new(), Tally::new());
            let (inner, counted) = (map.clone(), tally.clone());
            let nested = async move {
                let own = counted.clone();
                let inner = inner.get_or_try_load(2, move || load(own, end)).await;
                inner.map(|loaded| loaded.value).map_err(|_| counted.make(8))
            };
            let mut outer = Box::pin(map.get_or_try_load(1, || nested));
            for _ in 0..polls {
                if futures::poll!(outer.as_mut()).is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
            drop(outer);
            until("no task is left", || alive_tasks() == 0).await;
            settle().await;
            assert!(map.len() <= 2 && (end == End::Value || map.is_empty()));
            drop(map);
            assert_eq!(tally.alive(), 0, "{end:?}, {polls}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn loads_can_be_dropped_at_every_poll() {
    drop_each_at_every_poll(&["ConcurrentMap::get_or_load", "ConcurrentMap::get_or_try_load"]).await;
}
