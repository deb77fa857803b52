//! What is heard of agents without an event for each: heartbeats are read in bulk.

use crate::agent::AgentKey;
use crate::fleet::Fleet;
use crate::unsaved::{BEAT, SEEN};

/// The last of what the core has heard of a connection; 0: nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reading {
    /// When something came.
    pub seen_ms: i64,
    /// When a heartbeat did.
    pub heartbeat_ms: i64,
    /// The round trip of the last ping that was answered, in µs.
    pub rtt_us: u32,
}

impl Fleet {
    /// Takes a reading. `is_kept`: it is to be written down.
    pub fn hear(&mut self, key: AgentKey, reading: &Reading, is_kept: bool) {
        let Some(agent) = self.agents.get_mut(key) else {
            return;
        };
        let mut news = 0;
        if reading.seen_ms != 0 {
            agent.heard_at = reading.seen_ms.into();
            news |= SEEN;
        }
        if reading.heartbeat_ms != 0 {
            agent.last_heartbeat = reading.heartbeat_ms.into();
            news |= BEAT;
        }
        if reading.rtt_us != 0 {
            agent.rtt_us = reading.rtt_us;
        }
        if is_kept && news != 0 {
            self.touch(key, news);
        }
    }
}
