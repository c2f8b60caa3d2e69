//! The bugs of the models in `loom/channel.rs`.

use super::*;

pub(super) const BUGS: &[Bug] = &[
    Bug {
        model: "channel::flush_and_park",
        what: "a receiver that has its waker known does not look again for an item",
        file: RECEIVER,
        find: "            // Invariant 6: an item may have come while the waker was cloned.\n            state = self.shared.state.lock();\n",
        put: "            state = self.shared.state.lock();\n            break state.list(place, clone);\n",
    },
    Bug {
        model: "channel::full_and_take",
        what: "a receiver that takes an item does not tell the sender of its place",
        file: RECEIVER,
        find: "    Taken::Item(item, Wakers { sender: state.sender_for_room(), _own: own })\n",
        put: "    Taken::Item(item, Wakers { sender: None, _own: own })\n",
    },
    Bug {
        model: "channel::full_and_watch",
        what: "a look whether anybody is left to read takes the room, and says nothing of it",
        file: SENDER,
        find: "                For::Close => append(&mut self.local, &mut state.items),\n",
        put: "                For::Close => state.receive(&mut self.local, &mut self.room),\n",
    },
    Bug {
        model: "channel::full_and_sleep",
        what: "a receiver that goes to sleep does not tell the sender of the room that there is",
        file: RECEIVER,
        find: "        let sender = state.sender_for_room();\n        drop(state);\n        drop(replaced);\n",
        put: "        let sender: Option<Waker> = None;\n        drop(state);\n        drop(replaced);\n",
    },
    Bug {
        model: "channel::full_and_leave",
        what: "the last receiver leaves without a word to the sender",
        file: RECEIVER,
        find: "            state.for_room = false;\n            state.sender.take()\n",
        put: "            None\n",
    },
    Bug {
        model: "channel::flush_and_close",
        what: "a flush does not look whether anybody is left to read",
        file: SENDER,
        find: "        let mut state = self.shared.state.lock();\n        if state.is_closed() {\n            return Err(Closed);\n        }\n        state.receive(",
        put: "        let mut state = self.shared.state.lock();\n        state.receive(",
    },
    Bug {
        model: "channel::idle_and_leave",
        what: "a sender that has its waker known does not look again whether anybody is left to read",
        file: SENDER,
        find: "            // Invariant 6: room may have come, or the last receiver gone, while the waker was cloned.\n            state = self.shared.state.lock();\n",
        put: "            state = self.shared.state.lock();\n            break std::mem::replace(&mut state.sender, clone);\n",
    },
    Bug {
        model: "channel::one_flush_for_two",
        what: "a flush wakes one receiver, however many items it brings",
        file: CHANNEL,
        find: "        for _ in 0..self.items.len().min(self.waiting.len()) {\n",
        put: "        for _ in 0..self.items.len().min(self.waiting.len()).min(1) {\n",
    },
    Bug {
        model: "channel::woken_and_leave",
        what: "a receiver that leaves does not pass its wake-up on",
        file: RECEIVER,
        find: "            state.served(&mut woken);\n            state.sender_for_room()\n",
        put: "            state.sender_for_room()\n",
    },
    Bug {
        model: "channel::taken_and_leave",
        what: "a receiver that leaves takes along what it has not yielded",
        file: RECEIVER,
        find: "        let mut unread = std::mem::take(&mut self.local);\n",
        put: "        let mut unread = VecDeque::new();\n",
    },
    Bug {
        model: "channel::bound_and_read",
        what: "a receiver gives back the places of all that it takes",
        file: RECEIVER,
        find: "    *held = share - 1;\n    state.taken += share - 1;\n    state.free += 1;\n",
        put: "    *held = 0;\n    state.free += share;\n",
    },
    Bug {
        model: "channel::evict_and_read",
        what: "the newest is evicted",
        file: SENDER,
        find: "state.items.pop_front()",
        put: "state.items.pop_back()",
    },
];
