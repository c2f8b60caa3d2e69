//! What was dealt out comes together again in its order, whatever became of it in between; and tickets go through fans.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flowgate::pipeline::{BoxStage, Envelope, InvalidPipeline, Settled, Ticket, sequence};
use flowgate::{Attempt, Leg, OnError, OnLag, Par, Pipeline, broadcast, fan_out};
use futures::{Stream, StreamExt as _, poll, stream};

use crate::support::{ms, on_both_runtimes, settle, soon};

type Branch = Pipeline<u64, BoxStage<u64, u64>>;

/// Deals `items` out to three branches that run `branch`, and puts what they make into order again.
fn dealt(items: u64, window: usize, branch: impl Fn() -> Branch) -> impl Stream<Item = Envelope<u64>> {
    let (numbered, order) = sequence(stream::iter(0..items), window).unwrap();
    let branches = fan_out(numbered, 3, 4).unwrap();
    order.restore(
        branches.into_iter().map(|items| branch().run_envelopes(items).unwrap().envelopes()).collect::<Vec<_>>(),
    )
}

fn delay(n: u64) -> Duration {
    ms(n * 7 % 13)
}

on_both_runtimes! {
    /// Filtered, failed, expanded, delayed and out of order within each branch: what is left comes as if one after another.
    ///
    /// Seen to fail: a ticket that is settled on the way leaves its number open.
    async fn restore_order_with_filtered_items_never_stalls() {
        let branch = || {
            Pipeline::new()
                .filter(|n: &u64| n % 4 != 1)
                .try_map_async(Par::unordered(3), |n: Attempt<u64>| async move {
                    tokio::time::sleep(delay(*n)).await;
                    if *n % 5 == 0 { Err("five") } else { Ok(*n) }
                })
                .on_error(OnError::skip())
                .flat_map(|n| std::iter::repeat_n(n, (n % 3) as usize).collect::<Vec<_>>())
                .boxed()
        };
        for window in [1, 2, 5, 64] {
            let restored: Vec<_> = dealt(100, window, branch).map(Envelope::ack).collect().await;
            let one_by_one = (0..100).filter(|n| n % 4 != 1 && n % 5 != 0);
            let expected: Vec<_> = one_by_one.flat_map(|n| std::iter::repeat_n(n, (n % 3) as usize)).collect();
            assert_eq!(restored, expected, "window {window}");
        }
    }

    /// A reader that acknowledges nothing gets everything all the same: what has arrived is not waited for.
    ///
    /// Seen to fail: a number is done only when its item is acknowledged.
    async fn what_is_read_and_not_acknowledged_stops_nothing() {
        let held: Vec<_> = dealt(50, 3, || Pipeline::new().map(|n| n + 1).boxed()).collect().await;
        assert!(held.into_iter().map(Envelope::ack).eq(1..=50));
    }
}

/// No more numbers are out than the window says, however far the other branches could go on.
#[tokio::test(start_paused = true)]
async fn a_late_item_holds_back_no_more_than_the_window() {
    let taken = Arc::new(AtomicU64::new(0));
    let counted = taken.clone();
    let source = stream::iter(0..1_000_u64).inspect(move |_| _ = counted.fetch_add(1, Ordering::SeqCst));
    let (numbered, order) = sequence(source, 8).unwrap();
    let slow_first = Pipeline::new().map_async(Par::unordered(16), |n: u64| async move {
        tokio::time::sleep(if n == 0 { ms(1_000) } else { Duration::ZERO }).await;
        n
    });
    let mut restored = order.restore([slow_first.run_envelopes(numbered).unwrap().envelopes()]);
    assert!(poll!(restored.next()).is_pending());
    tokio::time::sleep(ms(500)).await;
    assert!(poll!(restored.next()).is_pending());
    assert_eq!(taken.load(Ordering::SeqCst), 8);
    let all: Vec<_> = soon(restored.map(Envelope::ack).collect()).await;
    assert!(all.into_iter().eq(0..1_000));
}

#[tokio::test]
async fn a_window_of_zero_is_refused() {
    let refused = sequence(stream::iter([1]), 0).unwrap_err();
    assert!(matches!(&refused, InvalidPipeline::Option { option: "window", .. }));
    assert!(refused.to_string().contains("\"sequence\""), "{refused}");
}

/// An item with a ticket that says when it is settled.
fn owed(settled: &tokio::sync::mpsc::UnboundedSender<Settled>) -> Envelope<u32> {
    let settled = settled.clone();
    Envelope::with(7, Ticket::new(move |how| settled.send(how).unwrap()))
}

/// An item that goes to several legs is acknowledged when the required ones have; a leg that nobody waits for holds nothing.
///
/// Seen to fail: a best-effort leg gets a part of the ticket.
#[tokio::test(start_paused = true)]
async fn best_effort_leg_does_not_hold_ack() {
    let (settled, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let legs = [Leg::required(4), Leg::required(4), Leg::best_effort(4, OnLag::DropOldest)];
    let mut branches = broadcast(stream::iter([owed(&settled)]), legs).unwrap();
    let unread = branches.pop().unwrap();
    let (mut second, mut first) = (branches.pop().unwrap(), branches.pop().unwrap());
    assert_eq!(first.next().await.map(Envelope::ack), Some(7));
    settle().await;
    assert!(seen.try_recv().is_err(), "one required leg has not read it");
    assert_eq!(second.next().await.map(Envelope::ack), Some(7));
    settle().await;
    assert_eq!(seen.try_recv(), Ok(Settled::Acked), "the third leg still has it");
    drop(unread);

    let legs = [Leg::required(4), Leg::required(4)];
    let mut branches = broadcast(stream::iter([owed(&settled)]), legs).unwrap();
    let nacked = branches[0].next().await;
    drop((nacked, branches[1].next().await.map(Envelope::ack)));
    settle().await;
    assert_eq!(seen.try_recv(), Ok(Settled::Nacked), "one leg that drops it is enough");
}
