//! The bugs of the models in `loom/running.rs`.

use super::*;

pub(super) const BUGS: &[Bug] = &[
    Bug {
        model: "running::last_runner_leaves",
        what: "the runner looks for work and counts itself out in two lock operations",
        file: RUNNING,
        find: "        if leaves {\n            state.runners -= 1;\n            state.dismiss_runner(batch);\n        }\n        state.balance(fx);\n",
        put: "        drop(state);\n        let mut state = self.lock();\n        if leaves {\n            state.runners -= 1;\n            state.dismiss_runner(batch);\n        }\n",
    },
    Bug {
        model: "running::last_runner_lingers",
        what: "a runner that has looked once more is expected still",
        file: RUNNING,
        find: "        state.starting -= 1;\n",
        put: "        state.starting -= usize::from(state.starting == 0);\n",
    },
    Bug {
        model: "running::linger_submit_and_sweep",
        what: "a swept job keeps its place",
        file: ENDING,
        find: "                state.free(key, bin, &now, fx);\n",
        put: "",
    },
    Bug {
        model: "running::lost_while_lingering",
        what: "a lost runner still counts",
        file: ENDING,
        find: "        state.runners -= 1;\n",
        put: "",
    },
    Bug {
        model: "running::panic_and_submit",
        what: "an attempt that has ended keeps its place",
        file: RUNNING,
        find: "            self.free(key, bin, now, fx);\n",
        put: "",
    },
    Bug {
        model: "running::two_slots",
        what: "a runner that arrives does not look whether another is needed",
        file: RUNNING,
        find: "        state.learn(batch.tempo, &now);\n        state.claim(batch);\n        state.balance(fx);\n",
        put: "        state.learn(batch.tempo, &now);\n        state.claim(batch);\n",
    },
    Bug {
        model: "running::lend_and_submit",
        what: "lending a slot starts no runner",
        file: RUNNING,
        find: "        state.lent += 1;\n        state.balance(fx);\n",
        put: "        state.lent += 1;\n",
    },
    Bug {
        model: "running::two_lend",
        what: "a slot that was lent stays lent",
        file: RUNNING,
        find: "        self.lock().lent -= 1;\n",
        put: "",
    },
    Bug {
        model: "running::lost_runner",
        what: "a lost runner still counts",
        file: ENDING,
        find: "        state.runners -= 1;\n",
        put: "",
    },
    Bug {
        model: "running::no_runtime",
        what: "the pool goes on although its runtime is gone",
        file: RUNNER,
        find: "        self.pool.abandon();\n",
        put: "",
    },
];
