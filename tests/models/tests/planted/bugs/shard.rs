//! The bugs of the models in `loom/shard.rs`.

use super::*;

pub(super) const BUGS: &[Bug] = &[
    Bug {
        model: "shard::compute_compute_remove",
        what: "the lock is released between the look and the change",
        file: MAP,
        find: "        let next = decide(seen);\n",
        put: "        drop(lock);\n        let next = decide(seen);\n        let mut lock = self.lock(key);\n",
    },
    Bug {
        model: "shard::two_for_one_place",
        what: "whether there is a place is asked, and the place taken, in two steps",
        file: ROOM,
        find: "        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, free).is_ok()\n",
        put: "        let next = free(self.taken.load(Ordering::Relaxed));\n        next.inspect(|_| drop(self.taken.fetch_add(1, Ordering::Relaxed))).is_some()\n",
    },
    Bug {
        model: "shard::remove_and_insert_in_a_full_map",
        what: "a removed entry keeps its place",
        file: SHARD,
        find: "            let held = self.state.table.len();\n",
        put: "            let held = self.state.table.len().max(self.state.counted);\n",
    },
    Bug {
        model: "shard::load_and_remove",
        what: "removing an absent key does not tell its load",
        file: TABLE,
        find: "        if let Some(extra) = &mut self.state.extra {\n            overtake(extra, hash, eq, gone);\n        }\n",
        put: "        let _ = (hash, eq, gone);\n",
    },
    Bug {
        model: "shard::load_and_insert",
        what: "storing a value does not tell the key's load",
        file: TABLE,
        find: "        if let Some(extra) = self.extra {\n            overtake(extra, hash, |other| *other == key, gone);\n        }\n",
        put: "        let _ = (hash, gone);\n",
    },
    Bug {
        model: "shard::two_threads_are_inside",
        what: "a thread that is inside of the map is not refused",
        file: "src/kernel/shard/gate.rs",
        find: "    if before != 0 && is_inside(map) {\n        return None;\n    }\n",
        put: "",
    },
];
