//! The bugs of the models in `loom/patrol.rs`.

use super::*;

pub(super) const BUGS: &[Bug] = &[
    Bug {
        model: "patrol::blocked_and_taken_along",
        what: "what a stuck runner has taken along stays with it",
        file: CONTROL,
        find: "            self.burst = 1;\n            self.recall_all();\n",
        put: "            self.burst = 1;\n",
    },
    Bug {
        model: "patrol::recalled_and_cancelled",
        what: "a job that the patrol gives to another runner is not told from the one that was claimed",
        file: CELL,
        find: "        state.recalls += u32::from(held);\n",
        put: "",
    },
];
