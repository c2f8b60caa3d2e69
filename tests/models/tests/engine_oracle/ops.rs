//! The random operations.

use crate::kernel::engine::{Limits, Overflow};
use crate::world::STEP;
use proptest::prelude::*;

/// On what terms a job is submitted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) lane: Option<u64>,
    /// In steps of the clock.
    pub(crate) deadline: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Op {
    Admit(Terms),
    AdmitOrWait(Terms),
    Reserve,
    PollWait(usize, bool),
    LeaveLine(usize),
    Redeem(usize),
    Release(usize),
    AdmitMany(usize),
    Hold(usize),
    /// One batch's, for fewer jobs by so many.
    Fill(usize, usize),
    /// One of the steps that a runner can take.
    Run(usize, usize, usize),
    Pass(u64),
    Ring,
    /// The timer looks, time passes, and it looks again.
    RingTwice(u64),
    Cancel(usize),
    Withdraw(usize),
    Publish,
    PollIdle(usize),
    LeaveIdlers(usize),
    Pause,
    Resume,
    SetConcurrency(usize),
    Close(bool),
    Sweep(bool),
}

fn terms() -> impl Strategy<Value = Terms> {
    let lane = prop_oneof![3 => Just(None), 2 => Just(Some(0)), 1 => Just(Some(1)), 1 => Just(Some(2))];
    let deadline = prop_oneof![3 => Just(None), 1 => (1..6_u64).prop_map(Some)];
    (lane, deadline).prop_map(|(lane, deadline)| Terms { lane, deadline })
}

pub(crate) fn op() -> impl Strategy<Value = Op> {
    let n = any::<usize>;
    prop_oneof![
        10 => terms().prop_map(Op::Admit),
        5 => terms().prop_map(Op::AdmitOrWait),
        2 => Just(Op::Reserve),
        2 => (n(), any::<bool>()).prop_map(|(waiter, other)| Op::PollWait(waiter, other)),
        2 => n().prop_map(Op::LeaveLine),
        2 => n().prop_map(Op::Redeem),
        1 => n().prop_map(Op::Release),
        3 => (0..6_usize).prop_map(Op::AdmitMany),
        2 => (0..4_usize).prop_map(Op::Hold),
        2 => (0..4_usize, 0..3_usize).prop_map(|(nth, fewer)| Op::Fill(nth, fewer)),
        60 => (n(), n(), n()).prop_map(|(runner, step, choice)| Op::Run(runner, step, choice)),
        3 => (0..6_u64).prop_map(Op::Pass),
        4 => Just(Op::Ring),
        3 => (1..5_u64).prop_map(Op::RingTwice),
        4 => n().prop_map(Op::Cancel),
        1 => n().prop_map(Op::Withdraw),
        4 => Just(Op::Publish),
        2 => n().prop_map(Op::PollIdle),
        1 => n().prop_map(Op::LeaveIdlers),
        1 => Just(Op::Pause),
        2 => Just(Op::Resume),
        2 => n().prop_map(Op::SetConcurrency),
        1 => prop::bool::weighted(0.3).prop_map(Op::Close),
        1 => any::<bool>().prop_map(Op::Sweep),
    ]
}

pub(crate) fn limits() -> impl Strategy<Value = Limits> {
    let overflow = prop_oneof![Just(Overflow::Wait), Just(Overflow::Reject), Just(Overflow::DropOldest)];
    let bounds = (1..=3_usize, 0..=3_usize, 0..=4_usize, 1..=4_usize, 1..=3_usize);
    (bounds, proptest::option::of(1..6_u64), overflow).prop_map(
        |((concurrency, queue, parked, per_lane, threads), deadline, overflow)| {
            let capacity = concurrency + queue;
            let max_parked = parked.min(capacity);
            let deadline = deadline.map(|steps| steps * STEP);
            Limits { concurrency, capacity, max_parked, per_lane, threads, deadline, overflow }
        },
    )
}
