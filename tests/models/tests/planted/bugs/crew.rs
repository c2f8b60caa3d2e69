//! The bugs of the models in `loom/crew.rs`.

use super::*;

pub(super) const BUGS: &[Bug] = &[
    Bug {
        model: "crew::hand_off_and_leaving",
        what: "a thread leaves without looking at the shifts that count on it",
        file: CREW,
        find: "        if self.free() <= self.open {\n            return Next::Wait;\n        }\n",
        put: "",
    },
    Bug {
        model: "crew::no_more_threads_than_slots",
        what: "a thread is started for a shift although there are as many as there may be",
        file: CREW,
        find: "missing.min(self.limit().saturating_sub(self.threads))",
        put: "missing",
    },
    Bug {
        model: "crew::lending_and_a_shift_that_waits",
        what: "a wider limit starts no thread for the shifts that wait already",
        file: CREW,
        find: "        state.extra += 1;\n        state.need()",
        put: "        state.extra += 1;\n        Need(0)",
    },
    Bug {
        model: "crew::closing_and_a_shift_that_waits",
        what: "a thread of a closed pool leaves without looking at the shifts that wait",
        file: CREW,
        find: "        if surplus { state.leave(wake) } else { Next::Wait }",
        put: "        if surplus {\n            state.threads -= 1;\n            state.note_gone(wake);\n            return Next::Leave;\n        }\n        Next::Wait",
    },
    Bug {
        model: "crew::leaving_and_waiting_for_that",
        what: "the last thread wakes nobody",
        file: CREW,
        find: "wake.extend(self.waiting.get_mut(key).and_then(Option::take));",
        put: "drop(self.waiting.get_mut(key).and_then(Option::take));",
    },
];
