//! One item at a time through three tasks that wait for it.

use flowgate::Pipeline;
use futures::{StreamExt as _, stream};
use tokio::sync::mpsc;

use crate::pipeline::channels::Channel;
use crate::pipeline::handoff::step;
use crate::setup::Setup;

/// Buffers between the stages.
pub fn ours(setup: &Setup) -> u64 {
    let most = setup.shape.capacity;
    let stages = Pipeline::new().map(|n| n).buffer(most).map(|n| n).buffer(most).map(|n: u64| n + 1);
    setup.block_on(async {
        let (sender, receiver) = mpsc::channel(most);
        let source =
            stream::unfold(receiver, |mut receiver| async { receiver.recv().await.map(|item| (item, receiver)) });
        let mut running = stages.output_buffer(most).run(source).expect("a pipeline that can be run");
        let mut sum = 0;
        for item in 0..setup.ops {
            sender.send(item).await.expect("the pipeline reads until its source ends");
            sum += running.next().await.expect("an item comes out for each that goes in");
        }
        drop(sender);
        let report = running.join().await.expect("nothing fails");
        assert_eq!(report.settled, setup.ops);
        sum
    })
}

/// Channels between the stages.
pub fn rival<C: Channel>(setup: &Setup) -> u64 {
    let capacity = setup.shape.capacity;
    setup.block_on(async {
        let (sender, receiver) = C::bounded(capacity);
        let receiver = step::<C>(step::<C>(receiver, capacity, |n| n), capacity, |n| n);
        let mut receiver = step::<C>(receiver, capacity, |n| n + 1);
        let mut sum = 0;
        for item in 0..setup.ops {
            C::send(&sender, item).await;
            sum += C::receive(&mut receiver).await.expect("an item comes out for each that goes in");
        }
        sum
    })
}
