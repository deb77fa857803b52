//! What happens to an agent, written into its timeline.
//!
//! With a store that writes to disk an entry is here until it is saved; without one, until timelines take too much: then
//! those go that have not grown for longest.

use crate::agent::AgentKey;
use crate::fleet::Fleet;
use crate::phrases;
use crate::timeline::{Entry, Packed, Timeline};
use crate::unsaved::ENTRIES;

/// When room is made, so much more is made than is needed, in parts of all that there may be: it takes a look at every
/// agent.
const SPARE_PARTS: usize = 16;

impl Fleet {
    /// Adds an entry to the timeline of an agent, or of the server: that of what concerns every agent.
    pub fn record(&mut self, agent: Option<AgentKey>, at: i64, kind: &str, data: &[u8]) {
        self.record_packed(agent, at, kind, |packed| phrases::pack(data, packed));
    }

    /// The same for data that is packed as it is made.
    pub(crate) fn record_packed(
        &mut self,
        agent: Option<AgentKey>,
        at: i64,
        kind: &str,
        pack: impl FnOnce(&mut Vec<u8>),
    ) {
        self.timelines.last_number += 1;
        let number = self.timelines.last_number;
        let mut packed = std::mem::take(&mut self.timelines.scratch);
        packed.clear();
        pack(&mut packed);
        let entry = Packed::new(number, at, kind, &packed);
        self.resize(agent, |timeline| timeline.push_packed(&entry));
        self.timelines.scratch = packed;
        match agent {
            Some(key) => self.touch(key, ENTRIES),
            None => self.unsaved.server_changed(),
        }
        if self.timelines.is_full() {
            self.make_history_room();
        }
    }

    /// The entries that are here, newest first, and older than this number: all that there are without a store that
    /// writes to disk.
    pub fn timeline(
        &self,
        agent: Option<AgentKey>,
        limit: usize,
        before: Option<u64>,
    ) -> Vec<Entry<'_>> {
        let timeline = match agent {
            Some(key) => self.agents.get(key).map(|agent| &agent.timeline),
            None => Some(&self.timelines.server),
        };
        let mut entries: Vec<Entry<'_>> = timeline.into_iter().flat_map(Timeline::iter).collect();
        entries.retain(|entry| {
            entry.number > self.timelines.forgotten_to
                && before.is_none_or(|before| entry.number < before)
        });
        entries.reverse();
        entries.truncate(limit);
        entries
    }

    /// Changes one timeline, and what all of them add up to.
    pub(crate) fn resize(&mut self, agent: Option<AgentKey>, change: impl FnOnce(&mut Timeline)) {
        let timeline = match agent {
            Some(key) => self.agents.get_mut(key).map(|agent| &mut agent.timeline),
            None => Some(&mut self.timelines.server),
        };
        if let Some(timeline) = timeline {
            let before = timeline.bytes();
            change(timeline);
            let after = timeline.bytes();
            self.timelines.resized(before, after);
        }
    }

    /// Drops the timelines that have not grown for longest, the server's own excepted.
    fn make_history_room(&mut self) {
        let mut timelines: Vec<(u64, AgentKey)> = self
            .agents
            .iter()
            .filter(|(_, agent)| !agent.timeline.is_empty())
            .map(|(key, agent)| (agent.timeline.last_number(), key))
            .collect();
        timelines.sort_unstable();
        let enough = self.timelines.max_bytes - self.timelines.max_bytes / SPARE_PARTS;
        for (last, key) in timelines {
            if self.timelines.bytes <= enough {
                return;
            }
            let entries = self.agents.get(key).map_or(0, |agent| agent.timeline.len());
            self.timelines.lost_total += entries as u64;
            self.resize(Some(key), |timeline| timeline.drop_to(last));
        }
    }
}
