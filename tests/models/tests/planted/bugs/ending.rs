//! The bugs of the models in `loom/ending.rs`.

use super::*;

pub(super) const BUGS: &[Bug] = &[
    Bug {
        model: "ending::two_drain",
        what: "only one of those who wait is told",
        file: ENDING,
        find: "                fx.wake(waker);\n",
        put: "                fx.wake(waker);\n                return;\n",
    },
    Bug {
        model: "ending::drain_given_up",
        what: "a wait that is over begins anew when it is polled",
        file: ENDING,
        find: "if matches!(idler, Idler::Told) {",
        put: "if matches!(idler, Idler::Told) && matches!(idler, Idler::Waiting(_)) {",
    },
    Bug {
        model: "ending::drain_and_withdraw",
        what: "jobs whose outcomes are not stored yet count as gone",
        file: ENDING,
        find: " && self.publishing == 0",
        put: "",
    },
    Bug {
        model: "ending::close_and_submit",
        what: "a closed pool admits",
        file: ADMISSION,
        find: "        if state.phase > Phase::Open {\n            return Admission::Closed(request.cell);\n        }\n",
        put: "",
    },
    Bug {
        model: "ending::sweep_and_submit",
        what: "a pool that was swept out admits",
        file: ENDING,
        find: "        state.phase = Phase::Aborted;\n",
        put: "",
    },
    Bug {
        model: "ending::two_sweep",
        what: "a swept job keeps its place",
        file: ENDING,
        find: "                state.free(key, bin, &now, fx);\n",
        put: "",
    },
    Bug {
        model: "ending::drain_and_sweep",
        what: "jobs whose outcomes are not stored yet count as gone",
        file: ENDING,
        find: " && self.publishing == 0",
        put: "",
    },
];
