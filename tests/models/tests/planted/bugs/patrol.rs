//! The bugs of the models in `loom/patrol.rs`.

use super::*;

pub(super) const BUGS: &[Bug] = &[
    Bug {
        model: "patrol::blocked_and_taken_along",
        what: "what a stuck runner has taken along stays with it",
        file: CONTROL,
        find: "            self.tempo = Tempo::UNKNOWN;\n            self.recall_all();\n",
        put: "            self.tempo = Tempo::UNKNOWN;\n",
    },
    Bug {
        model: "patrol::recalled_and_cancelled",
        what: "a job that waits again and is withdrawn stays in the queue",
        file: ENDING,
        find: "                self.unqueue(key);\n",
        put: "",
    },
    Bug {
        model: "patrol::stuck_with_an_outcome",
        what: "nobody collects what a runner has ended that is stuck",
        file: CONTROL,
        find: "            fx.collect = true;\n",
        put: "",
    },
    Bug {
        model: "patrol::thought_to_be_stuck",
        what: "the pool counts as empty although collected outcomes are to be stored",
        file: ENDING,
        find: " && self.publishing == 0",
        put: "",
    },
];
