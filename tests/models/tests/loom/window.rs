//! Models of cells that go round: from a submitter to the engine, to a runner, to an inbox and back, time and again.

use crate::kernel::engine::Bin;
use crate::support::{Act, Launch, Model, Pool, Window, swift};

/// Two jobs are run together, and the cell of the first is used for a third: it comes back as that.
///
/// Seen to fail: a cell that is used again comes back under its old key.
#[test]
fn refill_and_run() {
    Model::small("refill_and_run", 100).check(|| {
        let pool = Pool::new(1, 2, Launch::Later);
        let runner = swift(&pool, 2);
        let mut window = Window::new(&pool);
        for id in [0, 1] {
            window.submit(pool.job(id, &[Act::Succeed]));
        }
        pool.launch(Launch::Threads);
        pool.spawn(|_| runner.work());
        for id in [0, 1] {
            let (job, outcome) = window.wait();
            assert_eq!((job, outcome.bin), (id, Bin::Succeeded));
        }
        window.submit(pool.job(2, &[Act::Yield]));
        assert_eq!(window.refilled, 1, "nobody else holds what has come out of an inbox");
        let (job, outcome) = window.wait();
        assert_eq!((job, outcome.bin), (2, Bin::Succeeded));
        drop((window, outcome));
        pool.settle_up();
        assert_eq!(pool.record.started()[2..], [0, 1, 2]);
        pool.assert_idle(5);
        pool.assert_conserved();
    });
}

/// A submitter leaves while its jobs are run together, and one of them is cancelled: what comes back is dropped.
///
/// Seen to fail: an inbox that is closed keeps what is delivered.
#[test]
fn leave_and_cancel() {
    Model::new("leave_and_cancel", 430).check(|| {
        let pool = Pool::new(1, 2, Launch::Later);
        let runner = swift(&pool, 2);
        let mut window = Window::new(&pool);
        let tickets = [0, 1].map(|id| window.submit(pool.job(id, &[Act::Succeed])));
        pool.spawn(|_| runner.work());
        pool.spawn(move |pool| pool.cancel(tickets[1]));
        drop(window);
        pool.settle_up();
        assert_eq!(pool.record.settled(0), Some(Bin::Succeeded));
        assert!(matches!(pool.record.settled(1), Some(Bin::Succeeded | Bin::Cancelled)));
        pool.assert_idle(4);
        pool.assert_conserved();
    });
}
