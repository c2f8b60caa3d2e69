//! Models of a sequence: whoever waits for its turn, or for room, sleeps through nothing.

use crate::kernel::sequence::{Advanced, Sequence};
use crate::support::{Model, Parker};
use loom::thread;
use std::sync::Arc;
use std::task::Poll;

fn finish(sequence: &Sequence, number: u64) {
    let Advanced { issuer, reader } = sequence.finish(number);
    issuer.into_iter().chain(reader).for_each(std::task::Waker::wake);
}

/// Two threads finish numbers out of order while the reader waits for all of them to be done.
///
/// Seen to fail: a number that is done lets the reader sleep.
#[test]
fn finish_and_turn() {
    Model::new("finish_and_turn", 589).check(|| {
        let sequence = Arc::new(Sequence::new(3));
        for number in 0..3 {
            assert_eq!(sequence.issue(), number);
        }
        let others: Vec<_> = [vec![1], vec![2, 0]]
            .into_iter()
            .map(|numbers| {
                let sequence = sequence.clone();
                thread::spawn(move || numbers.into_iter().for_each(|number| finish(&sequence, number)))
            })
            .collect();
        let parker = Parker::new();
        let mut seen = 0;
        while seen < 3 {
            match sequence.poll_turn(seen, parker.waker()) {
                Poll::Ready(next) => {
                    assert!(next > seen, "numbers are done in order");
                    seen = next;
                }
                Poll::Pending => parker.park(),
            }
        }
        others.into_iter().for_each(|other| other.join().expect("it ends"));
    });
}

/// The issuer has no room while another thread finishes what is out: it goes on, and never has more out than the window.
///
/// Seen to fail: a number that is done makes room, and nobody is told.
#[test]
fn finish_and_room() {
    Model::new("finish_and_room", 17).check(|| {
        let sequence = Arc::new(Sequence::new(1));
        let parker = Parker::new();
        assert!(sequence.poll_room(parker.waker()).is_ready());
        assert_eq!(sequence.issue(), 0);
        let other = {
            let sequence = sequence.clone();
            thread::spawn(move || finish(&sequence, 0))
        };
        while sequence.poll_room(parker.waker()).is_pending() {
            parker.park();
        }
        assert_eq!(sequence.issue(), 1);
        assert!(sequence.poll_room(parker.waker()).is_pending(), "one is out");
        other.join().expect("it ends");
    });
}
