//! The bugs of the models in `loom/cell.rs`.

use super::*;

pub(super) const BUGS: &[Bug] = &[
    Bug {
        model: "cell::settle_and_poll",
        what: "a new waker is stored without looking whether the outcome has just come",
        file: CELL,
        find: "        let waker = waker.clone();\n        let mut state = self.state.lock();\n        if let Some(ready) = state.read() {\n            return ready;\n        }\n",
        put: "        let waker = waker.clone();\n        let mut state = self.state.lock();\n",
    },
    Bug {
        model: "cell::settle_and_detach",
        what: "a reader that leaves is not noted",
        file: CELL,
        find: "self.exchange_reader(Reader::Left)",
        put: "self.exchange_reader(Reader::Nobody)",
    },
    Bug {
        model: "cell::settle_and_look",
        what: "an outcome wakes nobody",
        file: CELL,
        find: "Settled::Kept(Some(reader))\n",
        put: "Settled::Kept(Some(reader).filter(|_| false))\n",
    },
    Bug {
        model: "cell::settle_and_take_with_the_cell",
        what: "a reader takes the outcome without a look whether somebody else holds the cell",
        file: CELL,
        find: "        match Shared::try_unwrap(this)?.state.into_inner().slot {",
        put: "        match std::mem::replace(&mut this.state.lock().slot, Slot::Read) {",
    },
    Bug {
        model: "cell::settle_alone",
        what: "a reader looks for the outcome and leaves in two lock operations",
        file: CELL,
        find: "        let unread = state.unread();\n        let before",
        put: "        let unread = state.unread();\n        drop(state);\n        let mut state = self.state.lock();\n        let before",
    },
];
