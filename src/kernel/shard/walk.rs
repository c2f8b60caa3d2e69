//! Visiting every entry of a locked shard.

use super::{Gone, Locked, State};
use crate::kernel::alarms::Ticks;

impl<K, V, F> Locked<'_, K, V, F> {
    /// Visits the live entries. The clock is read once, if any entry of the shard may expire.
    pub(crate) fn visit(&self, now: impl FnOnce() -> Ticks, mut visit: impl FnMut(&K, &V)) {
        let State { table, extra, .. } = &*self.state;
        let Some(extra) = extra.as_ref().filter(|extra| extra.is_timed()) else {
            return table.iter().for_each(|(key, value)| visit(key, value));
        };
        let now = now();
        for place in table.iter_buckets() {
            if let Some((key, value)) = table.get_bucket(place).filter(|_| !extra.has_expired(place, || now)) {
                visit(key, value);
            }
        }
    }

    /// Takes out what has expired, what `keep` declines, and all loads. How many live entries were declined.
    pub(crate) fn retain(
        &mut self,
        now: impl FnOnce() -> Ticks,
        mut keep: impl FnMut(&K, &mut V) -> bool,
        gone: &mut Gone<K, V, F>,
    ) -> usize {
        self.overtake_all(gone);
        self.sweep_all(now, gone);
        let before = gone.entries();
        for pair in self.state.table.extract_if(|(key, value)| !keep(key, value)) {
            gone.left().pairs.push(pair);
        }
        gone.entries() - before
    }
}
