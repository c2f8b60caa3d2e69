//! The bugs of the models in `loom/lanes.rs`.

use super::*;

pub(super) const BUGS: &[Bug] = &[
    Bug {
        model: "lanes::lane_in_order",
        what: "the second job of a key is ready at once",
        file: LANES,
        find: "if state.head.is_none() {",
        put: "if state.queue.is_empty() {",
    },
    Bug {
        model: "lanes::lane_and_retry",
        what: "a job that is parked makes the next one of its key ready",
        file: RUNNING,
        find: "        place.standing = Standing::Parked(parking.cell);\n",
        put: "        place.standing = Standing::Parked(parking.cell);\n        if let Some(lane) = place.lane.take() {\n            state.leave_lane(lane, key);\n        }\n",
    },
    Bug {
        model: "lanes::lane_head_cancelled",
        what: "the end of a key's first job does not make the next one ready",
        file: LANES,
        find: "                self.lanes.get_mut(lane).head = Some(next);\n                self.ready.push_back(&mut self.places, next);\n",
        put: "                self.lanes.get_mut(lane).head = Some(next);\n",
    },
    Bug {
        model: "lanes::lane_cancelled_behind",
        what: "the end of any job of a key makes the next one ready",
        file: LANES,
        find: "if state.head == Some(job) {",
        put: "if state.head.is_some() {",
    },
    Bug {
        model: "lanes::lane_waiter_leaves",
        what: "the end of a key's job lets nobody in who waits for the lane",
        file: LANES,
        find: "            self.promote(waiter);\n",
        put: "            let _ = waiter;\n",
    },
    Bug {
        model: "lanes::lane_and_room",
        what: "who leaves the line keeps its place in the lane",
        file: LINE,
        find: "                fx.drop(waker);\n                if let Some(lane) = entrant.lane.get() {\n                    state.release_lane(lane);\n                }\n",
        put: "                fx.drop(waker);\n",
    },
    Bug {
        model: "lanes::lane_waiter_and_close",
        what: "those who wait for a lane are not turned away",
        file: LINE,
        find: "for lane in self.lanes.with_waiters() {",
        put: "for lane in self.lanes.with_waiters().into_iter().take(0) {",
    },
];
