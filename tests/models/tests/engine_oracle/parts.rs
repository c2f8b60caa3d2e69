//! The slab with its lists, and the alarms, against std's collections.

use crate::config;
use crate::kernel::alarms::{Alarm, Alarms, NEVER, Ticks};
use crate::kernel::slab::{Fifo, Key, Slab};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};

#[derive(Clone, Copy, Debug)]
enum ListOp {
    Insert,
    Remove(usize),
    PushBack(usize),
    PushFront(usize),
    PopFront,
    Unlink(usize),
}

fn list_op() -> impl Strategy<Value = ListOp> {
    prop_oneof![
        3 => Just(ListOp::Insert),
        1 => any::<usize>().prop_map(ListOp::Remove),
        3 => any::<usize>().prop_map(ListOp::PushBack),
        1 => any::<usize>().prop_map(ListOp::PushFront),
        1 => Just(ListOp::PopFront),
        1 => any::<usize>().prop_map(ListOp::Unlink),
    ]
}

/// A slab, a list through it, and the same in std's collections: values by key, and the listed keys.
#[derive(Debug)]
struct Lists {
    slab: Slab<u32>,
    fifo: Fifo,
    held: BTreeMap<usize, (Key, u32)>,
    listed: VecDeque<Key>,
    next: u32,
}

impl Lists {
    fn nth(&self, listed: bool, n: usize) -> Option<Key> {
        let keys: Vec<_> =
            self.held.values().map(|(key, _)| *key).filter(|key| self.listed.contains(key) == listed).collect();
        (!keys.is_empty()).then(|| keys[n % keys.len()])
    }

    fn apply(&mut self, op: ListOp) {
        match op {
            ListOp::Insert => {
                self.next += 1;
                let key = self.slab.insert(self.next);
                assert!(self.held.insert(key.index(), (key, self.next)).is_none(), "a held place was given out");
            }
            ListOp::Remove(n) => {
                if let Some(key) = self.nth(false, n) {
                    let (_, value) = self.held.remove(&key.index()).expect("a held key");
                    assert_eq!(self.slab.take(key), value);
                }
            }
            ListOp::PushBack(n) => {
                if let Some(key) = self.nth(false, n) {
                    self.fifo.push_back(&mut self.slab, key);
                    self.listed.push_back(key);
                }
            }
            ListOp::PushFront(n) => {
                if let Some(key) = self.nth(false, n) {
                    self.fifo.push_front(&mut self.slab, key);
                    self.listed.push_front(key);
                }
            }
            ListOp::PopFront => assert_eq!(self.fifo.pop_front(&mut self.slab), self.listed.pop_front()),
            ListOp::Unlink(n) => {
                if let Some(key) = self.nth(true, n) {
                    self.fifo.unlink(&mut self.slab, key);
                    self.listed.retain(|listed| *listed != key);
                }
            }
        }
    }

    fn check(&self, most: usize) {
        assert_eq!(self.slab.len(), self.held.len());
        assert_eq!(self.slab.keys(), self.held.values().map(|(key, _)| *key).collect::<Vec<_>>());
        assert!(self.held.keys().all(|index| *index < most), "entries never outnumber the most values held at once");
        for (key, value) in self.held.values() {
            assert_eq!(self.slab.get(*key), Some(value));
        }
        assert_eq!((self.fifo.len(), self.fifo.is_empty()), (self.listed.len(), self.listed.is_empty()));
        assert_eq!(self.fifo.front(), self.listed.front().copied());
    }
}

#[derive(Clone, Copy, Debug)]
enum AlarmOp {
    Set(usize, Ticks),
    Clear(usize),
    PopDue(Ticks),
}

fn alarm_op() -> impl Strategy<Value = AlarmOp> {
    prop_oneof![
        4 => (any::<usize>(), 0..40_u64).prop_map(|(owner, due)| AlarmOp::Set(owner, due)),
        2 => any::<usize>().prop_map(AlarmOp::Clear),
        1 => (0..40_u64).prop_map(AlarmOp::PopDue),
    ]
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_list_in_a_slab_is_a_deque(ops in vec(list_op(), 0..=60)) {
        let mut lists = Lists {
            slab: Slab::new(), fifo: Fifo::new(), held: BTreeMap::new(), listed: VecDeque::new(), next: 0,
        };
        let mut most = 0;
        for op in ops {
            lists.apply(op);
            most = most.max(lists.held.len());
            lists.check(most);
        }
        // The order of the whole list, from front to back.
        while let Some(key) = lists.fifo.pop_front(&mut lists.slab) {
            assert_eq!(Some(key), lists.listed.pop_front());
        }
        assert!(lists.listed.is_empty());
    }

    #[test]
    fn alarms_ring_in_order(ops in vec(alarm_op(), 0..=60)) {
        let mut owners = Slab::new();
        let owners: Vec<_> = (0..12).map(|owner: u32| owners.insert(owner)).collect();
        let mut alarms = Alarms::new();
        let mut set: BTreeMap<usize, (Key, Alarm)> = BTreeMap::new();
        for op in ops {
            match op {
                AlarmOp::Set(owner, due) => {
                    let owner = owners[owner % owners.len()];
                    if let std::collections::btree_map::Entry::Vacant(free) = set.entry(owner.index()) {
                        let alarm = Alarm { due, deadline: due + 1, owner };
                        free.insert((alarms.set(alarm), alarm));
                    }
                }
                AlarmOp::Clear(owner) => {
                    if let Some((key, alarm)) = set.remove(&(owner % owners.len())) {
                        assert_eq!(alarms.clear(key), alarm);
                    }
                }
                AlarmOp::PopDue(now) => {
                    let earliest = set.values().map(|(_, alarm)| alarm.due).min().filter(|due| *due <= now);
                    let popped = alarms.pop_due(now);
                    assert_eq!(popped.map(|alarm| alarm.due), earliest);
                    if let Some(alarm) = popped {
                        assert_eq!(set.remove(&alarm.owner.index()).map(|(_, alarm)| alarm), Some(alarm));
                    }
                }
            }
            assert_eq!(alarms.next_due(), set.values().map(|(_, alarm)| alarm.due).min().unwrap_or(NEVER));
            assert_eq!(alarms.is_empty(), set.is_empty());
            for (key, alarm) in set.values() {
                assert_eq!(alarms.get(*key), *alarm, "an alarm is kept under its key");
            }
        }
        // What is left rings in order.
        let mut last = 0;
        while let Some(alarm) = alarms.pop_due(NEVER) {
            assert!(alarm.due >= last && set.remove(&alarm.owner.index()).is_some());
            last = alarm.due;
        }
        assert!(set.is_empty());
    }
}
