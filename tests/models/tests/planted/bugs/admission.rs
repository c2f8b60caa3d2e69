//! The bugs of the models in `loom/admission.rs`.

use super::*;

pub(super) const BUGS: &[Bug] = &[
    Bug {
        model: "admission::one_room",
        what: "the freed place is not handed to the line",
        file: ENGINE,
        find: "        if !self.line.is_empty() {\n            self.admit_line(now, fx);\n        }\n",
        put: "",
    },
    Bug {
        model: "admission::blocked_then_closed",
        what: "those in line are turned away without being woken",
        file: LINE,
        find: "            Waiter::ForRoom(entrant, waker) => {\n                *waiter = Waiter::Closed(Some(entrant.cell));\n                fx.wake(waker);",
        put: "            Waiter::ForRoom(entrant, waker) => {\n                *waiter = Waiter::Closed(Some(entrant.cell));\n                fx.drop(waker);",
    },
    Bug {
        model: "admission::blocked_freed_and_closed",
        what: "a closed pool still has a line",
        file: ADMISSION,
        find: "        if state.phase > Phase::Open {\n            fx.drop(waker);\n            return Entry::Closed(cell);\n        }\n",
        put: "",
    },
    Bug {
        model: "admission::give_up_in_line",
        what: "a permit that is given back is not handed to the line",
        file: ADMISSION,
        find: "        self.reserved -= 1;\n        self.admit_line(now, fx);",
        put: "        self.reserved -= 1;",
    },
    Bug {
        model: "admission::another_waker_in_line",
        what: "the new waker is stored without looking whether the wait has just ended",
        file: LINE,
        find: "std::mem::swap(known, &mut waker),\n            None => return Poll::Ready(state.waiters.take(key).ended()),",
        put: "std::mem::swap(known, &mut waker),\n            None => {}",
    },
    Bug {
        model: "admission::permit_and_shutdown",
        what: "a revoked permit keeps its place",
        file: ADMISSION,
        find: "            state.release(permit, &now, fx);\n            return Err(cell);",
        put: "            return Err(cell);",
    },
    Bug {
        model: "admission::permit_dropped",
        what: "a permit's place is handed to the line without a look for a runner",
        file: ADMISSION,
        find: "        state.release(permit, &now, fx);\n        state.balance(fx);",
        put: "        state.release(permit, &now, fx);",
    },
    Bug {
        model: "admission::two_end_two_wait",
        what: "those who come last in line are served first",
        file: LINE,
        find: "let key = self.waiters.insert(waiter);\n        self.line.push_back(&mut self.waiters, key);",
        put: "let key = self.waiters.insert(waiter);\n        self.line.push_front(&mut self.waiters, key);",
    },
    Bug {
        model: "admission::batch_and_submit",
        what: "a batch is admitted beyond the capacity",
        file: BATCHING,
        find: "        while state.has_room() {\n",
        put: "        loop {\n",
    },
    Bug {
        model: "admission::batch_filled_and_sealed",
        what: "the room of a batch that is left over stays kept",
        file: BATCHING,
        find: "        state.held -= held;\n",
        put: "        state.held -= held.min(1);\n",
    },
    Bug {
        model: "admission::batch_left_over",
        what: "the room of a batch that is left over is handed to nobody",
        file: BATCHING,
        find: "        state.admit_line(&now, fx);\n",
        put: "",
    },
    Bug {
        model: "admission::batch_and_close",
        what: "a pool that was swept out admits batches",
        file: BATCHING,
        find: "        if state.phase > Phase::Open {\n            return Err(Closed);\n        }\n        while",
        put: "        while",
    },
];
