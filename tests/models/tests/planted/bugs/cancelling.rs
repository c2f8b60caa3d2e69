//! The bugs of the models in `loom/cancelling.rs`.

use super::*;

pub(super) const BUGS: &[Bug] = &[
    Bug {
        model: "cancelling::cancel_and_finish",
        what: "a ticket is taken for its place's present job",
        file: ENGINE,
        find: "place.number == ticket.number as u32 && ",
        put: "",
    },
    Bug {
        model: "cancelling::cancel_and_claim",
        what: "a runner does not know of its job before it begins it",
        file: CLAIMS,
        find: "        batch.bell.begin(number);\n",
        put: "",
    },
    Bug {
        model: "cancelling::cancel_and_suspend",
        what: "a running job is asked to end, and its runner is not woken",
        file: ENDING,
        find: "                fx.wakers.push(Due::Ring(here.bell.clone()));\n                Cancelled::Running",
        put: "                let _ = here;\n                Cancelled::Running",
    },
    Bug {
        model: "cancelling::cancel_and_park",
        what: "a job is parked although it has been asked to end",
        file: RUNNING,
        find: "        if batch.bell.signal() == Signal::Cancel {\n            return Err((Unparkable::Cancelled, parking.cell));\n        }\n",
        put: "",
    },
    Bug {
        model: "cancelling::cancel_and_sweep",
        what: "an abort makes the runner forget which job it has",
        file: BELL,
        find: "self.word.fetch_or(SIGNAL, Ordering::Release);",
        put: "self.word.store((NOBODY << NUMBER_SHIFT) | SIGNAL, Ordering::Release);",
    },
    Bug {
        model: "cancelling::cancelled_twice",
        what: "a withdrawn job stays in the queue",
        file: ENDING,
        find: "                self.unqueue(key);\n",
        put: "",
    },
    Bug {
        model: "cancelling::cancel_after_park",
        what: "a runner whose job is parked forgets what has been asked of the next",
        file: RUNNING,
        find: "        batch.bell.end();\n        state.claim(batch);\n",
        put: "        state.claim(batch);\n        batch.bell.end();\n",
    },
    Bug {
        model: "cancelling::cancel_and_take_along_again",
        what: "a job that cannot be withdrawn is asked to end in another lock operation",
        file: ENDING,
        find: "            return Cancelled::Waiting(cell);\n        }\n",
        put: "            return Cancelled::Waiting(cell);\n        }\n        drop(state);\n        let mut state = self.lock();\n",
    },
];
