//! The bugs of the models in `loom/bell.rs`.

use super::*;

pub(super) const BUGS: &[Bug] = &[
    Bug {
        model: "bell::cancel_and_next",
        what: "what is asked of one job is heard by whichever is the runner's",
        file: BELL,
        find: "(word >> NUMBER_SHIFT == number).then(|| change(word))",
        put: "(word >> NUMBER_SHIFT == number || number > 0).then(|| change(word))",
    },
    Bug {
        model: "bell::cancel_and_begin",
        what: "a runner takes a job from its tray before the bell has its number",
        file: TRAY,
        find: "                bell.begin(claim.ticket.number);\n",
        put: "                drop(claims);\n                bell.begin(claim.ticket.number);\n",
    },
    Bug {
        model: "bell::sweep_and_begin",
        what: "a runner begins a job once more, and forgets what has been asked of it since the claim",
        file: RUNNER,
        find: "        let job = Cell::lend(&mut cell);\n        let signal",
        put: "        let job = Cell::lend(&mut cell);\n        self.batch.bell().begin(ticket.number);\n        let signal",
    },
    Bug {
        model: "bell::sweep_after_park",
        what: "a runner whose job is parked forgets what has been asked of the next",
        file: RUNNER,
        find: "            Ok(()) => self.publish(),\n",
        put: "            Ok(()) => {\n                self.batch.bell().end();\n                self.publish();\n            }\n",
    },
    Bug {
        model: "bell::expire_and_stall",
        what: "a job that is given another time hears of the one before",
        file: RUNNING,
        find: "        batch.bell.take_due();\n",
        put: "",
    },
    Bug {
        model: "bell::timeout_and_finish",
        what: "a job that has ended leaves its alarm behind",
        file: RUNNING,
        find: "            self.unwatch(key);\n            self.free(key, bin, now, fx);\n",
        put: "            self.free(key, bin, now, fx);\n",
    },
    Bug {
        model: "bell::timeout_of_a_pending_job",
        what: "a runner whose job's time is up is not woken",
        file: TIMING,
        find: "fx.wakers.push(Due::Ring(here.bell.clone()));",
        put: "let _ = (here, Due::Ring);",
    },
];
