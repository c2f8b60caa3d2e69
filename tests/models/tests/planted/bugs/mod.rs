//! The bugs: for each model, the change to the sources with which it fails. A file of bugs for each file of models.

mod admission;
mod batching;
mod bell;
mod cancelling;
mod cell;
mod channel;
mod control;
mod crew;
mod ending;
mod flight;
mod gate;
mod inbox;
mod lanes;
mod ledger;
mod patrol;
mod ready;
mod running;
mod sequence;
mod shard;
mod timing;
mod window;

/// A change to one file: the text `find`, which is there once, becomes `put`.
#[derive(Debug)]
pub(crate) struct Bug {
    pub(crate) model: &'static str,
    pub(crate) what: &'static str,
    pub(crate) file: &'static str,
    pub(crate) find: &'static str,
    pub(crate) put: &'static str,
}

const ADMISSION: &str = "src/kernel/engine/admission.rs";
const BATCHING: &str = "src/kernel/engine/batching.rs";
const BELL: &str = "src/kernel/bell.rs";
const CELL: &str = "src/kernel/cell.rs";
const CLAIMS: &str = "src/kernel/engine/claims.rs";
const CHANNEL: &str = "src/kernel/channel/mod.rs";
const CONTROL: &str = "src/kernel/engine/control.rs";
const CREW: &str = "src/kernel/crew.rs";
const ENDING: &str = "src/kernel/engine/ending.rs";
const ENGINE: &str = "src/kernel/engine/mod.rs";
const LANES: &str = "src/kernel/engine/lanes.rs";
const FLIGHT: &str = "src/kernel/flight.rs";
const GATE: &str = "src/kernel/gate.rs";
const INBOX: &str = "src/kernel/inbox.rs";
const LEDGER: &str = "src/kernel/engine/ledger.rs";
const LINE: &str = "src/kernel/engine/line.rs";
const READY: &str = "src/kernel/ready.rs";
const SEQUENCE: &str = "src/kernel/sequence.rs";
const RECEIVER: &str = "src/kernel/channel/receiver.rs";
const ROOM: &str = "src/kernel/shard/room.rs";
const RUNNING: &str = "src/kernel/engine/running.rs";
const SENDER: &str = "src/kernel/channel/sender.rs";
const SHARD: &str = "src/kernel/shard/mod.rs";
const TABLE: &str = "src/kernel/shard/table.rs";
const TIMING: &str = "src/kernel/engine/timing.rs";
const TRAY: &str = "src/kernel/engine/tray.rs";
const WAITS: &str = "src/kernel/waits.rs";
/// What the map's and the pool's own files do is planted in their likeness.
const BOARD: &str = "tests/models/tests/loom/support/board.rs";
const MAP: &str = "tests/models/tests/loom/support/map.rs";
const RUNNER: &str = "tests/models/tests/loom/support/runner.rs";

/// All of them.
pub(crate) fn bugs() -> impl Iterator<Item = &'static Bug> {
    [
        admission::BUGS,
        batching::BUGS,
        bell::BUGS,
        cancelling::BUGS,
        cell::BUGS,
        channel::BUGS,
        control::BUGS,
        crew::BUGS,
        ending::BUGS,
        lanes::BUGS,
        flight::BUGS,
        gate::BUGS,
        inbox::BUGS,
        ledger::BUGS,
        patrol::BUGS,
        ready::BUGS,
        sequence::BUGS,
        running::BUGS,
        shard::BUGS,
        timing::BUGS,
        window::BUGS,
    ]
    .into_iter()
    .flatten()
}
