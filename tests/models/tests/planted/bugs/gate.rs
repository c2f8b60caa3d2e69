//! The bugs of the models in `loom/gate.rs`.

use super::*;

pub(super) const BUGS: &[Bug] = &[
    Bug {
        model: "gate::enter_and_release",
        what: "an entrance that has its waker known does not look again for room",
        file: GATE,
        find: "        if enter(&mut state) {\n            drop(state);\n            drop(waker);\n",
        put: "        if false {\n            drop(state);\n            drop(waker);\n",
    },
    Bug {
        model: "gate::two_enter_and_two_release",
        what: "one item too many is let in",
        file: GATE,
        find: "state.items < state.most.items &&",
        put: "state.items <= state.most.items &&",
    },
    Bug {
        model: "gate::weigh_and_release",
        what: "an item enters beside others if it fits alone",
        file: GATE,
        find: "weight <= state.most.weight.saturating_sub(state.weight)",
        put: "weight <= state.most.weight",
    },
    Bug {
        model: "gate::oversized_and_release",
        what: "an item that is too heavy waits for ever",
        file: GATE,
        find: "let fits = state.weight == 0 || weight",
        put: "let fits = weight",
    },
    Bug {
        model: "gate::starve_and_watch",
        what: "a watcher that has its waker known does not look again whether the entrance is starved",
        file: GATE,
        find: "        let starved = state.starved.is_some();\n",
        put: "        let starved = false;\n",
    },
    Bug {
        model: "gate::starve_and_two_watch",
        what: "one of those who watch for starvation is woken",
        file: GATE,
        find: "filter_map(Option::take));",
        put: "filter_map(Option::take).take(1));",
    },
    Bug {
        model: "gate::starve_and_watch_with_another_waker",
        what: "a watcher keeps the first waker that it came with",
        file: GATE,
        find: "        if !starved {\n",
        put: "        if !starved && state.watchers[watcher.0].is_none() {\n",
    },
    Bug {
        model: "gate::leave_and_enter",
        what: "room that is given back wakes nobody",
        file: GATE,
        find: "        state.weight -= weight;\n        state.starved.take()\n",
        put: "        state.weight -= weight;\n        None\n",
    },
    Bug {
        model: "gate::go_and_watch",
        what: "an entrance that is gone stays starved",
        file: GATE,
        find: "        self.state.lock().starved.take()\n",
        put: "        self.state.lock().starved.clone()\n",
    },
];
