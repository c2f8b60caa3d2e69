//! The bugs of the models in `loom/timing.rs`.

use super::*;

pub(super) const BUGS: &[Bug] = &[
    Bug {
        model: "timing::retry_and_sweep",
        what: "a job that leaves the pool leaves its alarm behind",
        file: ENDING,
        find: "        self.silence(key);\n        Some(cell)",
        put: "        Some(cell)",
    },
    Bug {
        model: "timing::deadline_and_claim",
        what: "jobs whose outcomes are not stored yet count as gone",
        file: ENDING,
        find: " && self.publishing == 0",
        put: "",
    },
    Bug {
        model: "timing::earlier_alarm",
        what: "an earlier alarm does not wake the timer",
        file: TIMING,
        find: "            Timer::Asleep { until, .. } if self.next_due() < *until => self.wake_timer(fx),\n",
        put: "",
    },
    Bug {
        model: "timing::timer_leaves",
        what: "the timer leaves and is still expected",
        file: TIMING,
        find: "            state.timer = Timer::Off;\n            Ring::Leave",
        put: "            Ring::Leave",
    },
    Bug {
        model: "timing::timer_of_an_idle_pool",
        what: "an idle pool keeps its timer",
        file: ENDING,
        find: "        if self.runners == 0 {\n            self.retire_timer(fx);\n        }\n",
        put: "",
    },
    Bug {
        model: "timing::deadline_in_the_queue",
        what: "the alarms of queued jobs start no timer",
        file: ENGINE,
        find: "            || self.slots_used() >= self.limits.concurrency\n",
        put: "",
    },
    Bug {
        model: "timing::deadline_of_its_own",
        what: "a job's own deadline is not kept",
        file: ADMISSION,
        find: "if let Some(deadline) = deadline.or(self.limits.deadline) {",
        put: "let _ = deadline;\n        if let Some(deadline) = self.limits.deadline {",
    },
];
