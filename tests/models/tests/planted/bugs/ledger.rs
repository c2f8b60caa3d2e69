//! The bugs of the models in `loom/ledger.rs`.

use super::*;

pub(super) const BUGS: &[Bug] = &[
    Bug {
        model: "ledger::sampled_while_one_ends",
        what: "the jobs inside are read in one lock operation, and the totals in another",
        file: LEDGER,
        find: "        self.lock().snapshot()\n",
        put: "        let inside = self.lock().snapshot();\n        PoolStats { totals: self.lock().totals, ..inside }\n",
    },
    Bug {
        model: "ledger::sampled_while_one_parks",
        what: "the jobs inside are read in one lock operation, and the totals in another",
        file: LEDGER,
        find: "        self.lock().snapshot()\n",
        put: "        let inside = self.lock().snapshot();\n        PoolStats { totals: self.lock().totals, ..inside }\n",
    },
];
