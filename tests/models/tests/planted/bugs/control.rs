//! The bugs of the models in `loom/control.rs`.

use super::*;

pub(super) const BUGS: &[Bug] = &[
    Bug {
        model: "control::pause_and_batch",
        what: "a paused pool leaves runners what they have taken along",
        file: CONTROL,
        find: "        state.paused = true;\n        state.recall_all();\n",
        put: "        state.paused = true;\n",
    },
    Bug {
        model: "control::pause_and_resume",
        what: "a pool that goes on starts no runner",
        file: CONTROL,
        find: "        state.paused = false;\n        state.balance(fx);\n",
        put: "        state.paused = false;\n        fx.start_timer = false;\n",
    },
    Bug {
        model: "control::pause_beside_an_empty_batch",
        what: "a pool in which as many jobs are claimed as runners are busy recalls none",
        file: CONTROL,
        find: "        if self.claimed == 0 {",
        put: "        if self.claimed <= self.active {",
    },
    Bug {
        model: "control::resize_up",
        what: "a pool that is given another slot starts no runner",
        file: CONTROL,
        find: "            state.recall_all();\n        }\n        state.balance(fx);\n",
        put: "            state.recall_all();\n            state.balance(fx);\n        }\n",
    },
    Bug {
        model: "control::resize_down",
        what: "a runner above the number of slots goes on",
        file: CLAIMS,
        find: "if self.slots_used() <= self.limits.concurrency && self.starts_jobs() {",
        put: "if self.starts_jobs() {",
    },
    Bug {
        model: "control::resize_and_batch",
        what: "what has been taken back counts still among what runners have",
        file: CLAIMS,
        find: "        self.claimed -= claims.len();\n",
        put: "",
    },
    Bug {
        model: "control::shed_claim_and_cancel",
        what: "a shed job keeps its place",
        file: ADMISSION,
        find: "        self.free(oldest, Bin::Shed, now, fx);\n",
        put: "        let _ = (now, fx, Bin::Shed);\n",
    },
    Bug {
        model: "control::shed_and_drain",
        what: "a job is shed, and nobody knows that its outcome is to be stored",
        file: ENDING,
        find: " && self.publishing == 0",
        put: "",
    },
    Bug {
        model: "control::pause_batch_and_cancel",
        what: "what is taken back waits in the opposite order",
        file: CLAIMS,
        find: "claims.into_iter().rev()",
        put: "claims.into_iter()",
    },
];
