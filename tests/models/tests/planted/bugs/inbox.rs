//! The bugs of the models in `loom/inbox.rs`.

use super::*;

pub(super) const BUGS: &[Bug] = &[
    Bug {
        model: "inbox::two_deliver_one_collects",
        what: "what arrives wakes nobody",
        file: INBOX,
        find: "                reader.take()\n",
        put: "                drop(reader.take());\n                None\n",
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
    Bug {
        model: "inbox::two_post_one_collects",
        what: "of letters that are delivered together one arrives",
        file: INBOX,
        find: "arrived.extend(letters.drain(..));",
        put: "arrived.extend(letters.pop());",
    },
    Bug {
        model: "inbox::two_post_one_closes",
        what: "letters that nobody will read stay in the post",
        file: INBOX,
        find: "let unread = if self.letters.is_empty() { Vec::new() }",
        put: "let unread = if self.letters.len() < 9 { Vec::new() }",
    },
    Bug {
        model: "inbox::post_to_two",
        what: "letters go where those before them go",
        file: INBOX,
        find: "if !self.to.as_ref().is_some_and(|to| letter.is_for(to)) {",
        put: "if self.to.is_none() {",
    },
];
