//! Models of shared loads: one load a key, an outcome for everybody who waits, and none left behind.

use crate::kernel::waits::Waits;
use crate::support::{Board, LoadAnswer as Answer, Loader, Model, Nested, Parker, REFUSED};
use std::sync::Arc;
use std::task::Poll;

/// Two callers ask for a key at once: there is one load, and both have its value.
///
/// Seen to fail: a flight that lands wakes nobody.
#[test]
fn one_load() {
    Model::new("one_load", 1409).check(|| {
        let board = Board::new();
        let second = board.clone();
        let second = loom::thread::spawn(move || second.get_or_load(Loader::Value(7)));
        let first = board.get_or_load(Loader::Value(7));
        let second = second.join().expect("the second caller has not panicked");
        for answer in [first, second] {
            assert!(matches!(answer, Answer::Loaded(7) | Answer::Hit(7)));
        }
        board.end();
        assert_eq!((board.loads(), board.entry()), (1, Some(7)));
    });
}

/// The leader leaves while the load is under way and a follower waits: the follower has the value of the same load.
///
/// Seen to fail: the first to leave abandons the load.
#[test]
fn leader_leaves() {
    Model::new("leader_leaves", 580).check(|| {
        let board = Board::new();
        let leader = board.look_up(Loader::Value(7)).expect_err("there is no entry");
        match board.look_up(Loader::Value(8)) {
            Ok(value) => {
                drop(leader);
                assert_eq!(value, 7);
            }
            Err(follower) => {
                let leader = loom::thread::spawn(move || drop(leader));
                assert_eq!(follower.wait(), Answer::Loaded(7));
                leader.join().expect("the leader has not panicked");
            }
        }
        board.end();
        assert_eq!((board.loads(), board.entry()), (1, Some(7)));
    });
}

/// The only waiter leaves while the load ends: the load is stored or dropped, its outcome is dropped once.
///
/// Seen to fail: whoever leaves gives up a seat, though the flight has landed.
#[test]
fn last_waiter_leaves() {
    Model::small("last_waiter_leaves", 14).check(|| {
        let board = Board::new();
        let mut waiter = board.look_up(Loader::Value(7)).expect_err("there is no entry");
        let parker = Parker::new();
        let answer = waiter.poll(&parker);
        assert!(matches!(answer, Poll::Pending | Poll::Ready(Answer::Loaded(7))));
        drop(waiter);
        board.end();
        assert!(matches!(board.entry(), None | Some(7)));
        assert!(answer.is_pending() || board.entry() == Some(7), "what was seen is stored");
    });
}

/// The only waiter of a load that never ends leaves: the task is woken and drops it.
///
/// Seen to fail: the last waiter leaves without waking the task.
#[test]
fn load_is_abandoned() {
    Model::small("load_is_abandoned", 6).check(|| {
        let board = Board::new();
        let waiter = board.look_up(Loader::Never).expect_err("there is no entry");
        drop(waiter);
        board.end();
        assert_eq!(board.entry(), None);
    });
}

/// A caller comes while the last waiter leaves: it has a value, of the same load or of one of its own.
///
/// Seen to fail: an abandoned flight takes followers.
#[test]
fn join_and_abandon() {
    Model::new("join_and_abandon", 1205).check(|| {
        let board = Board::new();
        let leader = board.look_up(Loader::Value(7)).expect_err("there is no entry");
        let leaving = loom::thread::spawn(move || drop(leader));
        let answer = board.get_or_load(Loader::Value(8));
        leaving.join().expect("the leader has not panicked");
        board.end();
        match answer {
            Answer::Loaded(8) => assert_eq!((board.loads(), board.entry()), (2, Some(8))),
            _ => assert_eq!((board.loads(), board.entry()), (1, Some(7))),
        }
    });
}

/// A load panics while a second caller comes: whoever waits is told, and the key is free for the next load.
///
/// Seen to fail: a load that brings no value stays under its key.
#[test]
fn panic_frees_the_key() {
    Model::new("panic_frees_the_key", 3468).check(|| {
        let board = Board::new();
        let second = board.clone();
        let second = loom::thread::spawn(move || second.get_or_load(Loader::Panic));
        assert_eq!(board.get_or_load(Loader::Panic), Answer::Panicked);
        assert_eq!(second.join().expect("the second caller has not panicked"), Answer::Panicked);
        board.end();
        assert_eq!(board.get_or_load(Loader::Value(7)), Answer::Loaded(7));
        board.end();
    });
}

/// A write comes while a load ends: the waiter has what was loaded, the map keeps what was written.
///
/// Seen to fail: whoever stores a value leaves the load of its key under way.
#[test]
fn write_and_store() {
    Model::new("write_and_store", 177).check(|| {
        let board = Board::new();
        let waiter = board.look_up(Loader::Value(7)).expect_err("there is no entry");
        let writer = board.clone();
        let writer = loom::thread::spawn(move || writer.write(Some(9)));
        assert_eq!(waiter.wait(), Answer::Loaded(7));
        writer.join().expect("the writer has not panicked");
        board.end();
        assert_eq!(board.entry(), Some(9), "a stale load does not overwrite");
    });
}

/// A key is removed while a load of it is under way: the next caller does not get what was loaded before.
///
/// Seen to fail: removing an absent key leaves its load under way.
#[test]
fn remove_and_load() {
    Model::new("remove_and_load", 2301).check(|| {
        let board = Board::new();
        let before = board.look_up(Loader::Value(7)).expect_err("there is no entry");
        let remover = board.clone();
        let remover = loom::thread::spawn(move || {
            remover.write(None);
            remover.get_or_load(Loader::Value(8))
        });
        assert_eq!(before.wait(), Answer::Loaded(7));
        assert_eq!(remover.join().expect("the remover has not panicked"), Answer::Loaded(8));
        board.end();
        assert_eq!(board.entry(), Some(8));
    });
}

/// A waiter polls, then moves to another task and sleeps there, while the load ends: it is woken.
///
/// Seen to fail: a new waker is stored without looking whether the flight has just landed.
#[test]
fn another_waker() {
    Model::new("another_waker", 48).check(|| {
        let board = Board::new();
        let mut waiter = board.look_up(Loader::Value(7)).expect_err("there is no entry");
        let before = Parker::new();
        let early = waiter.poll(&before);
        let late = waiter.wait();
        assert_eq!(late, Answer::Loaded(7));
        assert!(early.is_pending() || early == Poll::Ready(late), "an outcome does not change");
        board.end();
    });
}

/// Two loads wait for each other's keys, each having begun on its own: one at most is refused, and both end.
///
/// Seen to fail: an edge is looked for and made in two lock operations.
#[test]
fn waiting_for_each_other() {
    Model::new("waiting_for_each_other", 2816).check(|| {
        let waits = Arc::new(Waits::new());
        let (left, right) = (Board::new(), Board::new());
        let nest = |own, other, board: &Arc<Board>| {
            let (waits, board) = (waits.clone(), board.clone());
            Loader::Nest(Nested { waits, own, other, board })
        };
        let first = left.look_up(nest(1, 2, &right)).expect_err("there is no entry");
        let answer = right.get_or_load(nest(2, 1, &left));
        let first = first.wait();
        left.end();
        right.end();
        let refused = [first, answer].iter().filter(|answer| **answer == Answer::Loaded(REFUSED)).count();
        assert!(refused <= 1, "one wait closes the circle, and only that one is refused");
        for (from, to) in [(1, 2), (2, 1)] {
            assert_eq!(waits.add(from, to), Ok(()), "no wait is left");
            waits.remove(from, to);
        }
    });
}
