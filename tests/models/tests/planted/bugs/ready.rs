//! The bugs of the models in `loom/ready.rs`.

use super::*;

pub(super) const BUGS: &[Bug] = &[
    Bug {
        model: "ready::two_end_one_polls",
        what: "a consumer that has its waker known does not look again for a mark",
        file: READY,
        find: "            // Invariant 2: one may have been marked while the waker was cloned.\n            state = self.state.lock();\n",
        put: "            state = self.state.lock();\n            break std::mem::replace(&mut state.consumer, clone);\n",
    },
    Bug {
        model: "ready::mark_while_polled",
        what: "the mark of an input that is polled is left on it",
        file: READY,
        find: "                *is_marked = false;\n",
        put: "                *is_marked = true;\n",
    },
    Bug {
        model: "ready::mark_and_leave",
        what: "an input that leaves stays on the list",
        file: READY,
        find: "        if places.get(input) == Some(&true) {\n            marked.unlink(places, input);\n        }\n",
        put: "        let _ = marked;\n",
    },
];
