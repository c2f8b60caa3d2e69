//! The bugs of the models in `loom/inbox.rs`.

use super::*;

pub(super) const BUGS: &[Bug] = &[
    Bug {
        model: "inbox::two_deliver_one_collects",
        what: "what arrives wakes nobody",
        file: INBOX,
        find: "                Ok(reader.take())\n",
        put: "                drop(reader.take());\n                Ok(None)\n",
    },
    Bug {
        model: "inbox::deliver_and_move",
        what: "a new waker is stored without looking whether something has just arrived",
        file: INBOX,
        find: "        if state.exchange(room) {\n            return Poll::Ready(());\n        }\n        let replaced",
        put: "        let replaced",
    },
    Bug {
        model: "inbox::deliver_and_close",
        what: "an inbox that is closed keeps what is delivered",
        file: INBOX,
        find: "match std::mem::replace(&mut *self.state.lock(), State::Closed) {",
        put: "match std::mem::replace(&mut *self.state.lock(), State::Open { arrived: VecDeque::new(), reader: None }) {",
    },
    Bug {
        model: "inbox::settle_and_address",
        what: "an outcome that is there already is left behind",
        file: CELL,
        find: "        let unread = state.unread();\n        let before",
        put: "        let unread = None;\n        let before",
    },
];
