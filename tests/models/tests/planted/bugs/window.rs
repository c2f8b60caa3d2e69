//! The bugs of the models in `loom/window.rs`.

use super::*;

pub(super) const BUGS: &[Bug] = &[
    Bug {
        model: "window::refill_and_run",
        what: "a cell that is used again comes back under its old key",
        file: CELL,
        find: "                *key = next;\n",
        put: "                let _ = (key, next);\n",
    },
    Bug {
        model: "window::leave_and_cancel",
        what: "an inbox that is closed keeps what is delivered",
        file: INBOX,
        find: "match std::mem::replace(&mut *self.state.lock(), State::Closed) {",
        put: "match std::mem::replace(&mut *self.state.lock(), State::Open { arrived: VecDeque::new(), reader: None }) {",
    },
];
