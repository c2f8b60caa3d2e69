//! Every public future and stream of a running pipeline, dropped after its k-th poll, for every k: tasks, places, tickets and
//! the source are all given back.

use std::convert::Infallible;
use std::future::Future;

use flowgate::pipeline::{BoxStage, Monitor};
use flowgate::{Batch, Par, Pipeline};
use futures::{StreamExt as _, sink, stream};
use tokio::time::{advance, sleep};

use super::super::support::world::Pace;
use super::super::support::{Counted, HOUR, ms, settle};
use super::*;

type Tested = Pin<Box<dyn Future<Output = ()>>>;
type Stages = Pipeline<Counted, BoxStage<Counted, Vec<Counted>>>;

const ITEMS: u64 = 7;
const BOUND: usize = 5;
/// More polls than any of these futures needs.
const ENDLESS: usize = 200;

/// One of everything that holds items.
fn stages() -> Stages {
    Pipeline::new()
        .max_in_flight(BOUND)
        .output_buffer(1)
        .buffer(2)
        .map_async(Par::ordered(2), |item: Counted| async move {
            if item.id % 2 == 0 {
                sleep(ms(1)).await;
            }
            item
        })
        .batch(Batch::of(2).within(ms(3)))
        .buffer(1)
        .boxed()
}

/// What a case is about, and what must be left of it: nothing.
struct Case {
    tally: Tally,
    fates: Fates,
    inside: Gauge,
    monitor: Option<Monitor>,
}

impl Case {
    fn new() -> Self {
        Self { tally: Tally::new(), fates: Fates::default(), inside: Gauge::new(), monitor: None }
    }

    /// Items that come one after another, each with a ticket, and never while [`BOUND`] are inside.
    fn source(&self) -> Source<Envelope<Counted>> {
        let (tally, fates, inside) = (self.tally.clone(), self.fates.clone(), self.inside.clone());
        let items = stream::unfold(0, move |n| {
            assert!(inside.now() < BOUND, "asked for an item while {BOUND} are inside");
            let item = (n < ITEMS).then(|| {
                let (guard, ticket) = (inside.enter(), fates.ticket());
                let both = Ticket::new(move |settled| {
                    drop(guard);
                    if settled == Settled::Acked { ticket.ack() } else { drop(ticket) }
                });
                Envelope::with(tally.make(n), both)
            });
            async move {
                if n % 3 == 2 {
                    tokio::task::yield_now().await;
                }
                item.map(|item| (item, n + 1))
            }
        });
        self.fates.plain(items)
    }

    fn run(&mut self) -> Running<Vec<Counted>> {
        let running = stages().run_envelopes(self.source()).unwrap();
        self.monitor = Some(running.monitor());
        running
    }

    async fn assert_nothing_left(&self, about: &str) {
        settle().await;
        assert_eq!(alive_tasks(), 0, "{about}: tasks are left");
        assert_eq!(self.tally.alive(), 0, "{about}: items are left");
        assert_eq!(self.inside.now(), 0, "{about}: places are kept");
        assert!(self.fates.is_gone(), "{about}: the source is still there");
        assert_eq!(self.fates.acked() + self.fates.nacked(), self.fates.issued(), "{about}: {:?}", self.fates);
        assert!(self.monitor.as_ref().is_none_or(|monitor| monitor.report().is_none()), "{about}: the run is kept");
    }
}

/// A name, and what is polled.
type Named = (&'static str, fn(&mut Case) -> Tested);

fn futures_of_running() -> Vec<Named> {
    vec![
        ("join", |case| {
            let running = case.run();
            Box::pin(async move {
                let report = running.join().await.unwrap();
                assert_eq!((report.settled, report.is_balanced()), (ITEMS, true));
            })
        }),
        ("drain", |case| {
            let running = case.run();
            Box::pin(async move { assert_balanced(&running.drain(HOUR).await.unwrap()) })
        }),
        ("drain, too short", |case| {
            let running = case.run();
            Box::pin(async move { assert_balanced(&running.drain(ms(1)).await.unwrap()) })
        }),
        ("forward", |case| {
            let running = case.run();
            Box::pin(async move {
                let sink = sink::unfold((), |(), batch: Vec<Counted>| async move {
                    sleep(ms(2)).await;
                    drop(batch);
                    Ok::<_, Infallible>(())
                });
                assert_balanced(&running.forward(sink).await.unwrap());
            })
        }),
        ("forward, and the sink fails", |case| {
            let running = case.run();
            Box::pin(async move {
                let sink = sink::unfold(0, |n, batch: Vec<Counted>| async move {
                    tokio::task::yield_now().await;
                    drop(batch);
                    if n == 1 { Err("full") } else { Ok(n + 1) }
                });
                let error = running.forward(sink).await.unwrap_err();
                assert_eq!(error.stage(), "sink");
                assert_balanced(error.report());
            })
        }),
    ]
}

fn streams_of_outputs() -> Vec<Named> {
    vec![
        ("Running", |case| {
            let running = case.run();
            Box::pin(async move {
                let items: Vec<_> = running.collect::<Vec<_>>().await.into_iter().flatten().collect();
                assert_eq!(items.len() as u64, ITEMS);
            })
        }),
        ("Running, then join", |case| {
            let mut running = case.run();
            Box::pin(async move {
                drop(running.next().await);
                running.close();
                while running.next().await.is_some() {}
                assert_balanced(&running.join().await.unwrap());
            })
        }),
        ("Envelopes", |case| {
            let mut outputs = case.run().envelopes();
            Box::pin(async move {
                let mut held = None;
                while let Some(envelope) = outputs.next().await {
                    // One at a time is acknowledged late, and the last never.
                    drop(held.replace(envelope).map(Envelope::ack));
                }
            })
        }),
        ("Applied", |case| {
            let tally = case.tally.clone();
            let items = case.fates.plain(stream::iter(0..ITEMS).map(move |n| tally.make(n)));
            let mut applied = Box::pin(stages().apply(items).unwrap());
            Box::pin(async move {
                while let Some(batch) = applied.next().await {
                    drop(batch.unwrap());
                    tokio::task::yield_now().await;
                }
            })
        }),
    ]
}

async fn step(pace: Pace) {
    match pace {
        Pace::Still => {}
        Pace::Yield => tokio::task::yield_now().await,
        Pace::Settle => {
            settle().await;
            advance(ms(1)).await;
        }
    }
}

/// Polls it up to `polls` times, then drops it. Whether it was ready.
async fn poll_then_drop(make: fn(&mut Case) -> Tested, pace: Pace, polls: usize, about: &str) -> bool {
    let mut case = Case::new();
    let mut tested = make(&mut case);
    let mut ready = false;
    for _ in 0..polls {
        ready = futures::poll!(tested.as_mut()).is_ready();
        if ready {
            break;
        }
        step(pace).await;
    }
    drop(tested);
    case.assert_nothing_left(about).await;
    ready
}

/// Seen to fail: neither the drop of a pipeline cancels it nor are its tasks aborted when nobody owns them.
#[tokio::test(start_paused = true)]
async fn everything_of_a_running_pipeline_can_be_dropped_at_every_poll() {
    for (name, make) in futures_of_running().into_iter().chain(streams_of_outputs()) {
        for pace in [Pace::Still, Pace::Yield, Pace::Settle] {
            for polls in 0.. {
                let about = format!("{name}, {pace:?}, poll {polls}");
                let ready = poll_then_drop(make, pace, polls, &about).await;
                // Only where time passes does each of them come to its end.
                if ready || (pace == Pace::Still && polls == 3) || (pace == Pace::Yield && polls == 30) {
                    println!("{about}");
                    break;
                }
                assert!(polls < ENDLESS, "{about}: it is never ready");
            }
        }
    }
}
