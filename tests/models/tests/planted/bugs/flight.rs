//! The bugs of the models in `loom/flight.rs`.

use super::*;

pub(super) const BUGS: &[Bug] = &[
    Bug {
        model: "flight::one_load",
        what: "a flight that lands wakes nobody",
        file: FLIGHT,
        find: "let waiters = std::mem::replace(&mut state.waiters, Slab::new());",
        put: "let waiters = Slab::new();",
    },
    Bug {
        model: "flight::leader_leaves",
        what: "the first to leave abandons the load",
        file: FLIGHT,
        find: "        if state.waiters.len() > 0 {\n            return Left { task: None, waiter };\n        }\n",
        put: "",
    },
    Bug {
        model: "flight::last_waiter_leaves",
        what: "whoever leaves gives up a seat, though the flight has landed",
        file: FLIGHT,
        find: "        if !matches!(state.phase, Phase::Loading) {\n            return Left { task: None, waiter: None };\n        }\n",
        put: "",
    },
    Bug {
        model: "flight::load_is_abandoned",
        what: "the last waiter leaves without waking the task",
        file: FLIGHT,
        find: "Left { task: state.task.take(), waiter }",
        put: "Left { task: None, waiter }",
    },
    Bug {
        model: "flight::join_and_abandon",
        what: "an abandoned flight takes followers",
        file: FLIGHT,
        find: "        matches!(state.phase, Phase::Loading).then(||",
        put: "        true.then(||",
    },
    Bug {
        model: "flight::panic_frees_the_key",
        what: "a load that brings no value stays under its key",
        file: BOARD,
        find: "let found = shard.end(HASH, |other| Arc::ptr_eq(flight, other));",
        put: "let found = shard.end(HASH, |other| value.is_some() && Arc::ptr_eq(flight, other));",
    },
    Bug {
        model: "flight::write_and_store",
        what: "whoever stores a value leaves the load of its key under way",
        file: TABLE,
        find: "            overtake(extra, hash, |other| *other == key, gone);\n",
        put: "",
    },
    Bug {
        model: "flight::remove_and_load",
        what: "removing an absent key leaves its load under way",
        file: TABLE,
        find: "            overtake(extra, hash, eq, gone);\n",
        put: "",
    },
    Bug {
        model: "flight::another_waker",
        what: "a new waker is stored without looking whether the flight has just landed",
        file: FLIGHT,
        find: "        if let Phase::Landed(outcome) = &state.phase {\n            let outcome = outcome.clone();\n            drop(state);\n            return Poll::Ready(outcome);\n        }\n",
        put: "",
    },
    Bug {
        model: "flight::waiting_for_each_other",
        what: "an edge is looked for and made in two lock operations",
        file: WAITS,
        find: "        if leads(&edges, to, from) {\n            return Err(Circle);\n        }\n",
        put: "        if leads(&edges, to, from) {\n            return Err(Circle);\n        }\n        drop(edges);\n        let mut edges = self.edges.lock();\n",
    },
];
