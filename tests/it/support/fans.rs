//! What reads the outputs of fans, for the drop harness.

use flowgate::{Branch, FanIn, Leg, OnLag, broadcast, fan_in, fan_out, merge_sorted_by, partition_by};
use futures::future::join_all;
use futures::{Stream, StreamExt as _, stream};
use std::sync::Arc;

use super::Counted;
use super::drop_at::{Case, Job, Tested};
use super::world::{Situation, World};

pub(crate) fn fans() -> Vec<Case> {
    vec![
        case("fan_out", |world| Box::pin(read_all(fan_out(values(world), 3, 2).unwrap()))),
        case("partition_by", |world| {
            Box::pin(read_all(partition_by(values(world), 3, 2, |item| item.id % 5).unwrap()))
        }),
        case("broadcast", |world| {
            let legs = [Leg::required(2), Leg::required(3), Leg::best_effort(2, OnLag::DropOldest)];
            Box::pin(read_all(broadcast(values(world).map(Arc::new), legs).unwrap()))
        }),
        case("fan_in", |world| {
            let inputs = fan_out(values(world), 3, 2).unwrap();
            Box::pin(async move {
                let ids: Vec<_> = fan_in(inputs, FanIn::RoundRobin).map(|item| item.id).collect().await;
                assert_eq!(ids.len(), VALUES as usize);
            })
        }),
        case("merge_sorted_by", |world| {
            let inputs = [values(world).boxed(), fan_out(values(world), 1, 2).unwrap().remove(0).boxed()];
            Box::pin(async move {
                let merged = merge_sorted_by(inputs, |a: &Counted, b| a.id.cmp(&b.id));
                assert!(merged.map(|item| item.id).collect::<Vec<_>>().await.is_sorted());
            })
        }),
    ]
}

fn case(name: &'static str, make: for<'a> fn(&'a World) -> Tested<'a>) -> Case {
    Case { name, make, job: Job::Detached, situations: &[Situation::Room] }
}

const VALUES: u64 = 12;

/// Values that count their lives, with a wait before each third.
fn values(world: &World) -> impl Stream<Item = Counted> + Send + Unpin + use<> {
    let values: Vec<_> = (0..VALUES).map(|id| world.tally.make(id)).collect();
    let waiting = |value: Counted| async move {
        if value.id % 3 == 2 {
            tokio::task::yield_now().await;
        }
        value
    };
    stream::iter(values).then(waiting).boxed()
}

async fn read_all<T>(branches: Vec<Branch<T>>) {
    let reading = branches.into_iter().map(|branch| {
        branch.for_each(|item| async move {
            tokio::task::yield_now().await;
            drop(item);
        })
    });
    join_all(reading).await;
}
